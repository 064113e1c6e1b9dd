"""Outlines of masks, to a fraction of a pixel."""

import numpy as np

from s2a_jax.biomarkers.curves import Curves, chains


def outlines(mask: np.ndarray) -> Curves:
    """Smoothed closed outlines of the parts and holes of a mask.

    They are marching-squares contours, through the points halfway between a pixel inside and one
    outside. Pixels that touch at a corner only are apart.

    Args:
        mask: bool [H, W]; everything outside the image is outside the mask.

    Returns:
        Closed curves, pixel centres at whole numbers. The inside of the mask is on the right of
        the walking direction.
    """
    # On a grid of half pixels every pixel, and every point between two of them, has a place.
    height, width = 2 * mask.shape[0] + 3, 2 * mask.shape[1] + 3
    inside = np.zeros((height, width), bool)
    inside[2:-2:2, 2:-2:2] = mask
    inside = inside.ravel()
    places, headings = [], []
    for step, heading in ((1, width), (width, -1)):
        # A pixel and the next one along a row, or down a column; heading is the direction that
        # has the pixel on the right if it is inside, and the next one if turned round.
        pixel = np.zeros((height, width), bool)
        pixel[: height - 2 : 2, : width - 2 : 2] = True
        pixel = np.flatnonzero(pixel)
        pixel = pixel[inside[pixel] != inside[pixel + 2 * step]]
        places.append(pixel + step)
        headings.append(np.where(inside[pixel], heading, -heading))
    place, ahead = np.concatenate(places), np.concatenate(headings)
    right = np.where(np.abs(ahead) == 1, ahead * width, -np.sign(ahead))
    # Turn right around the pixel there unless the mask goes on ahead of it, else go straight on or,
    # if it goes on ahead on the left as well, turn left.
    turn = np.where(
        ~inside[place + right + 2 * ahead],
        ahead + right,
        np.where(~inside[place - right + 2 * ahead], 2 * ahead, ahead - right),
    )
    number = np.empty(height * width, np.int64)
    number[place] = np.arange(len(place))
    order, starts = chains(number[place + turn])
    ends = np.append(starts, len(order))[1:]
    place = np.insert(place[order], ends, place[order[starts]])
    points = np.stack([place // width, place % width], axis=1) / 2 - 1
    return Curves(points, starts + np.arange(len(starts)), np.ones(len(starts), bool)).smooth()
