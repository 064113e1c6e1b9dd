"""Frames and legends around an exported screenshot: found and cut off, or refused.

An en-face picture is full of speckle; what surrounds it in a screenshot is flat, apart from text,
scale bars and lines. Only a picture with a flat outermost line is looked at, so that a file without
a frame costs nothing.
"""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from s2a_jax.errors import UserError
from s2a_jax.inputs.picture import Picture, Place

_FLAT = 6 / 255  # largest range of intensities in what counts as flat; JPEG leaves a few levels
_WINDOW = 7  # px, in which the range is taken
_THICK = 6  # text and colour bars are thinner than the shorter side over this
_PAPER = 0.6  # share of what surrounds the picture that has the colour of the outermost line
_PAPER_LINE = 0.3  # share of a line, which may hold text
_LINE_PAPER = 0.9  # share of a line that holds nothing else
_LINE = 8  # px, thickest line around the picture
_RIM_PAPER = 0.1  # share of the line beside a cut
_SQUARE = 1.03  # longest over shortest side of a square picture
_SMALLEST_MARGIN = 3  # px, unless it goes all around; less is not worth a cut
_SMALLEST_SIDE = 64  # px of an en-face picture
_FULL = 0.75  # share of an en-face picture that is not flat
_SECOND = 0.2  # area of a second picture over that of the first
_DARK = 0.1  # intensity; regions without signal are darker
_COLOUR = 0.15  # difference between the channels of a coloured pixel
_COLOURED = 0.01  # share of coloured pixels that is worth a note


def crop_frame(picture: Picture) -> Picture:
    """Cuts off a frame or legend.

    A dark margin with a ragged edge, or one that leaves a picture which is not square, is a part of
    the scan without signal, and stays.

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
            cut=Place((height, width), rows, columns),
        )
    coloured = float((np.ptp(shown, axis=2) > _COLOUR).mean())
    if coloured < _COLOURED:
        return picture
    note = f"{100 * coloured:.0f} % of the pixels are coloured, as marks or other pictures are"
    return replace(picture, notes=(*picture.notes, note))


def _find(shown: np.ndarray, name: str) -> tuple[slice, slice] | None:
    """Rows and columns of the en-face picture, or None without a frame; [H, W, C] in [0, 1].

    Looks again at what each cut leaves, since a line may have a gap of paper inside.
    """
    rows, columns = slice(0, shown.shape[0]), slice(0, shown.shape[1])
    is_cut, pictures = False, 1
    while pictures == 1 and (cut := _next_cut(shown[rows, columns], is_cut)) is not None:
        (inner_rows, inner_columns), pictures = cut
        rows = slice(rows.start + inner_rows.start, rows.start + inner_rows.stop)
        columns = slice(columns.start + inner_columns.start, columns.start + inner_columns.stop)
        is_cut = True
    if not is_cut:
        return None
    size = (rows.stop - rows.start, columns.stop - columns.start)
    doubt = ""
    if pictures > 1:
        doubt = f"it shows {pictures} pictures"
    elif min(size) < _SMALLEST_SIDE:
        doubt = f"the picture in it has {size[1]}x{size[0]} px, less than {_SMALLEST_SIDE}"
    elif not _is_square(size):
        doubt = f"the picture in it is not square ({size[1]}x{size[0]} px)"
    elif (full := _active(shown[rows, columns]).mean()) < _FULL:
        doubt = f"{100 * (1 - full):.0f} % of the picture in it is flat"
    if doubt:
        raise UserError(
            f"{name} looks like a screenshot, but {doubt}: crop it to the en-face picture, or "
            "export that alone."
        )
    return rows, columns


def _next_cut(shown: np.ndarray, is_cut: bool) -> tuple[tuple[slice, slice], int] | None:
    """The largest picture [H, W, C] inside a margin, and how many there are; None: no margin.

    What a cut left (`is_cut`) may have lost one dark side of the scan: losing another one as well
    would make it square again, but smaller than its field of view.
    """
    outermost = (shown[0], shown[-1], shown[:, 0], shown[:, -1])
    papers = [np.median(line, axis=0) for line in outermost if _is_flat(line)]
    if not papers:
        return None
    boxes = _boxes(_active(shown))
    if not boxes:
        return None
    is_paper = np.any([(np.abs(shown - p) <= _FLAT).all(axis=2) for p in papers], axis=0)
    found = _trimmed(shown, is_paper, boxes[0])
    height, width = shown.shape[:2]
    rows, columns = found
    margins = (rows.start, height - rows.stop, columns.start, width - columns.stop)
    if max(margins) < (1 if _is_border(papers) else _SMALLEST_MARGIN):
        return None
    outside = np.ones((height, width), bool)
    for box in (found, *boxes[1:]):
        outside[box] = False
    size = (rows.stop - rows.start, columns.stop - columns.start)
    is_alone = len(boxes) == 1
    if is_paper[outside].mean() < _PAPER and is_alone:
        return (_inside(is_paper), 1) if _is_border(papers) else None
    if is_alone and max(map(np.max, papers)) < _DARK:
        has_marks = float(shown[outside].max()) >= _DARK
        is_better = _is_square(size) and _aspect(size) <= _aspect((height, width))
        is_better &= not is_cut or _is_square((height, width))
        if not _is_straight(is_paper[found], margins) or not (has_marks or is_better):
            return None
    return found, len(boxes)


def _inside(is_paper: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns inside a line all around, [H, W] with the line."""
    inside = (np.flatnonzero(is_paper.mean(axis=axis) < _LINE_PAPER) for axis in (1, 0))
    rows, columns = (slice(int(found[0]), int(found[-1]) + 1) for found in inside)
    return rows, columns


