"""Data sets stored as TFDS files: building, checking, reading them back; no TensorFlow."""
