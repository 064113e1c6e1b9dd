"""Overlapping tiles of images that are too large for the memory, and their smooth blending."""

import math
from typing import NamedTuple

import numpy as np

WHOLE = 1024
"""Images of at most this number of pixels squared are predicted as a whole; tiles are this wide."""

_OVERLAP = 128  # pixels that neighbouring tiles share, at least; 256 came no nearer to the whole


class Tile(NamedTuple):
    """A part of an image.

    The weights of all tiles, `weight_down[:, None] * weight_across`, sum to 1 at every pixel.

    Attributes:
        rows: its rows in the image.
        columns: its columns.
        weight_down: float32 [h] in [0, 1].
        weight_across: float32 [w] in [0, 1].
    """

    rows: slice
    columns: slice
    weight_down: np.ndarray
    weight_across: np.ndarray


def tiles_of(height: int, width: int) -> list[Tile]:
    """Divides an image into tiles of one size, row by row; one tile if it is small enough."""
    is_whole = height * width <= WHOLE**2
    down, across = (_parts(side, side if is_whole else WHOLE) for side in (height, width))
    return [
        Tile(rows, columns, weight_down, weight_across)
        for rows, weight_down in down
        for columns, weight_across in across
    ]


def _parts(length: int, most: int) -> list[tuple[slice, np.ndarray]]:
    """Evenly spaced parts of an axis, each `most` pixels long, and their weights."""
    if length <= most:
        return [(slice(0, length), np.ones(length, np.float32))]
    count = math.ceil((length - _OVERLAP) / (most - _OVERLAP))
    starts = [round(i * (length - most) / (count - 1)) for i in range(count)]
    weights = np.zeros((count, length))
    for weight, start in zip(weights, starts, strict=True):
        # Highest in the middle; only ratios of neighbours matter, and there are at most a few.
        to_edge = 0.5 + np.minimum(np.arange(most), np.arange(most)[::-1])
        inner = np.minimum(to_edge / _OVERLAP, 1.0)
        weight[start : start + most] = np.sin(0.5 * np.pi * inner) ** 2
    weights /= weights.sum(axis=0)
    return [
        (slice(start, start + most), weight[start : start + most].astype(np.float32))
        for weight, start in zip(weights, starts, strict=True)
    ]
