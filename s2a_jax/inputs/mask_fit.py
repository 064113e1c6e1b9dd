"""How well masks fit their image, as they are, and turned or mirrored."""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from s2a_jax.inputs.images import resize_image, unit_pixels

VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda a: a,
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "mirrored left to right": lambda a: a[:, ::-1],
    "mirrored top to bottom": lambda a: a[::-1],
    "turned by 90 degrees counterclockwise": np.rot90,
    "turned by 90 degrees clockwise": lambda a: np.rot90(a, -1),
    "mirrored at the diagonal (rows and columns swapped)": np.transpose,
    "mirrored at the other diagonal": lambda a: a[::-1, ::-1].T,
}
"""The symmetries of a square: name -> what it does to [H, W]; the first four keep the shape of a
rectangle."""

_VESSEL_SIDE = 128  # px; the larger vessels are still visible
_VESSEL_WINDOW = 17  # px of these
_FAZ_SIDE = 64  # px; single capillaries are no longer visible
_FAZ_WINDOW = 33  # px of these
_FAZ_SHIFT = 2  # px of these


def rv_fit(image: np.ndarray, rv: np.ndarray) -> np.ndarray:
    """Correlation of a vessel mask in every view with the locally normalised image.

    Real masks reach 0.4 to 0.8 as they are, and at most 0.1 in any other view. The values are
    negative where vessels are darker than their surroundings.

    Args:
        image: uint8, or float in [0, 1], [H, W] or [H, W, C]; the mean over the slabs counts.
        rv: bool [H, W].

    Returns:
        float [8] in [-1, 1], in the order of `VIEWS`; 0 for a mask or image of one value, NaN where
        the view has another shape than the image.
    """
    small, mask = _reduced(image, _VESSEL_SIDE), _reduced(rv, _VESSEL_SIDE)
    mean = ndimage.uniform_filter(small, _VESSEL_WINDOW)
    variance = ndimage.uniform_filter(small * small, _VESSEL_WINDOW) - mean * mean
    # The constant is a deviation of 1 %, so that noise in dark corners is not enlarged.
    local = (small - mean) / np.sqrt(np.maximum(variance, 0) + 1e-4)
    local, mask = local - local.mean(), mask - mask.mean()
    norm = np.linalg.norm(local) * np.linalg.norm(mask)
    return _scores(mask / norm if norm > 1e-6 else np.zeros_like(mask), local)


def faz_fit(image: np.ndarray, faz: np.ndarray) -> tuple[np.ndarray, float]:
    """How much darker the image is inside a FAZ mask than around it, for the mask in every view.

    That is the mean intensity in a band around the mask minus that inside, in standard deviations
    of the image, without slow changes of its brightness. Real masks reach 0.5 to 3.

    Args:
        image: as for `rv_fit`.
        faz: bool [H, W].

    Returns:
        scores: float [8], in the order of `VIEWS`; 0 and NaN as in `rv_fit`.
        near: the best score of the mask as it is and shifted by up to 3 % of the image's side.
    """
    small, mask = _reduced(image, _FAZ_SIDE), _reduced(faz, _FAZ_SIDE)
    radius = np.sqrt(mask.sum() / np.pi)
    band = ndimage.binary_dilation(mask >= 0.5, iterations=max(2, round(radius))) & (mask == 0)
    local = small - ndimage.uniform_filter(small, _FAZ_WINDOW)
    deviation = local.std()
    if not mask.any() or not band.any() or deviation < 1e-6:
        return _scores(np.zeros_like(small), small), 0.0
    local = (local - local.mean()) / deviation
    weights = band / band.sum() - mask / mask.sum()
    shifted = sliding_window_view(np.pad(local, _FAZ_SHIFT), local.shape)
    near = np.einsum("abij,ij->ab", shifted, weights).max()
    return _scores(weights, local), float(near)


def _reduced(image: np.ndarray, side: int) -> np.ndarray:
    """The mean slab with a shorter side of at most `side` pixels, float32."""
    pixels = unit_pixels(image) if image.dtype == np.uint8 else image.astype(np.float32)
    pixels = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
    scale = side / min(pixels.shape)
    if scale >= 1:
        return pixels
    height, width = (max(1, round(scale * length)) for length in pixels.shape)
    return resize_image(pixels, (height, width))


def _scores(weights: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The sum of `pixels` times `weights` in every view."""
    views = [view(weights) for view in VIEWS.values()]
    is_square = weights.shape[0] == weights.shape[1]
    return np.array(
        [np.vdot(view, pixels) if is_square or i < 4 else np.nan for i, view in enumerate(views)]
    )
