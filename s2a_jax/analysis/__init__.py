"""Numbers about numbers: statistics, figures and the report of a run. No JAX at import."""
