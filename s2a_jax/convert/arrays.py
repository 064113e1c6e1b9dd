"""Tensors as NumPy arrays."""

from typing import Any

import numpy as np

from s2a_jax.errors import UserError

_LARGEST = np.finfo(np.float32).max


def to_numpy(tensor: Any) -> np.ndarray:
    """Converts a dense tensor or an array; 16-bit floats become float32, as parameters are."""
    if hasattr(tensor, "detach"):  # a tensor, recognised without importing PyTorch
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point() and tensor.element_size() < 4:
            tensor = tensor.float()  # NumPy has no bfloat16
        return tensor.numpy()
    array = np.asarray(tensor)
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


def check_dense(name: str, tensor: Any) -> None:
    """Raises a UserError for a tensor without values of its own: sparse, quantized, meta, nested.

    Args:
        name: its key, for messages.
        tensor: a tensor or an array.
    """
    if kind := _unusual(tensor):
        raise UserError(
            f"Key {name!r} is a {kind} tensor: expected a dense one of floating-point numbers, as "
            "the network has in training."
        )


def to_parameter(name: str, tensor: Any) -> np.ndarray:
    """Converts one weight of a network.

    Args:
        name: its key, for messages.
        tensor: a tensor or an array.

    Returns:
        float32 or float64, all finite.

    Raises:
        UserError: it is sparse, quantized or without values, no floating-point number, or has
            values that are not finite in float32.
    """
    check_dense(name, tensor)
    array = to_numpy(tensor)
    if array.dtype.kind != "f":
        raise UserError(
            f"Key {name!r} holds {array.dtype} values: expected floating-point numbers, as the "
            "network has in training."
        )
    if not np.all(np.abs(array) <= _LARGEST):
        count = int(np.sum(~(np.abs(array) <= _LARGEST)))
        raise UserError(
            f"Key {name!r} holds {count} of {array.size} values that are NaN, infinite or too "
            "large for float32: its training diverged; pass an earlier checkpoint."
        )
    return array


def _unusual(tensor: Any) -> str | None:
    """What makes a tensor unlike an array."""
    if not hasattr(tensor, "detach"):
        return None
    if tensor.is_quantized:
        return "quantized"
    if tensor.is_meta:
        return "meta (empty)"
    if tensor.is_nested:
        return "nested"
    layout = str(tensor.layout).removeprefix("torch.")
    return None if layout == "strided" else layout.replace("_", " ")
