"""Agreement, confidence intervals and significance tests; plain NumPy arrays."""
