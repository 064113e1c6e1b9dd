"""State dicts of PyTorch into Flax variables, network by network."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from s2a_jax.convert import s2anet
from s2a_jax.errors import UserError

NETWORKS = MappingProxyType({"s2anet": s2anet})
"""Network name -> module with `UNUSED`, `torch_prefix` and `module_from_shapes`."""

_LEAVES = {
    "kernel": "weight",
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
    are left out, with a log message that counts them.

    Args:
        network: `s2anet`.
        state_dict: name -> tensor or array; a leading `module.` is stripped.
        **known: what shapes do not tell, for example `num_heads=12, dropout_rate=0.1`.

    Returns:
        The Linen module, and `{"params": ..., "batch_stats": ...}` of NumPy arrays for it, so that
        `module.apply(variables, x, train=False)` takes NHWC images and returns both logits.

    Raises:
        UserError: an unknown network, or a key that is missing, extra or of another shape.
    """
    if network not in NETWORKS:
        raise UserError(f"Unknown network {network!r}; known: {', '.join(NETWORKS)}.")
    names = NETWORKS[network]
    arrays = {name.removeprefix("module."): _to_numpy(t) for name, t in state_dict.items()}
    unused = [name for name in arrays if names.UNUSED.match(name)]
    if unused:
        parts = sorted({name.split(".")[0] for name in unused})
        logger.warning(
            "Left out %d keys that %s does not use, under: %s",
            len(unused),
            network,
            ", ".join(parts),
        )
    arrays = {name: array for name, array in arrays.items() if name not in set(unused)}
    module = names.module_from_shapes({k: v.shape for k, v in arrays.items()}, **known)

    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    expected = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), image)
    variables = {}
    for path, leaf in flatten_dict(expected, sep="/").items():
        collection, _, rest = path.partition("/")
        prefix, _, leaf_name = rest.rpartition("/")
        if leaf_name in _LEAVES:
            name = names.torch_prefix(prefix + "/") + _LEAVES[leaf_name]
        else:
            name = names.torch_prefix(rest)
        if name not in arrays:
            raise UserError(f"The checkpoint lacks the key {name!r}, expected for {rest}.")
        array = _to_flax_layout(arrays.pop(name))
        if array.shape != leaf.shape:
            raise UserError(
                f"Key {name!r} has shape {array.shape} in Flax's layout, expected {leaf.shape}."
            )
        variables[f"{collection}/{rest}"] = array
    if arrays:
        extra = ", ".join(sorted(arrays)[:5])
        raise UserError(f"{len(arrays)} keys have no place in {network}, the first: {extra}.")
    return module, unflatten_dict(variables, sep="/")


def _to_numpy(tensor: Any) -> np.ndarray:
    """A tensor of PyTorch (told by `detach`, without importing it) or an array, as an array."""
    return tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else np.asarray(tensor)


def _to_flax_layout(array: np.ndarray) -> np.ndarray:
    """Convolutions OIHW -> HWIO, linear layers [out, in] -> [in, out], the rest unchanged."""
    match array.ndim:
        case 4:
            return np.ascontiguousarray(array.transpose(2, 3, 1, 0))
        case 2:
            return np.ascontiguousarray(array.T)
        case _:
            return array
