"""Weights from PyTorch and back, and on disk."""

from s2a_jax.convert.torch_weights import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]
