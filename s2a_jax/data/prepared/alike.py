"""Pairs of similar thumbnails among many, without the matrix of all pairs."""

import numpy as np

_BLOCK = 1024  # rows and columns of the part of the matrix that is in memory
_COARSE = 4  # px; side of the squares whose means bound a correlation
_ROUNDING = 1e-4  # far above what float32 loses in a sum of 1,000 products


def alike_pairs(thumbnails: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Finds all pairs i < j whose correlation is at least `least`, in their order.

    The means of squares of pixels bound each correlation (the rest of two thumbnails correlates by
    at most the product of its lengths), with a sixteenth of the work; only pairs that this leaves
    are computed in full.

    Args:
        thumbnails: float32 [N, S * S], each of unit length and mean 0, or all 0.
        least: in (0, 1].
    """
    if len(thumbnails) < 2:
        return []
    bounds = _bounds(thumbnails)
    found = []
    for first in range(0, len(bounds), _BLOCK):
        rows = slice(first, first + _BLOCK)
        for start in range(first, len(bounds), _BLOCK):
            columns = slice(start, start + _BLOCK)
            i, j = np.nonzero(bounds[rows] @ bounds[columns].T >= least - _ROUNDING)
            i, j = i + first, j + start
            i, j = i[i < j], j[i < j]
            for part in range(0, len(i), _BLOCK):
                one, other = i[part : part + _BLOCK], j[part : part + _BLOCK]
                close = (thumbnails[one] * thumbnails[other]).sum(axis=1) >= least
                found += zip(one[close].tolist(), other[close].tolist(), strict=True)
    return sorted(found)


def _bounds(thumbnails: np.ndarray) -> np.ndarray:
    """Vectors [N, D] whose products are at least the correlations."""
    number, pixels = thumbnails.shape
    side = round(pixels**0.5) // _COARSE
    squares = thumbnails.reshape(number, side, _COARSE, side, _COARSE)
    coarse = squares.sum(axis=(2, 4)).reshape(number, -1) / _COARSE  # orthonormal components
    rest = np.sqrt(np.maximum(0, (thumbnails**2).sum(axis=1) - (coarse**2).sum(axis=1)))
    return np.concatenate([coarse, rest[:, None]], axis=1).astype(np.float32)
