"""Weights from PyTorch: `from_torch(network, state_dict, **known)`."""

from s2a_jax.convert.torch_weights import from_torch

__all__ = ["from_torch"]
