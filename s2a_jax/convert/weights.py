"""Exported weights: one safetensors file that describes its own network."""

import functools
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open

from s2a_jax.convert.arrays import to_parameter
from s2a_jax.convert.files import save_safetensors
from s2a_jax.convert.kinds import kind_of
from s2a_jax.errors import UserError
from s2a_jax.files import written_whole
from s2a_jax.models.fields import field_defaults

TASKS = ("rv", "faz")
"""Tasks of every network."""

FORMAT = 1
"""Version of what this package stores: weights, and checkpoints. It grows by one when an earlier
release could no longer read them."""

_KEY = "s2a_jax"  # entry of the file's metadata: JSON with `format` and the fields of `Description`


class Description(NamedTuple):
    """What rebuilds a network, besides its weights, and what it was trained on.

    Attributes:
        network: its name.
        fields: its hyper-parameters.
        slab: the slab that a network of one slab was trained on, as in `config.data.slab`; None for
            the data set's first, or if unknown. `fields` names several slabs.
        pitches_um: smallest and largest pixel pitch of its training images, um, as it saw them
            without augmentation; None if that of any of them is unknown.
        tasks: those that its training data had masks of, in the order of `TASKS`.
    """

    network: str
    fields: dict[str, Any]
    slab: str | None = None
    pitches_um: tuple[float, float] | None = None
    tasks: tuple[str, ...] = TASKS

    def stored(self) -> dict[str, Any]:
        """The JSON value that `parse_description` takes."""
        return {"format": FORMAT} | self._asdict()


def check_format(values: Any, owner: Path) -> None:
    """Checks the field `format` of stored JSON.

    Args:
        values: the JSON value.
        owner: the file or folder that it describes.

    Raises:
        UserError: it is not the format of this release.
    """
    found = values.get("format") if isinstance(values, dict) else None
    if type(found) is int and found > FORMAT:  # True is an int as well
        raise UserError(
            f"{owner} has format {found}, which a newer s2a_jax wrote; this one reads format "
            f"{FORMAT}: upgrade it."
        )
    if type(found) is not int or found != FORMAT:
        raise UserError(
            f"{owner} does not name the format {FORMAT}: it is damaged, or s2a_jax did not write "
            "it; copy it again, or pass another."
        )


def parse_description(values: Any, owner: Path) -> Description:
    """Checks a description that was stored as JSON.

    Args:
        values: the stored value.
        owner: the file or folder that holds it.

    Raises:
        UserError: it is of another format, or does not name a network, its fields, and what it was
            trained on.
    """
    check_format(values, owner)
    given = values if isinstance(values, dict) else {}
    network, fields, slab, pitches_um, tasks = (given.get(name) for name in Description._fields)
    is_text = isinstance(network, str) and isinstance(slab, str | None)
    if not is_text or not isinstance(fields, dict):
        raise UserError(
            f"{owner} does not name its network and fields: it is damaged, or s2a_jax did not "
            "write it; copy it again, or pass another."
        )
    if not _is_range(pitches_um) or not _are_tasks(tasks):
        raise UserError(
            f"{owner} names pitches_um={pitches_um} and tasks={tasks}; expected null or two "
            f"micrometres in order, and a list of {' and '.join(TASKS)}: it is damaged, or s2a_jax "
            "did not write it; copy it again, or pass another."
        )
    return Description(network, fields, slab, pitches_um and tuple(pitches_um), tuple(tasks))


def _is_range(pitches_um: Any) -> bool:
    """Whether this is None, or two positive numbers in order."""
    if pitches_um is None:
        return True
    if not isinstance(pitches_um, list) or len(pitches_um) != 2:
        return False
    are_numbers = all(type(one) in (int, float) for one in pitches_um)
    return are_numbers and all(0 <= a <= b < np.inf for a, b in pairwise((0, *pitches_um)))


def _are_tasks(tasks: Any) -> bool:
    """Whether this lists tasks, each once and in order."""
    return (
        isinstance(tasks, list)
        and bool(tasks)
        and tasks == [task for task in TASKS if task in tasks]
    )


