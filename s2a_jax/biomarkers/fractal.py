"""Fractal dimension by box counting."""

import numpy as np

_SMALLEST = 2  # pixels; boxes of one pixel measure the grid
_LARGEST_SHARE = 8  # the largest box is the image's shorter side over this
_OFFSETS = 4  # positions of the grid along each axis


def box_counting_dimension(mask: np.ndarray) -> float:
    """Minus the slope of log(boxes that hold a pixel of the mask) over log(side of the box).

    Sides run from 2 pixels to an eighth of the image's shorter side, by factors of sqrt(2). Only
    boxes that lie wholly in the image count, at 4x4 positions of the grid, and their share that is
    hit is scaled to the whole image; partial boxes at the edge would count as full ones.

    Args:
        mask: bool [H, W].

    Returns:
        The dimension, 0 to 2. NaN for an image with a side below 32 pixels, and for a mask without
        structure at these scales: fewer pixels than a line across the image, a blob that fits into
        the largest box, or scattered pixels whose slope is no dimension.
    """
    side = min(mask.shape)
    largest = side / _LARGEST_SHARE
    if largest < 2 * _SMALLEST or np.count_nonzero(mask) < side:
        return np.nan
    if max(np.ptp(line) + 1 for line in np.nonzero(mask)) <= largest:
        return np.nan
    steps = np.arange(int(2 * np.log2(largest / _SMALLEST) + 1e-9) + 1)
    sides = np.unique(np.round(_SMALLEST * 2 ** (steps / 2)).astype(int))
    # Pixels of the mask above and to the left: four of these give the pixels in any box.
    integral = np.pad(mask.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    boxes = [mask.size / side**2 * _share_hit(integral, side) for side in sides.tolist()]
    if min(boxes) == 0:
        return np.nan
    slope = np.polyfit(np.log(sides), np.log(boxes), 1)[0]
    dimension = round(float(-slope), 12)  # a full mask has 2 and a few bits more
    return dimension if 0 <= dimension <= 2 else np.nan


def _share_hit(integral: np.ndarray, side: int) -> float:
    """Mean share of boxes that hold a pixel, over the positions of the grid."""
    shares = []
    offsets = range(0, side, max(1, side // _OFFSETS))
    for top in offsets:
        for left in offsets:
            corners = integral[top::side, left::side]
            shares.append((np.diff(np.diff(corners, axis=0), axis=1) > 0).mean())
    return float(np.mean(shares))
