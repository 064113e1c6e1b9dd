"""Biomarkers of vessels and FAZ from masks; plain NumPy arrays."""
