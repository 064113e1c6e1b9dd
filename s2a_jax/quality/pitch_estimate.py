"""Pixel pitch from what an image shows: the sizes of vessels and of the texture between them."""

import math

import numpy as np
from scipy import ndimage

from s2a_jax.biomarkers.skeleton import trace_skeleton
from s2a_jax.inputs.images import resize_image

_WEIGHTS = (5.644, -0.804, 0.624, -0.151)
"""Of the logarithms: constant, calibre, length density, texture width; from `python -m
benchmarks.pitch_calibration` on synthetic eyes with the shipped network."""
ERROR_FACTOR = 1.5
"""Estimates on real images near the trained pitches are right to within this factor, see
docs/quality.md."""

_BORDER = 24  # px mirrored around the mask, so that its edge is no end of a vessel
_SHORTEST = 2.0  # sides; less length of vessels says nothing
_LARGEST = 1024  # px, shorter side; larger images are reduced first


def estimate_pitch(picture: np.ndarray, rv: np.ndarray) -> float | None:
    """Estimates the side of a pixel on the retina.

    Three measures that follow the pitch differently are combined as a product of powers. The
    scanner and the field of view move each, so the result is good for a warning, not for
    biomarkers: see `ERROR_FACTOR`.

    Args:
        picture: float [H, W] in [0, 1], a superficial slab.
        rv: float [H, W] in [0, 1], probability of vessels, predicted without resampling.

    Returns:
        um per pixel, or None if the vessels are too short to tell.
    """
    scale = min(1.0, _LARGEST / min(picture.shape))
    if scale < 1:
        height, width = (round(scale * side) for side in picture.shape)
        picture, rv = (resize_image(array, (height, width)) for array in (picture, rv))
    measures = pitch_measures(picture, rv)
    if measures is None:
        return None
    return scale * math.exp(_WEIGHTS[0] + float(np.dot(_WEIGHTS[1:], np.log(measures))))


def pitch_measures(picture: np.ndarray, rv: np.ndarray) -> tuple[float, float, float] | None:
    """What the estimate rests on.

    Args:
        picture: as for `estimate_pitch`.
        rv: as for `estimate_pitch`.

    Returns:
        calibre: sum of the probabilities over the length of the centrelines, px.
        density: length of the centrelines over the area, 1/px.
        texture: lag at which the autocorrelation of the picture falls to a half, px.
        None if the centrelines are shorter than two sides of the picture.
    """
    mask = np.pad(rv >= 0.5, _BORDER, mode="symmetric")
    length = float(trace_skeleton(mask, _BORDER).branches.lengths().sum()) if mask.any() else 0.0
    texture = _half_width(picture)
    if length < _SHORTEST * min(rv.shape) or texture is None:
        return None
    return float(rv.sum(dtype=np.float64)) / length, length / rv.size, texture


def _half_width(picture: np.ndarray) -> float | None:
    """Lag in px at which the mean autocorrelation of all directions is 0.5; None if it has none."""
    height, width = picture.shape
    values = picture.astype(np.float64)
    values -= ndimage.uniform_filter(values, max(15, min(picture.shape) // 8))
    values = (values - values.mean()) * np.hanning(height)[:, None] * np.hanning(width)
    shape = (2 * height, 2 * width)
    products = np.fft.irfft2(np.abs(np.fft.rfft2(values, shape)) ** 2, shape)
    reach = min(picture.shape) // 4
    products = np.roll(products, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    lags = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    bins = np.rint(2 * lags).astype(int)  # half a pixel each
    counts = np.bincount(bins.ravel())
    kept = counts > 0
    mean = np.bincount(bins.ravel(), products.ravel())[kept] / counts[kept]
    at = np.flatnonzero(kept) / 2
    below = np.flatnonzero(mean < 0.5 * mean[0])
    if mean[0] <= 0 or not below.size:
        return None
    i = below[0]
    return float(np.interp(0.5 * mean[0], mean[[i, i - 1]], at[[i, i - 1]]))
