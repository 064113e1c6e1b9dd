"""Frames and legends around an exported screenshot: found and cut off, or refused.

An en-face picture is full of speckle; what surrounds it in a screenshot is flat, apart from text,
scale bars and lines. Only a picture with a flat outermost line is looked at, so that a file without
a frame costs nothing.
"""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from s2a_jax.errors import UserError
from s2a_jax.inputs.picture import Picture

_FLAT = 6 / 255  # largest range of intensities in what counts as flat; JPEG leaves a few levels
_WINDOW = 7  # px, in which the range is taken
_THICK = 6  # text and colour bars are thinner than the shorter side over this
_SQUARE = 1.03  # longest over shortest side of a square picture
_SMALLEST_MARGIN = 3  # px; less is not worth a cut
_SMALLEST_SIDE = 64  # px of an en-face picture
_FULL = 0.75  # share of an en-face picture that is not flat
_SECOND = 0.2  # area of a second picture over that of the first
_DARK = 0.1  # intensity; regions without signal are darker
_COLOUR = 0.15  # difference between the channels of a coloured pixel
_COLOURED = 0.01  # share of coloured pixels that is worth a note


def crop_frame(picture: Picture) -> Picture:
    """Cuts off a frame or legend.

    A dark margin that leaves a square picture no longer square is a part of the scan without
    signal, and stays.

    Args:
        picture: a decoded file, upright, before it becomes grey.

    Returns:
        The picture itself without a frame, else its en-face part, with a note. A note also names
        coloured pixels.

    Raises:
        UserError: there is a frame, but not one square picture in it.
    """
    if picture.white == 0 or min(picture.pixels.shape[:2]) < _SMALLEST_SIDE:
        return picture
    shown = picture.pixels.astype(np.float32) / np.float32(picture.white)
    shown = shown[..., None] if shown.ndim == 2 else shown
    found = _find(shown, str(picture.path))
    if found is not None:
        height, width = shown.shape[:2]
        shown = shown[found]
        rows, columns = found
        picture = replace(
            picture,
            pixels=picture.pixels[found],
            alpha=None if picture.alpha is None else picture.alpha[found],
            notes=(
                *picture.notes,
                f"a frame was cut off: {columns.stop - columns.start}x{rows.stop - rows.start} of "
                f"{width}x{height} px are left, from column {columns.start} and row {rows.start}",
            ),
        )
    coloured = float((np.ptp(shown, axis=2) > _COLOUR).mean())
    if coloured < _COLOURED:
        return picture
    note = f"{100 * coloured:.0f} % of the pixels are coloured, as marks or other pictures are"
    return replace(picture, notes=(*picture.notes, note))


def _find(shown: np.ndarray, name: str) -> tuple[slice, slice] | None:
    """Rows and columns of the en-face picture, or None without a frame; [H, W, C] in [0, 1]."""
    if not any(_is_flat(line) for line in (shown[0], shown[-1], shown[:, 0], shown[:, -1])):
        return None
    active = _active(shown)
    boxes = _boxes(active)
    if not boxes:
        return None
    found = _trimmed(shown, boxes[0])
    height, width = shown.shape[:2]
    rows, columns = found
    margins = (rows.start, height - rows.stop, columns.start, width - columns.stop)
    if max(margins) < _SMALLEST_MARGIN:
        return None
    outside = np.ones((height, width), bool)
    outside[found] = False
    is_dark = float(shown.max(axis=2)[outside].max()) < _DARK
    left = (rows.stop - rows.start, columns.stop - columns.start)
    if is_dark and not (_is_square(left) and len(boxes) == 1):
        return None
    doubt = ""
    if len(boxes) > 1:
        doubt = f"it shows {len(boxes)} pictures"
    elif not _is_square(left):
        doubt = f"the picture in it is not square ({left[1]}x{left[0]} px)"
    elif min(left) < _SMALLEST_SIDE:
        doubt = f"the picture in it has {left[1]}x{left[0]} px, less than {_SMALLEST_SIDE}"
    elif active[found].mean() < _FULL:
        doubt = f"{100 * (1 - active[found].mean()):.0f} % of the picture in it are flat"
    if doubt:
        raise UserError(
            f"{name} looks like a screenshot, but {doubt}: crop it to the en-face picture, or "
            "export that alone."
        )
    return found


def _is_flat(line: np.ndarray) -> bool:
    """Whether a line [N, C] has one colour, apart from 2 % of its pixels at either end."""
    low, high = np.quantile(line, (0.02, 0.98), axis=0)
    return bool((high - low <= _FLAT).all())


def _is_square(shape: tuple[int, int]) -> bool:
    return max(shape) <= _SQUARE * min(shape)


def _active(shown: np.ndarray) -> np.ndarray:
    """Bool [H, W]: where intensities differ within a small window."""
    grey = shown.mean(axis=2)
    spread = ndimage.maximum_filter(grey, _WINDOW) - ndimage.minimum_filter(grey, _WINDOW)
    return spread > _FLAT


def _boxes(active: np.ndarray) -> list[tuple[slice, slice]]:
    """Rectangles around the pictures, the largest first: thick active regions."""
    side = max(_WINDOW, min(active.shape) // _THICK)
    closed = ndimage.minimum_filter(ndimage.maximum_filter(active, _WINDOW), _WINDOW)
    # Outside the image nothing is active, so that a thin strip along the edge is no picture.
    thick = ndimage.minimum_filter(closed, side, mode="constant", cval=0)
    labels, _ = ndimage.label(ndimage.maximum_filter(thick, side, mode="constant", cval=0))
    areas = np.bincount(labels.ravel())[1:]
    order = [i for i in np.argsort(-areas, kind="stable") if areas[i] >= _SECOND * areas.max()]
    boxes = ndimage.find_objects(labels)
    return [boxes[i] for i in order]


def _trimmed(shown: np.ndarray, box: tuple[slice, slice]) -> tuple[slice, slice]:
    """The box without flat lines at its sides: windows reach over the edge, and frames have lines."""
    top, bottom, left, right = box[0].start, box[0].stop, box[1].start, box[1].stop
    before = None
    while before != (top, bottom, left, right):
        before = top, bottom, left, right
        while top < bottom - 1 and _is_flat(shown[top, left:right]):
            top += 1
        while bottom > top + 1 and _is_flat(shown[bottom - 1, left:right]):
            bottom -= 1
        while left < right - 1 and _is_flat(shown[top:bottom, left]):
            left += 1
        while right > left + 1 and _is_flat(shown[top:bottom, right - 1]):
            right -= 1
    return slice(top, bottom), slice(left, right)
