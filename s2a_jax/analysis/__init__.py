"""Statistics of results, on the host: NumPy and SciPy, no JAX."""