def save_weights(
    path: Path, description: Description, variables: Mapping[str, Any], *, half: bool = False
) -> None:
    """Writes variables together with the description that rebuilds their network.

    Args:
        path: file to write, `.safetensors`; it appears only when it is complete.
        description: of the network; its hyper-parameters are JSON values.
        variables: {"params", "batch_stats"}.
        half: store float16, which halves the file; values are rounded to 11 bits.

    Raises:
        UserError: the file cannot be written.
    """
    arrays = {
        name: np.ascontiguousarray(array, np.float16 if half else None)
        for name, array in flatten_dict(dict(variables), sep="/").items()
    }
    described = json.dumps(description.stored())
    with written_whole(path) as partial:
        save_safetensors(arrays, partial, {_KEY: described})


def module_fields(module: nn.Module) -> dict[str, Any]:
    """Hyper-parameters of a network as JSON values, as `Description` takes them."""
    fields = {name: getattr(module, name) for name in field_defaults(module)}
    return fields | {"dtype": jnp.dtype(fields["dtype"]).name}


def is_ours(path: Path) -> bool:
    """Whether `save_weights` wrote a file.

    Raises:
        UserError: it is missing, damaged, or no file of weights.
    """
    if kind_of(path) != "safetensors":
        return False
    try:
        with safe_open(path, framework="np") as file:
            return _KEY in (file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no readable safetensors file: {error}.") from error


def read_weights(path: Path) -> tuple[Description, dict[str, Any]]:
    """Reads a file of `save_weights`.

    Returns:
        The description, and {"params", "batch_stats"} of NumPy arrays; float16 becomes float32.

    Raises:
        UserError: the file is missing or damaged, or this package did not write it.
    """
    if not is_ours(path):
        raise UserError(
            f"s2a_jax did not write {path}: use the weights.safetensors of a workdir, or convert "
            "PyTorch's weights with "
            f"python -m s2a_jax convert --network NAME --from {path} --to FILE.safetensors."
        )
    try:
        with safe_open(path, framework="np") as file:
            description = file.metadata()[_KEY]
            arrays = {name: _widened(file.get_tensor(name)) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no readable safetensors file: {error}.") from error
    except AttributeError as error:  # a type that NumPy lacks, such as float8
        raise UserError(f"{path}: {error}; save its weights as float32 or float16.") from error
    try:
        values = json.loads(description)
    except (RecursionError, ValueError):  # nested too deeply, or no JSON
        values = None
    return parse_description(values, path), _nested(arrays, path)


def check_variables(module: nn.Module, variables: Mapping[str, Any], network: str) -> None:
    """Checks that variables are those of a network.

    Args:
        module: the network.
        variables: {"params", "batch_stats"} of arrays.
        network: its name.

    Raises:
        UserError: an array is missing, is none of the network's, or has another shape, or its
            values are no finite floating-point numbers.
    """
    shapes = _shapes(module)
    arrays = flatten_dict(dict(variables), sep="/")
    found = {name: array.shape for name, array in arrays.items()}
    for name in sorted(shapes.keys() | found.keys()):
        if shapes.get(name) != found.get(name):
            raise UserError(
                f"These weights are not those of the network {network} they name: {name} is "
                f"{found.get(name, 'missing')}, expected {shapes.get(name, 'no such array')}."
            )
    for name, array in arrays.items():
        to_parameter(name, array)


@functools.lru_cache(maxsize=8)
def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name of an array of a network -> its shape."""
    image = jax.ShapeDtypeStruct((1, 64, 64, len(module.slabs) or 1), np.float32)
    expected = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), image)
    return {name: leaf.shape for name, leaf in flatten_dict(expected, sep="/").items()}


def _nested(arrays: dict[str, np.ndarray], path: Path) -> dict[str, Any]:
    """Containers of the arrays, whose names are paths with `/`.

    Raises:
        UserError: an array has the name of a container.
    """
    for name in sorted(arrays):
        parts = name.split("/")
        above = ("/".join(parts[:i]) for i in range(1, len(parts)))
        if (other := next((one for one in above if one in arrays), None)) is not None:
            raise UserError(
                f"{path} has an array {other!r} and another below that name, {name!r}: it is "
                "damaged, or s2a_jax did not write it; copy it again, or pass another."
            )
    return unflatten_dict(arrays, sep="/")


def _widened(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array
