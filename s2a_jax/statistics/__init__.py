"""Agreement, intervals and tests; plain NumPy arrays."""
