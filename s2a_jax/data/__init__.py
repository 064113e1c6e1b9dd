"""Data sets: files on disk, decoded cases, synthetic eyes and batches; no JAX arrays."""
