"""Weights from PyTorch and back: `from_torch(network, state_dict, **known)`, `to_torch`."""

from s2a_jax.convert.torch_weights import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]
