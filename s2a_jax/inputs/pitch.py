"""Pixel pitch (side of a pixel on the retina): accepted ranges, and the effect of resizing."""

import math
from collections.abc import Sequence
from numbers import Real

from s2a_jax.errors import UserError

UM_PER_PX = (0.5, 100.0)
"""Accepted pitches, um; OCTA scanners have 2 to 30."""
FIELD_MM = (1.0, 30.0)
"""Accepted sides of the field of view, mm; OCTA scanners have 2 to 24."""
_ISOTROPY = 0.01  # largest relative difference between the sides of a pixel


def check_range(name: str, value: float | None, bounds: tuple[float, float], unit: str) -> None:
    """Raises a UserError that starts with `name` unless the value is None or within `bounds`."""
    low, high = bounds
    if value is None:
        return
    is_number = isinstance(value, Real)
    if not is_number or not low <= value <= high:
        shown = f"{value:g}" if is_number else repr(value)
        raise UserError(f"{name}={shown}: expected {low:g} to {high:g} {unit}.")


def pitches_text(pitches_um: tuple[float, float]) -> str:
    """A smallest and largest pitch in words, such as "6.5 to 15.75 um", or "9.87 um" of one."""
    low, high = (f"{pitch:.4g}" for pitch in pitches_um)
    return f"{low} um" if low == high else f"{low} to {high} um"


def is_square(aspect: float) -> bool:
    """Whether pixels of a height over width count as square: within 1 %."""
    return 1 / (1 + _ISOTROPY) <= aspect <= 1 + _ISOTROPY


def resized_pitch(
    um_per_px: float | None, native_size: tuple[int, int], size: tuple[int, int]
) -> float | None:
    """Pixel pitch of a resized image, um.

    Args:
        um_per_px: pitch of the file, um; None: unknown.
        native_size: height and width of the file in pixels.
        size: height and width of the resized image in pixels.

    Returns:
        None if the pitch is unknown, or if the image was stretched: pixels whose sides differ by
        more than 1 % have no single pitch.
    """
    if um_per_px is None:
        return None
    down, across = (float(old) / new for old, new in zip(native_size, size, strict=True))
    if not is_square(down / across):
        return None
    return um_per_px * math.sqrt(down * across)  # keeps areas


def stretched_notes(native_sizes: Sequence[tuple[int, int]], side: int | None) -> tuple[str, ...]:
    """Note about images that were stretched, to print below a table; () without any.

    Args:
        native_sizes: height and width of each file in pixels.
        side: height and width of the resized images in pixels; None: not resized.
    """
    stretched = sum(
        side is not None and resized_pitch(1.0, size, (side, side)) is None for size in native_sizes
    )
    if not stretched:
        return ()
    return (
        f"{stretched} of {len(native_sizes)} images are not square and were stretched to "
        f"{side}x{side} px: they get no values in micrometres and no biomarkers.",
    )
