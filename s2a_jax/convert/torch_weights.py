"""State dicts of PyTorch into Flax variables and back, network by network."""

import dataclasses
import logging
import re
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from s2a_jax.convert import jointseg, s2anet, transunet, unet, vaffnet
from s2a_jax.convert.files import to_numpy
from s2a_jax.convert.names import Shapes, rename
from s2a_jax.convert.weights import module_fields
from s2a_jax.errors import UserError
from s2a_jax.models.build import NETWORKS, check_fields

_NAMES: Mapping[str, ModuleType] = MappingProxyType(
    {
        "s2anet": s2anet,
        "unet": unet,
        "transunet": transunet,
        "jointseg": jointseg,
        "vaffnet": vaffnet,
    }
)
"""Network -> module with `UNUSED`, `RULES`, `fields_from_shapes` and possibly `ALIASES`."""

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
    are left out, with a log message that names them.

    Args:
        network: `s2anet`, `unet`, `transunet`, `jointseg` or `vaffnet`.
        state_dict: name -> tensor or array; a leading `module.` is stripped.
        **known: fields of the network that shapes do not tell, for example
            `num_heads=4, groups=8, dropout_rate=0.1`; the published values are assumed otherwise.

    Returns:
        The Linen module, and `{"params": ..., "batch_stats": ...}` of NumPy arrays for it, so that
        `module.apply(variables, x, train=False)` takes NHWC images and returns the logits.

    Raises:
        UserError: an unknown network or field, or a key that is missing, extra or of another shape.
    """
    names = _names(network)
    arrays = {name.removeprefix("module."): to_numpy(t) for name, t in state_dict.items()}
    unused = {name for name in arrays if names.UNUSED.match(name)}
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
    allowed = {field.name for field in dataclasses.fields(NETWORKS[network])}
    if wrong := sorted(known.keys() - (allowed - {"parent", "name"})):
        raise UserError(f"The network {network} has no field {wrong[0]!r}.")
    module = NETWORKS[network](**(names.fields_from_shapes(shapes, known) | known))
    check_fields(network, module_fields(module), prefix="")

    image = jax.ShapeDtypeStruct((1, 64, 64, len(module.slabs) or 3), jnp.float32)
    expected = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), image)
    variables = {}
    for path, leaf in flatten_dict(expected, sep="/").items():
        name = _torch_name(names, path)
        shape = _torch_shape(path, leaf.shape)
        copies = [_take(arrays, copy, shape, path) for copy in _with_aliases(names, name)]
        if not all(np.array_equal(copies[0], copy) for copy in copies[1:]):
            raise UserError(f"{name!r} and its copies differ, although {network} shares them.")
        variables[path] = _to_flax(path, copies[0])
    if arrays:
        extra = ", ".join(sorted(arrays)[:5])
        raise UserError(f"{len(arrays)} keys have no place in {network}, the first: {extra}.")
    return module, unflatten_dict(variables, sep="/")


def to_torch(network: str, variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The state dict that PyTorch's module of a network loads.

    The inverse of `from_torch`, bit for bit; `load_state_dict` takes it as it is once its arrays
    are tensors.

    Args:
        network: as for `from_torch`.
        variables: {"params", "batch_stats"}.

    Returns:
        PyTorch's name -> array in PyTorch's layout.

    Raises:
        UserError: an unknown network, or LCEM and GCEM on another network than S2A-Net, for which
            no PyTorch names exist, or S2A-Net with blocks in another order or place than the
            released one's.
    """
    names = _names(network)
    if network != "s2anet" and "heads" in variables["params"]:
        raise UserError(
            f"{network} with heads=context is this package's own: PyTorch has no names for it."
        )
    if network == "s2anet":
        s2anet.check_layers(variables["params"]["heads"])
    state = {}
    for path, leaf in flatten_dict(dict(variables), sep="/").items():
        array = _to_torch_layout(path, np.asarray(leaf))
        state |= dict.fromkeys(_with_aliases(names, _torch_name(names, path)), array)
    return state


def _unused_part(name: str) -> str:
    """The module of a key, with its index where it has one: `transformer.encoder.layer.6`."""
    indexed = re.match(r"[^.]+(?:\.[a-z]+)*\.\d+(?=\.)", name)
    return indexed.group() if indexed and name.startswith("transformer") else name.split(".")[0]


def _names(network: str) -> ModuleType:
    if network not in _NAMES:
        raise UserError(f"Unknown network {network!r}; known: {', '.join(_NAMES)}.")
    return _NAMES[network]


def _torch_name(names: ModuleType, path: str) -> str:
    """PyTorch's name for a Flax path that starts with the collection."""
    prefix, _, leaf = path.partition("/")[2].rpartition("/")
    if leaf in _LEAVES:
        return rename(prefix + "/", names.RULES) + _LEAVES[leaf]
    return rename(f"{prefix}/{leaf}", names.RULES)


def _with_aliases(names: ModuleType, name: str) -> list[str]:
    """A name, and the names of the copies of the same array."""
    for prefix, others in getattr(names, "ALIASES", {}).items():
        if name.startswith(prefix):
            return [name, *(name.replace(prefix, other) for other in others)]
    return [name]


def _take(
    arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...], path: str
) -> np.ndarray:
    """Removes and returns one array, which must be there and have the shape."""
    if name not in arrays:
        raise UserError(f"The checkpoint lacks the key {name!r} of shape {shape} (here {path}).")
    array = arrays.pop(name)
    if array.shape != shape:
        raise UserError(f"Key {name!r} has shape {array.shape}, expected {shape}.")
    return array


def _axes(path: str) -> tuple[int, ...] | None:
    """The transposition from Flax's layout to PyTorch's; None where they are the same."""
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
