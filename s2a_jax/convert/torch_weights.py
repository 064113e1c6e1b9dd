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
from s2a_jax.convert.arrays import check_dense, to_numpy, to_parameter
from s2a_jax.convert.names import Names, Shapes
from s2a_jax.convert.selection import choose, find_weights, first_keys
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
"""Name of a network that exists in PyTorch -> its arrays' names there.

S2A-Net comes before TransUNet, whose mark it has too.
"""

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
    network: str, checkpoint: Any, *, which: str | None = None, **known: Any
) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuilds a network and its variables from PyTorch weights.

    Hyper-parameters are read off the shapes. Keys that the released network holds but never uses
    are left out; log messages name them, and what was chosen or stripped.

    Args:
        network: `s2anet`, `unet`, `transunet`, `jointseg` or `vaffnet`.
        checkpoint: a state dict (name -> tensor or array), or nested containers with one in them.
        which: as for `state_dict_of`.
        **known: fields of the network that the shapes do not determine, for example
            `num_heads=4, groups=8, dropout_rate=0.1`; otherwise the published values are assumed.

    Returns:
        The Linen module, and `{"params": ..., "batch_stats": ...}` of NumPy arrays for it, so that
        `module.apply(variables, x, train=False)` takes NHWC images and returns the logits.

    Raises:
        UserError: an unknown network or field, no weights of this network, a key that is missing,
            extra or of another shape, or one whose values are no finite floating-point numbers.
    """
    names = _names(network)
    arrays = state_dict_of(network, checkpoint, which=which)
    unused = {name for name in arrays if names.is_unused(name)}
    counters = {name for name in unused if name.endswith(".num_batches_tracked")}
    if unused:
        parts = {_unused_part(name) for name in unused - counters}
        listed = ", ".join(
            sorted(parts) + ["counters of batches (num_batches_tracked)"] * bool(counters)
        )
        message = "Left out keys that %s does not use (%d): %s"
        logger.warning(message, network, len(unused), listed)
    arrays = {name: array for name, array in arrays.items() if name not in unused}
    for name, array in arrays.items():
        check_dense(name, array)
    shapes = Shapes({name: tuple(array.shape) for name, array in arrays.items()})
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
        raise UserError(f"Keys without a place in {network}: {len(arrays)}, first {extra}.")
    return module, unflatten_dict(variables, sep="/")


def state_dict_of(network: str, checkpoint: Any, *, which: str | None = None) -> dict[str, Any]:
    """Finds the weights of a network in a checkpoint.

    Args:
        network: as for `from_torch`.
        checkpoint: nested containers of tensors or arrays.
        which: a part of the path of the weights to take, such as `state_dict_ema`, where there are
            several; None for the only ones, or the only ones that are no average.

    Returns:
        PyTorch's name, without prefixes -> tensor or array.

    Raises:
        UserError: an unknown network, no weights of it, or several to choose from.
    """
    mark = _names(network).mark
    found = [w for w in find_weights(checkpoint, mark) if _looks_like(w.arrays) == network]
    if found:
        return choose(found, which).arrays
    for other, names in _NAMES.items():
        if find_weights(checkpoint, names.mark):
            raise UserError(
                f"These are weights of {other}, not of {network}: convert them with --network "
                f"{other}."
            )
    keys = first_keys(checkpoint)
    raise UserError(
        f"There are no weights of {network}, which have a key {mark!r}: "
        + (f"the first keys are {', '.join(keys)}." if keys else "there are no tensors.")
    )


def to_torch(
    network: str, variables: Mapping[str, Any], template: Any = None
) -> dict[str, np.ndarray]:
    """Makes a state dict for a network's PyTorch module.

    The inverse of `from_torch`, bit for bit. The original S2A-Net, Joint-Seg and VAFF-Net also hold
    parts that they never use: without a template their `load_state_dict` needs `strict=False`, and
    `missing_from` lists the keys of these parts.

    Args:
        network: as for `from_torch`.
        variables: {"params", "batch_stats"}.
        template: a state dict of the original, whose arrays are written where this package has
            none, so that `load_state_dict` takes the result as it is.

    Returns:
        PyTorch's name -> array in PyTorch's layout.

    Raises:
        UserError: an unknown network, or one without names in PyTorch: heads=context, or an S2A-Net
            that decodes blocks that the released one does not; or a template of another network.
    """
    names = _names(network)
    names.check(variables["params"])
    state = {}
    for path, leaf in flatten_dict(dict(variables), sep="/").items():
        array = _to_torch_layout(path, np.asarray(leaf))
        state |= dict.fromkeys(names.copies(_torch_name(names, path)), array)
    return state if template is None else _completed(network, state, template)


def missing_from(network: str) -> tuple[str, ...]:
    """Shell patterns of the keys that the original has and `to_torch` cannot write.

    Counters of batch norms are not among them: PyTorch makes up for missing ones.
    """
    names = _names(network)
    return names.unused + names.optional


def _completed(
    network: str, state: Mapping[str, np.ndarray], template: Any
) -> dict[str, np.ndarray]:
    """The keys of a template in its order: arrays of `state`, and its own where there are none."""
    names = _names(network)
    whole = state_dict_of(network, template)
    for name, array in state.items():
        shape = tuple(whole[name].shape) if name in whole else None
        if shape != array.shape:
            raise UserError(
                f"The template has {'no key' if shape is None else f'shape {shape} at'} {name!r}, "
                f"the weights {array.shape}: it is another network."
            )
    kept = [name for name in whole if name not in state]
    for name in kept:
        check_dense(name, whole[name])
        if not names.is_unused(name) and not names.is_optional(name):
            raise UserError(
                f"The template has a key {name!r} that the weights lack: it is another network."
            )
    if optional := [name for name in kept if names.is_optional(name)]:
        parts = ", ".join(sorted({_unused_part(name) for name in optional}))
        message = "%d keys keep the template's values, since the weights lack their part: %s"
        logger.warning(message, len(optional), parts)
    return {name: state[name] if name in state else to_numpy(t) for name, t in whole.items()}


def _looks_like(names: Mapping[str, Any]) -> str | None:
    """The first network whose mark is among names."""
    return next((network for network, n in _NAMES.items() if n.mark in names), None)


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


def _take(arrays: dict[str, Any], name: str, shape: tuple[int, ...], path: str) -> np.ndarray:
    """Removes and returns one weight; refuses a missing one or another shape."""
    if name not in arrays:
        raise UserError(f"The checkpoint lacks the key {name!r} of shape {shape} ({path}).")
    tensor = arrays.pop(name)
    if tuple(tensor.shape) != shape:
        raise UserError(f"Key {name!r} has shape {tuple(tensor.shape)}, expected {shape}.")
    return to_parameter(name, tensor)


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
