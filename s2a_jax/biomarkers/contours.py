"""Outlines of masks, to a fraction of a pixel."""

import functools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from skimage.measure import find_contours

# A Savitzky-Golay filter of degree 2 removes the steps of the pixel grid and, unlike a mean, keeps
# arcs with a radius of a few pixels in place: a mean would shrink every disc.
_WINDOW = 11  # points, about 8 pixels along the outline
_DEGREE = 2


def smooth_curve(points: np.ndarray, *, closed: bool) -> np.ndarray:
    """Removes the steps of the pixel grid from a curve.

    Args:
        points: [N, 2], about a pixel apart; a closed curve does not repeat its first point.
        closed: whether the last point is joined to the first.

    Returns:
        [N, 2]; the ends of an open curve may move as well. A curve with fewer than three points
        does not change.
    """
    window = min(_WINDOW, len(points) - 1 + len(points) % 2)  # odd, at most N
    if window <= _DEGREE:
        return points
    fit, half = _local_fit(window), window // 2
    padded = np.concatenate([points[-half:], points, points[:half]]) if closed else points
    middle = sliding_window_view(padded, window, axis=0) @ fit[half]
    if closed:
        return middle
    return np.concatenate(
        [fit[:half] @ points[:window], middle, fit[half + 1 :] @ points[-window:]]
    )


@functools.cache
def _local_fit(window: int) -> np.ndarray:
    """Matrix that maps values [window] to the values of the polynomial fitted to them.

    SciPy's `savgol_filter` solves for it at every call, which takes most of the time for the
    thousands of short branches of an eye.
    """
    powers = np.vander(np.arange(window) - window // 2, _DEGREE + 1)
    return powers @ np.linalg.pinv(powers)


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Smoothed closed outlines of the parts and holes of a mask.

    Args:
        mask: bool [H, W]; everything outside the image is outside the mask.

    Returns:
        One array [N, 2] per outline, (y, x) in pixels, pixel centres at whole numbers; the first
        point is not repeated.
    """
    # Marching squares through the points halfway between a pixel inside and one outside.
    raw = find_contours(np.pad(mask, 1).astype(np.float64), 0.5)
    return [smooth_curve(points[:-1] - 1, closed=True) for points in raw]


def segments(outline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Midpoints [N, 2] and lengths [N] of a closed outline's segments, in pixels."""
    following = np.roll(outline, -1, axis=0)
    return (outline + following) / 2, np.hypot(*(following - outline).T)


def enclosed_area(outline: np.ndarray) -> float:
    """Area inside a closed outline [N, 2], in square pixels."""
    y, x = outline.T
    return 0.5 * abs(float(np.sum(y * np.roll(x, -1) - x * np.roll(y, -1))))
