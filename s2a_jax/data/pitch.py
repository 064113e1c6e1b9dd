"""The side of a pixel on the retina, where a data set tells it."""

from collections.abc import Mapping
from typing import Any

_OCTA500_UM = {("3M", 304): 3000 / 304, ("6M", 400): 6000 / 400}
"""Subset and side of its images in pixels -> um."""


def octa500_pitch(subset: str | None, native_size: tuple[int, int]) -> float | None:
    """Micrometres a pixel of an OCTA-500 file.

    Args:
      subset: "3M" or "6M".
      native_size: height and width of the file in pixels.

    Returns:
      3000/304 or 6000/400, or None for a file of another size, which was cropped or resized.
    """
    height, width = (int(side) for side in native_size)
    return _OCTA500_UM.get((subset, height)) if height == width else None


def native_pitch(config: Mapping[str, Any], native_size: tuple[int, int]) -> float | None:
    """Micrometres a pixel of a file of the data set that a configuration names.

    Args:
      config: the data section; `configs/default.py` tells its fields.
      native_size: height and width of the file in pixels.

    Returns:
      The pitch, or None where nothing tells it.
    """
    if config["name"] == "octa500":
        return octa500_pitch(config["subset"], native_size)
    low, high = config["synthetic"]["field_mm"]
    if config["name"] == "synthetic" and low == high:
        return 1000 * low / int(native_size[0])
    return None