def _is_border(papers: list[np.ndarray]) -> bool:
    """Whether all four outermost lines have one colour that is not dark: no scan ends like this."""
    return len(papers) == 4 and bool(
        (np.ptp(papers, axis=0) <= _FLAT).all() and np.max(papers) >= _DARK
    )


def _is_flat(line: np.ndarray) -> bool:
    """Whether a line [N, C] has one colour, apart from 2 % of its pixels at either end."""
    low, high = np.quantile(line, (0.02, 0.98), axis=0)
    return bool((high - low <= _FLAT).all())


def _is_straight(is_paper: np.ndarray, margins: tuple[int, int, int, int]) -> bool:
    """Whether no paper is left beside a cut, [H, W] after it: regions without signal have an edge
    that is not straight."""
    sides = (is_paper[0], is_paper[-1], is_paper[:, 0], is_paper[:, -1])
    return all(
        side.mean() < _RIM_PAPER for side, margin in zip(sides, margins, strict=True) if margin
    )


def _is_square(shape: tuple[int, int]) -> bool:
    return _aspect(shape) <= _SQUARE


def _aspect(shape: tuple[int, int]) -> float:
    return max(shape) / min(shape)


def _active(shown: np.ndarray) -> np.ndarray:
    """Bool [H, W]: where intensities differ within a small window."""
    grey = shown.mean(axis=2)
    spread = ndimage.maximum_filter(grey, _WINDOW) - ndimage.minimum_filter(grey, _WINDOW)
    return spread > _FLAT


def _boxes(active: np.ndarray) -> list[tuple[slice, slice]]:
    """Rectangles around the pictures, the largest first: thick active regions."""
    side = max(_WINDOW, min(active.shape) // _THICK) // 2 * 2 + 1  # odd, so that nothing moves
    closed = ndimage.minimum_filter(ndimage.maximum_filter(active, _WINDOW), _WINDOW)
    # Outside the image nothing is active, so that a thin strip along the edge is no picture.
    thick = ndimage.minimum_filter(closed, side, mode="constant", cval=0)
    labels, _ = ndimage.label(ndimage.maximum_filter(thick, side, mode="constant", cval=0))
    areas = np.bincount(labels.ravel())[1:]
    order = [i for i in np.argsort(-areas, kind="stable") if areas[i] >= _SECOND * areas.max()]
    boxes = ndimage.find_objects(labels)
    return [boxes[i] for i in order]


def _trimmed(
    shown: np.ndarray, is_paper: np.ndarray, box: tuple[slice, slice]
) -> tuple[slice, slice]:
    """The box without what belongs to the frame: text beside the picture, and a line around it."""
    top, bottom, left, right = box[0].start, box[0].stop, box[1].start, box[1].stop
    before = None
    while before != (top, bottom, left, right):
        before = top, bottom, left, right
        top += _frame_lines(shown[top:bottom, left:right], is_paper[top:bottom, left:right])
        turned = (a[top:bottom, left:right][::-1] for a in (shown, is_paper))
        bottom -= _frame_lines(*turned)
        turned = (a[top:bottom, left:right].swapaxes(0, 1) for a in (shown, is_paper))
        left += _frame_lines(*turned)
        turned = (a[top:bottom, left:right].swapaxes(0, 1)[::-1] for a in (shown, is_paper))
        right -= _frame_lines(*turned)
    return slice(top, bottom), slice(left, right)


def _frame_lines(shown: np.ndarray, is_paper: np.ndarray) -> int:
    """Number of first rows [H, W, C] that show paper, or a thin line of one colour.

    A thick band of another colour than the paper is a part of the scan without signal.
    """
    paper = is_paper.mean(axis=1) > _PAPER_LINE
    count = int(np.argmin(paper)) if not paper.all() else len(paper) - 1
    colour = np.median(shown[count], axis=0)
    flat = 0
    while flat <= _LINE and count + flat < len(shown) - 1:
        line = shown[count + flat]
        if not _is_flat(line) or (np.abs(np.median(line, axis=0) - colour) > _FLAT).any():
            break
        flat += 1
    return count + flat if flat <= _LINE else count
