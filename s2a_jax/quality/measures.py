"""Numbers about a picture and its probabilities, each with a meaning of its own."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from s2a_jax.inputs.fovea import central_label
from s2a_jax.inputs.images import resize_image
from s2a_jax.quality.confidence import expected_dice, without

_SIDE = 304  # px, shorter side of the reduced picture that texture is measured on
_LOCAL = 25  # px of it, window of the local normalisation
_RIDGE = 1.5  # px of it, scale of the lines
_STRONGEST = 20  # one in so many pixels has the strongest lines
_LINES = 8  # worst scan lines that are compared
_EMPTY = 0.3  # contrast of a line without signal over that of most lines
_FLAT_WINDOW = 7  # px of it
_FLAT = 1.5 / 255  # largest range in a flat window
_DARK = 0.03  # intensity that counts as no signal
_LONG = 0.15  # sides; extent of a long vessel
_FREQUENCIES = (0.02, 0.25)  # cycles per pixel of it, range of the power spectrum's slope

_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class PictureMeasures:
    """Numbers about a grey picture.

    Attributes:
        contrast: intensities from the 1st to the 99th percentile, in [0, 1].
        saturated: share of white pixels.
        ridges: logarithm of the strength of the strongest bright lines over that of dark ones;
            positive if vessels are bright, 0 if nothing tells the two apart.
        slope: exponent of the power spectrum; the steeper, the less detail.
        motion: correlation of the worst matched neighbouring columns minus that of rows; far from
            0 if lines of the scan are displaced.
        flat: share of the picture that is flat, and neither dark nor white, as frames are.
        no_signal: share of the picture that is flat and dark.
    """

    contrast: float
    saturated: float
    ridges: float
    slope: float
    motion: float
    flat: float
    no_signal: float


@dataclass(frozen=True)
class VesselCertainty:
    """Numbers about the probability of vessels.

    Attributes:
        share: share of the pixels in the mask (p >= 0.5).
        long: share of the mask in pieces that extend over 15 % of the picture's shorter side.
        dice: expected Dice of the mask, see `confidence.expected_dice`.
    """

    share: float
    long: float
    dice: float


@dataclass(frozen=True)
class FazCertainty:
    """Numbers about the probability of the FAZ, whose mask (p >= 0.5) is not empty.

    Attributes:
        second: area of the largest other piece over that of the most central piece, which masks
            keep (see `inputs.fovea`); 0 for one piece.
        offset: distance of the most central piece's centre from the picture's, over the shorter
            side.
        dice: expected Dice of that piece, which is the mask; other pieces count as no FAZ.
    """

    second: float
    offset: float
    dice: float


def measure_picture(picture: np.ndarray) -> PictureMeasures:
    """Measures a picture, float [H, W] in [0, 1] with sides of 32 pixels or more."""
    low, high = np.percentile(picture, (1, 99))
    small = _reduced(picture)
    local = _normalised(small)
    flat = (
        ndimage.maximum_filter(small, _FLAT_WINDOW) - ndimage.minimum_filter(small, _FLAT_WINDOW)
    ) <= _FLAT
    return PictureMeasures(
        contrast=float(high - low),
        saturated=float((picture >= 0.99).mean()),
        ridges=_ridges(local),
        slope=_slope(small),
        motion=_worst_lines(local.T) - _worst_lines(local),
        flat=float((flat & (small > _DARK) & (small < 0.99)).mean()),
        no_signal=float((flat & (small <= _DARK)).mean()),
    )


def measure_vessels(probability: np.ndarray) -> VesselCertainty:
    """Measures the probability of vessels, float [H, W] in [0, 1]."""
    mask = probability >= 0.5
    labels, count = ndimage.label(mask, _EIGHT)
    long = 0.0
    if count:
        extent = np.array(
            [max(s.stop - s.start for s in box) for box in ndimage.find_objects(labels)]
        )
        areas = np.bincount(labels.ravel())[1:]
        long = float(areas[extent > _LONG * min(mask.shape)].sum() / areas.sum())
    return VesselCertainty(float(mask.mean()), long, expected_dice(probability, mask))


def measure_faz(probability: np.ndarray) -> FazCertainty | None:
    """Measures the probability of the FAZ, float [H, W] in [0, 1]; None if its mask is empty."""
    mask = probability >= 0.5
    labels, count = ndimage.label(mask, _EIGHT)
    if not count:
        return None
    areas = np.bincount(labels.ravel())[1:]
    kept = central_label(labels, count)
    second = float(np.delete(areas, kept - 1).max() / areas[kept - 1]) if count > 1 else 0.0
    centre = np.array(ndimage.center_of_mass(labels == kept)) + 0.5
    offset = float(np.hypot(*(centre - np.array(mask.shape) / 2)) / min(mask.shape))
    piece = ndimage.binary_fill_holes(labels == kept)
    return FazCertainty(second, offset, expected_dice(without(probability, mask & ~piece), piece))


def _reduced(picture: np.ndarray) -> np.ndarray:
    scale = _SIDE / min(picture.shape)
    if scale >= 1:
        return picture.astype(np.float32)
    height, width = (round(scale * side) for side in picture.shape)
    return resize_image(picture, (height, width))


def _normalised(picture: np.ndarray) -> np.ndarray:
    mean = ndimage.uniform_filter(picture, _LOCAL)
    variance = ndimage.uniform_filter(picture * picture, _LOCAL) - mean * mean
    # The constant is a deviation of 1 %, so that noise in dark corners is not enlarged.
    return (picture - mean) / np.sqrt(np.maximum(variance, 0) + 1e-4)


def _ridges(local: np.ndarray) -> float:
    """Lines are where the curvature across is far larger than that along (of the Hessian)."""
    across, down, mixed = (
        ndimage.gaussian_filter(local, _RIDGE, order=order) for order in ((0, 2), (2, 0), (1, 1))
    )
    mean, half = (across + down) / 2, np.hypot((across - down) / 2, mixed)
    strength = [
        np.maximum(sign * mean + half - np.abs(half - sign * mean), 0).ravel() for sign in (-1, 1)
    ]
    top = max(1, local.size // _STRONGEST)
    bright, dark = (np.partition(s, -top)[-top:].mean() + 1e-6 for s in strength)
    return float(np.log(bright / dark))


def _slope(picture: np.ndarray) -> float:
    height, width = picture.shape
    values = (picture - picture.mean()) * np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.fft2(values)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    bounds = np.geomspace(*_FREQUENCIES, 9)
    which = np.digitize(frequency.ravel(), bounds)
    totals = np.bincount(which, power.ravel(), len(bounds) + 1)[1:-1]
    counts = np.bincount(which, minlength=len(bounds) + 1)[1:-1]
    kept = counts > 0  # a picture of few pixels has no low frequencies
    middle = np.sqrt(bounds[:-1] * bounds[1:])[kept]
    mean = totals[kept] / counts[kept]
    return float(np.polyfit(np.log(middle), np.log(mean + 1e-9), 1)[0])


def _worst_lines(local: np.ndarray) -> float:
    """Mean of the lowest correlations between neighbouring rows of [H, W]; flat rows do not count.

    0 without enough rows.
    """
    smooth = ndimage.gaussian_filter1d(local, 1, axis=1)
    smooth = smooth - smooth.mean(axis=1, keepdims=True)
    norm = np.sqrt((smooth * smooth).sum(axis=1))
    is_full = norm > _EMPTY * np.median(norm)
    kept = is_full[1:] & is_full[:-1]
    if np.count_nonzero(kept) < _LINES:
        return 0.0
    match = (smooth[1:] * smooth[:-1]).sum(axis=1)[kept] / (norm[1:] * norm[:-1])[kept]
    return float(np.sort(match)[:_LINES].mean())
