"""Initial values of a network from a trained one that may have another grid or other slabs."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict

from s2a_jax.convert.positions import positions_on
from s2a_jax.convert.weights import Description
from s2a_jax.errors import UserError

_LEAST = 0.1
"""Share of a network's numbers below which another one is no start for it: chance fits that few."""

_SHAPELESS = ("num_heads", "groups")
"""Fields that no shape depends on, but what the arrays compute does."""

Shape = tuple[int, ...]


class Start(NamedTuple):
    """What a network takes from a trained one.

    Attributes:
        values: path of an array, such as `params/heads/rv/conv/kernel` -> float32 array.
        resized: paths of those that were resized to the network's grid of position embeddings.
        adapted: paths of those that were adapted to its number of slabs.
        left: paths of the network's other arrays.
    """

    values: dict[str, np.ndarray]
    resized: list[str]
    adapted: list[str]
    left: list[str]


def start_values(
    theirs: Description,
    variables: Mapping[str, Any],
    ours: Description,
    shapes: Mapping[str, Shape],
    owner: str,
) -> Start:
    """Takes the arrays of a trained network that have the same name and shape.

    Position embeddings of another grid are resized, and the first convolution is adapted to another
    number of slabs (`adapt_channels`).

    Args:
        theirs: the trained network.
        variables: its {"params", "batch_stats"}.
        ours: the network to start.
        shapes: path of each of its arrays -> shape.
        owner: what `theirs` is in messages: a field with its value.

    Raises:
        UserError: `theirs` is another network, computes something else with the same arrays, or
            nearly nothing of it fits.
    """
    if theirs.network != ours.network:
        raise UserError(
            f"{owner} is the network {theirs.network}, but config.model.name={ours.network}: give "
            f"weights of {ours.network}, or set --config.model.name={theirs.network}."
        )
    arrays = flatten_dict(dict(variables), sep="/")
    start = Start({}, [], [], [])
    for name, shape in sorted(shapes.items()):
        array = arrays.get(name)
        if array is not None and array.shape == shape:
            value = array
        elif array is not None and _are_positions(name, array, theirs, shape):
            value = positions_on(array, tuple(theirs.fields["grid"]), tuple(ours.fields["grid"]))
            start.resized.append(name)
        elif array is not None and _is_first(array.shape, theirs, shape, ours):
            value = adapt_channels(array, shape[2])
            start.adapted.append(name)
        else:
            start.left.append(name)
            continue
        start.values[name] = value.astype(np.float32)
    taken = sum(value.size for value in start.values.values())
    if taken < _LEAST * sum(math.prod(shape) for shape in shapes.values()):
        raise UserError(
            f"{owner}: only {len(start.values)} of the {len(shapes)} arrays of this {ours.network} "
            "have the shape of those; set --config.model.variant, and fields such as "
            "--config.model.width, as that network has them."
        )
    for field in _SHAPELESS:
        old, new = (one.fields.get(field) for one in (theirs, ours))
        if old != new:
            raise UserError(
                f"{owner} has {field}={old}, but config.model.{field}={new} here: its arrays would "
                f"compute something else; set --config.model.{field}={old}."
            )
    return start


def adapt_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Adapts a first convolution to another number of channels.  [h, w, C, F] -> [h, w, C', F].

    Every new channel has the mean m of the old ones, and every filter keeps its deviation from the
    mean by a pattern e of the old kernel that the new channels have with different signs:
    k'[c] = C / C' * (m + p[c] * e), where p has mean 0 and mean square 1. So an image that is the
    same in all channels gets the response that it got before: exactly without weight
    standardisation, and with it up to the factor C' / C of all filters, which the norm that follows
    removes.

    Args:
        kernel: the old one.
        channels: C', at least 2.
    """
    mean = kernel.mean(axis=2)
    deviation = kernel - mean[:, :, None]
    pattern = deviation[:, :, 0]  # [h, w, F]
    strength = np.sqrt((deviation**2).mean(axis=(0, 1, 2)))  # [F]
    own = np.sqrt((pattern**2).mean(axis=(0, 1)))
    pattern = pattern * np.divide(strength, own, out=np.zeros_like(own), where=own > 0)
    signs = np.linspace(-1, 1, channels, dtype=kernel.dtype)
    signs /= np.sqrt((signs**2).mean())
    adapted = mean[:, :, None] + signs[:, None] * pattern[:, :, None]
    return adapted * (kernel.shape[2] / channels)


def _are_positions(name: str, array: np.ndarray, theirs: Description, shape: Shape) -> bool:
    """Whether an array holds the position embeddings of another grid, of the same width."""
    is_named = name.endswith("/position_embedding") and array.ndim == 3
    return (
        is_named
        and array.shape[::2] == shape[::2]
        and array.shape[1] == math.prod(theirs.fields.get("grid", ()))
    )


def _is_first(array: Shape, theirs: Description, shape: Shape, ours: Description) -> bool:
    """Whether a kernel differs only by taking the slabs of one network, or those of the other."""
    channels = tuple(len(one.fields.get("slabs", ())) or 3 for one in (theirs, ours))
    return (
        len(array) == len(shape) == 4
        and (array[2], shape[2]) == channels
        and (*array[:2], array[3]) == (*shape[:2], shape[3])
    )
