"""Pixel pitch from the tags of a TIFF file."""

from pathlib import Path

from PIL import Image

PLAUSIBLE_UM = (1.0, 40.0)
"""Accepted pitches, um: OCTA scanners lie well inside; 72, 96, 300 and 600 dpi lie outside."""
_X, _Y, _UNIT, _DESCRIPTION = 282, 283, 296, 270  # tags of TIFF 6.0
_UM = {2: 25400.0, 3: 10000.0}  # ResolutionUnit: inch, centimetre
_IMAGEJ_UM = {
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "mm": 1000.0,
    "cm": 10000.0,
    "inch": 25400.0,
}


def tiff_pitch(path: str | Path) -> tuple[float, float] | None:
    """Reads XResolution, YResolution and ResolutionUnit, or ImageJ's unit.

    Args:
        path: a readable image file.

    Returns:
        (down, across) in um per pixel; None if the file is no TIFF, has no resolution with a unit,
        or has a pitch outside `PLAUSIBLE_UM`, as a printer's or a screen's resolution gives.
    """
    with Image.open(path) as image:
        if image.format != "TIFF":
            return None
        tags = image.tag_v2
        um = _imagej_unit(str(tags.get(_DESCRIPTION, ""))) or _UM.get(tags.get(_UNIT, 2))
        resolutions = [float(tags.get(tag, 0)) for tag in (_Y, _X)]
    if um is None or not all(resolution > 0 for resolution in resolutions):
        return None
    down, across = (um / resolution for resolution in resolutions)
    low, high = PLAUSIBLE_UM
    return (down, across) if low <= min(down, across) and max(down, across) <= high else None


def _imagej_unit(description: str) -> float | None:
    """Micrometres per unit in an ImageJ description (lines of name=value); None without one."""
    if not description.startswith("ImageJ="):
        return None
    lines = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
    return _IMAGEJ_UM.get(lines.get("unit", "").strip().lower())
