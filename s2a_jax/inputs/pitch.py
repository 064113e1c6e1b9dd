"""The side of a pixel on the retina: plausible ranges, and what resizing does to it."""

import math
from collections.abc import Sequence

from s2a_jax.errors import UserError

UM_PER_PX = (0.5, 100.0)
"""Pitches that are accepted: OCTA scanners have 2 to 30 um."""
FIELD_MM = (1.0, 30.0)
"""Sides of the field of view that are accepted: OCTA scanners have 2 to 24 mm."""
_ISOTROPY = 0.01  # by which the two sides of a pixel may differ


def check_range(name: str, value: float | None, bounds: tuple[float, float], unit: str) -> None:
    """Raises a UserError that begins with `name` unless a value is None or within its bounds."""
    low, high = bounds
    if value is not None and not low <= value <= high:
        raise UserError(f"{name}={value:g}: expected {low:g} to {high:g} {unit}.")


def resized_pitch(
    um_per_px: float | None, native_size: tuple[int, int], size: tuple[int, int]
) -> float | None:
    """Side of a pixel of a resized image, um.

    Args:
      um_per_px: side of a pixel of the file, um; None: unknown.
      native_size: height and width of the file in pixels.
      size: height and width of the resized image in pixels.

    Returns:
      None where it is unknown, or where the image was stretched: pixels whose sides differ by more
      than 1 % have no single pitch.
    """
    if um_per_px is None:
        return None
    down, across = (float(old) / new for old, new in zip(native_size, size, strict=True))
    if max(down, across) > (1 + _ISOTROPY) * min(down, across):
        return None
    return um_per_px * math.sqrt(down * across)  # which keeps areas


def stretched_notes(native_sizes: Sequence[tuple[int, int]], side: int | None) -> tuple[str, ...]:
    """What to say below a table about images that `resized_pitch` refuses.

    Args:
      native_sizes: height and width of each file in pixels.
      side: what they are resized to in pixels, height and width; None: they keep their own.
    """
    stretched = sum(
        side is not None and resized_pitch(1.0, size, (side, side)) is None for size in native_sizes
    )
    if not stretched:
        return ()
    return (
        f"{stretched} of {len(native_sizes)} images are not square and were stretched to "
        f"{side}x{side} px: no micrometres and no biomarkers of them.",
    )
