"""Exported weights: one safetensors file that describes its own network."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from s2a_jax.convert.files import written_whole
from s2a_jax.errors import UserError

_KEY = "s2a_jax"  # of the file's metadata: JSON with `network` and `fields`


def save_weights(
    path: Path,
    network: str,
    fields: Mapping[str, Any],
    variables: Mapping[str, Any],
    *,
    half: bool = False,
) -> None:
    """Writes variables and what is needed to rebuild the network.

    Args:
        path: file to write, `.safetensors`; it appears only when it is complete.
        network: name of the network.
        fields: its hyper-parameters, JSON values.
        variables: {"params", "batch_stats"}.
        half: store float16, in half the space; values are rounded to 11 bits.

    Raises:
        UserError: the file cannot be written.
    """
    arrays = {
        name: np.ascontiguousarray(array, np.float16 if half else None)
        for name, array in flatten_dict(dict(variables), sep="/").items()
    }
    description = json.dumps({"network": network, "fields": dict(fields)})
    with written_whole(path) as partial:
        save_file(arrays, partial, metadata={_KEY: description})


def module_fields(module: nn.Module) -> dict[str, Any]:
    """The hyper-parameters of a network as JSON values, as `save_weights` takes them."""
    fields = {
        field.name: getattr(module, field.name)
        for field in dataclasses.fields(module)
        if field.name not in ("parent", "name")
    }
    return fields | {"dtype": jnp.dtype(fields["dtype"]).name}


def is_ours(path: Path) -> bool:
    """Whether a file was written by `save_weights`."""
    if path.suffix.lower() != ".safetensors":
        return False
    try:
        with safe_open(path, framework="np") as file:
            return _KEY in (file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no readable safetensors file: {error}.") from error


def load_weights(path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Reads what `save_weights` wrote.

    Returns:
        The network's name, its fields, and {"params", "batch_stats"} of NumPy arrays; float16 is
        widened to float32.

    Raises:
        UserError: the file is damaged or was not written by this package.
    """
    try:
        with safe_open(path, framework="np") as file:
            description = (file.metadata() or {}).get(_KEY)
            arrays = {name: _widened(file.get_tensor(name)) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no readable safetensors file: {error}.") from error
    if description is None:
        raise UserError(
            f"{path} was not written by s2a_jax: its metadata has no entry {_KEY!r}. Use the "
            "weights.safetensors of a workdir, or bring PyTorch's weights in with "
            f"python -m s2a_jax convert --network NAME --from {path} --to FILE.safetensors."
        )
    described = json.loads(description)
    return described["network"], described["fields"], unflatten_dict(arrays, sep="/")


def _widened(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array
