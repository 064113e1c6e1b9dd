"""Whether an image is what the networks know, and how sure a prediction is; plain NumPy arrays."""
