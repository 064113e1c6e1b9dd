"""Biomarkers and statistics of masks: NumPy, SciPy and scikit-image, no JAX."""
