"""PyTorch state dicts into Flax variables and back."""

import logging
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from s2a_jax.convert import jointseg, s2anet, transunet, unet, vaffnet
from s2a_jax.convert.files import to_numpy
from s2a_jax.convert.names import Names, Shapes
from s2a_jax.errors import UserError
from s2a_jax.models.build import NETWORKS, build_network
from s2a_jax.models.fields import field_defaults

_NAMES: Mapping[str, Names] = MappingProxyType(
    {
        "s2anet": s2anet.NAMES,
        "unet": unet.NAMES,
        "transunet": transunet.NAMES,
        "jointseg": jointseg.NAMES,
        "vaffnet": vaffnet.NAMES,
    }
)
"""Name of a network that exists in PyTorch -> its arrays' names there."""

_LEAVES = {
    "kernel": "weight",
    "transposed_kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}

logger = logging.getLogger(__name__)


def from_torch(
    network: str, state_dict: Mapping[str, Any], **known: Any
) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuilds a network and its variables from a PyTorch state dict.

    Hyper-parameters are read off the shapes. Keys that the released network holds but never uses
    are left out; a log message names them.

    Args:
        network: `s2anet`, `unet`, `transunet`, `jointseg` or `vaffnet`.
        state_dict: name -> tensor or array; a leading `module.` is stripped.
        **known: fields of the network that the shapes do not determine, for example
            `num_heads=4, groups=8, dropout_rate=0.1`; otherwise the published values are assumed.

    Returns:
        The Linen module, and `{"params": ..., "batch_stats": ...}` of NumPy arrays for it, so that
        `module.apply(variables, x, train=False)` takes NHWC images and returns the logits.

    Raises:
        UserError: an unknown network or field, or a key that is missing, extra or of another shape.
    """
    names = _names(network)
    arrays = {name.removeprefix("module."): to_numpy(t) for name, t in state_dict.items()}
    unused = {name for name in arrays if names.unused.match(name)}
    counters = {name for name in unused if name.endswith(".num_batches_tracked")}
    if unused:
        parts = {_unused_part(name) for name in unused - counters}
        listed = ", ".join(
            sorted(parts) + ["counters of batches (num_batches_tracked)"] * bool(counters)
        )
        message = "Left out %d keys that %s does not use: %s"
        logger.warning(message, len(unused), network, listed)
    arrays = {name: array for name, array in arrays.items() if name not in unused}
    shapes = Shapes({name: array.shape for name, array in arrays.items()})
    if wrong := sorted(known.keys() - field_defaults(NETWORKS[network]).keys()):
        raise UserError(f"The network {network} has no field {wrong[0]!r}.")
    module = build_network(network, names.fields(shapes, known) | known)

    image = jax.ShapeDtypeStruct((1, 64, 64, len(module.slabs) or 3), jnp.float32)
    expected = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), image)
    variables = {}
    for path, leaf in flatten_dict(expected, sep="/").items():
        name = _torch_name(names, path)
        shape = _torch_shape(path, leaf.shape)
        copies = [_take(arrays, copy, shape, path) for copy in names.copies(name)]
        if not all(np.array_equal(copies[0], copy) for copy in copies[1:]):
            raise UserError(
                f"{name!r} and its copies {', '.join(names.copies(name)[1:])} differ, although "
                f"{network} shares them."
            )
        variables[path] = _to_flax(path, copies[0])
    if arrays:
        extra = ", ".join(sorted(arrays)[:5])
        raise UserError(f"{len(arrays)} keys have no place in {network}, first {extra}.")
    return module, unflatten_dict(variables, sep="/")


def to_torch(network: str, variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Makes the state dict that a network's PyTorch module loads.

    The inverse of `from_torch`, bit for bit; `load_state_dict` takes it once its arrays are
    tensors.

    Args:
        network: as for `from_torch`.
        variables: {"params", "batch_stats"}.

    Returns:
        PyTorch's name -> array in PyTorch's layout.

    Raises:
        UserError: an unknown network, or one without names in PyTorch: heads=context, or an S2A-Net
            that decodes blocks that the released one does not.
    """
    names = _names(network)
    names.check(variables["params"])
    state = {}
    for path, leaf in flatten_dict(dict(variables), sep="/").items():
        array = _to_torch_layout(path, np.asarray(leaf))
        state |= dict.fromkeys(names.copies(_torch_name(names, path)), array)
    return state


def _unused_part(name: str) -> str:
    """The module of a key, with its index if it has one: `transformer.encoder.layer.6`."""
    indexed = re.match(r"[^.]+(?:\.[a-z]+)*\.\d+(?=\.)", name)
    return indexed.group() if indexed and name.startswith("transformer") else name.split(".")[0]


def _names(network: str) -> Names:
    if network not in _NAMES:
        raise UserError(f"Unknown network {network!r}; PyTorch has {', '.join(_NAMES)}.")
    return _NAMES[network]


def _torch_name(names: Names, path: str) -> str:
    """PyTorch's name for a Flax path that starts with the collection."""
    prefix, _, leaf = path.partition("/")[2].rpartition("/")
    if leaf in _LEAVES:
        return names.torch_name(prefix + "/") + _LEAVES[leaf]
    return names.torch_name(f"{prefix}/{leaf}")


def _take(
    arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...], path: str
) -> np.ndarray:
    """Removes and returns one array; refuses a missing one or another shape."""
    if name not in arrays:
        raise UserError(f"The checkpoint lacks the key {name!r} of shape {shape} ({path}).")
    array = arrays.pop(name)
    if array.shape != shape:
        raise UserError(f"Key {name!r} has shape {array.shape}, expected {shape}.")
    return array


def _axes(path: str) -> tuple[int, ...] | None:
    """The transposition from Flax's layout to PyTorch's; None if they are the same."""
    match path.rpartition("/")[2]:
        case "transposed_kernel":
            return (2, 3, 0, 1)  # [2, 2, in, out] -> [in, out, 2, 2]
        case "kernel":
            return (3, 2, 0, 1)  # HWIO -> OIHW; a matrix is transposed
        case _:
            return None


def _torch_shape(path: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    axes = _axes(path)
    if axes is None:
        return shape
    return shape[::-1] if len(shape) == 2 else tuple(shape[axis] for axis in axes)


def _to_torch_layout(path: str, array: np.ndarray) -> np.ndarray:
    axes = _axes(path)
    if axes is None:
        return array
    return np.ascontiguousarray(array.T if array.ndim == 2 else array.transpose(axes))


def _to_flax(path: str, array: np.ndarray) -> np.ndarray:
    axes = _axes(path)
    if axes is None:
        return array
    inverse = tuple(int(axis) for axis in np.argsort(axes))
    return np.ascontiguousarray(array.T if array.ndim == 2 else array.transpose(inverse))
