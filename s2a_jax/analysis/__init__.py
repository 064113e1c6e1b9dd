"""Biomarkers of masks, and of numbers: statistics, figures, a run's report. No JAX at import."""
