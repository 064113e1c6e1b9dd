"""The piece of a FAZ mask that is the FAZ: an eye has one avascular zone, around the fovea."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

_EIGHT = np.ones((3, 3), bool)
_SPECK = 0.05  # of the largest piece's area; smaller pieces are specks, wherever they lie


class Central(NamedTuple):
    """What is kept of a FAZ mask.

    Attributes:
        mask: bool [H, W], one piece without holes; empty if there was none.
        dropped: number of pieces that were left out.
    """

    mask: np.ndarray
    dropped: int


def central_piece(mask: np.ndarray) -> Central:
    """Keeps the piece of a FAZ mask that is nearest to the image's centre, and fills its holes.

    Scans are centred on the fovea; elsewhere networks take gaps between vessels and dark areas for
    the FAZ, and such an area may be larger than the FAZ is. So position decides, not size, except
    that specks of less than 5 % of the largest piece's area are no FAZ.

    Args:
        mask: bool [H, W], a predicted FAZ. Pieces are 8-connected.
    """
    labels, count = ndimage.label(mask, _EIGHT)
    if not count:
        return Central(np.zeros_like(mask), 0)
    return Central(ndimage.binary_fill_holes(labels == central_label(labels, count)), count - 1)


def central_label(labels: np.ndarray, count: int) -> int:
    """The label of the piece that `central_piece` keeps.

    Args:
        labels: int [H, W], 0 outside; pieces are 1 to `count`.
        count: number of pieces, at least 1.
    """
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    y, x = np.nonzero(labels)
    height, width = labels.shape
    squared = np.square(y - (height - 1) / 2) + np.square(x - (width - 1) / 2)
    nearest = np.full(count, np.inf)
    np.minimum.at(nearest, labels[y, x] - 1, squared)
    nearest[areas < _SPECK * areas.max()] = np.inf
    return 1 + int(np.lexsort((-areas, nearest))[0])  # of equally near ones the largest
