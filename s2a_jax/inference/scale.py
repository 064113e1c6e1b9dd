"""The scale at which a network sees an image: pixels as large as those of its training."""

import math
from typing import NamedTuple

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inputs.pitch import FIELD_MM, UM_PER_PX, is_square

UmPerPx = float | tuple[float, float]
"""Pixel pitch, um: one number for square pixels, or (down, across)."""

_TOLERANCE = 1.06  # nearer than this factor is as trained; augmentation varies the scale by more
_SCAN_LINES = 304  # across a scan of any width, as in OCTA-500 3M; other scanners have up to 512
_MOST_LINES = 543  # pixels across; images with more are interpolated, or montages


class Scale(NamedTuple):
    """The sizes of one image.

    Attributes:
        size: its own height and width in pixels.
        network_size: those at which the network sees it; equal to `size` if it is not resampled.
        um_per_px: pitch of its own pixels, (down, across) in um; None if unknown.
        network_um_per_px: pitch of the (square) pixels that the network sees, um; None if unknown.
    """

    size: tuple[int, int]
    network_size: tuple[int, int]
    um_per_px: tuple[float, float] | None
    network_um_per_px: float | None

    @property
    def is_resampled(self) -> bool:
        """Whether the network sees another size than the image's own."""
        return self.size != self.network_size

    def describe(self) -> str:
        """A phrase for a note about a resampled image."""
        down, across = self.um_per_px
        own = f"{down:.3g}" if is_square(down / across) else f"{down:.3g}x{across:.3g}"
        return (
            f"predicted at {self.network_um_per_px:.3g} um per pixel, as the network was trained, "
            f"instead of {own}"
        )


def scale_for(
    size: tuple[int, int],
    um_per_px: UmPerPx | None,
    pitches_um: tuple[float, float] | None,
) -> Scale:
    """Chooses the scale of an image.

    An image whose pitch is unknown, or lies within 6 % of the trained range and is that of square
    pixels, keeps its size. Coarser images get square pixels of the largest trained pitch. Finer
    ones, and those of more pixels than a scan has lines, are interpolated from a coarser scan: they
    get the pitch of such a scan of their field, within the upper half of the trained range. At
    their own pitch, which training knows from sharp images, vessels come out thin and the FAZ large
    (docs/biomarkers.md). If the trained range is unknown, only pixels that are not square are
    resampled, to their shorter side.

    Args:
        size: height and width in pixels.
        um_per_px: pitch, um; None if unknown.
        pitches_um: smallest and largest pitch that the network was trained on; None if unknown.

    Raises:
        UserError: a pitch outside 0.5 to 100 um, or one that makes the field wider than 30 mm.
    """
    if um_per_px is None:
        return Scale(size, size, None, None)
    down, across = own = _checked(size, um_per_px)
    target = shorter = min(own)
    if pitches_um is not None:
        low, high = pitches_um
        longer_um = max(size[0] * down, size[1] * across)
        scanned = min(high, max(math.sqrt(low * high), longer_um / _SCAN_LINES))
        if shorter > high * _TOLERANCE:
            target = high
        elif shorter < low / _TOLERANCE or longer_um > _MOST_LINES * shorter:
            target = shorter if shorter > scanned / _TOLERANCE else scanned
    if is_square(down / across):
        if target == shorter:
            return Scale(size, size, own, float(np.sqrt(down * across)))
    height, width = size
    resampled = max(1, round(height * down / target)), max(1, round(width * across / target))
    area = height * down * width * across
    return Scale(size, resampled, own, float(np.sqrt(area / (resampled[0] * resampled[1]))))


def _checked(size: tuple[int, int], um_per_px: UmPerPx) -> tuple[float, float]:
    """The pitch (down, across) of an image, um; see `scale_for`."""
    pitches = np.asarray(um_per_px)
    is_pitch = pitches.shape in ((), (1,), (2,)) and pitches.dtype.kind in "iuf"
    low, high = UM_PER_PX
    if not is_pitch or not (low <= pitches).all() or not (pitches <= high).all():
        raise UserError(
            f"um_per_px={um_per_px}: expected micrometres per pixel from {low:g} to {high:g}, or "
            "(down, across) for pixels that are not square."
        )
    down, across = (float(each) for each in np.broadcast_to(pitches, 2))
    field_mm = max(size[0] * down, size[1] * across) / 1000
    if field_mm > FIELD_MM[1]:
        raise UserError(
            f"um_per_px={um_per_px} makes an image of {size[1]}x{size[0]} pixels (width x height) "
            f"{field_mm:.3g} mm wide; expected at most {FIELD_MM[1]:g} mm: correct the pitch."
        )
    return down, across
