"""One decoded file, as a viewer shows it."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

MOST_PIXELS = 2**28  # 16384 x 16384; a small compressed file can announce far more
_UPRIGHT = {
    1: (1, 1, False),
    2: (1, -1, False),
    3: (-1, -1, False),
    4: (-1, 1, False),
    5: (1, 1, True),
    6: (1, -1, True),
    7: (-1, -1, True),
    8: (-1, 1, True),
}
"""Orientation of TIFF 6.0 and EXIF -> steps along rows and columns that turn a picture upright, and
whether its axes are exchanged first."""


@dataclass(frozen=True)
class Place:
    """Where the pixels of a picture lie in its file.

    Attributes:
        size: height and width of what the file holds.
        rows: those that the picture has.
        columns: those that the picture has.
    """

    size: tuple[int, int]
    rows: slice
    columns: slice


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded file.

    Attributes:
        path: the file.
        pixels: [H, W], or [H, W, 3] (RGB); bool, integers from 0 to `white`, or floats. Palettes,
            WhiteIsZero and the look-up tables of DICOM are applied.
        white: value of full intensity: 255, 65535, 1 for bool and floats; 0 for wide or signed
            integers, which do not say.
        kind: file format, such as "TIFF" or "DICOM".
        alpha: [H, W], opacity of any type, or None.
        um_per_px: pixel pitch (down, across), um; None: not in the file.
        aspect: height over width of a pixel; None if the file does not say: many writers leave a
            square resolution such as 72 dpi that means nothing.
        laterality: "OD", "OS" or None.
        notes: what reading had to change or choose, each a phrase that follows a file's name.
        cut: the place of what is left after a frame was cut off; None: nothing was.
    """

    path: Path
    pixels: np.ndarray
    white: int
    kind: str
    alpha: np.ndarray | None = None
    um_per_px: tuple[float, float] | None = None
    aspect: float | None = None
    laterality: str | None = None
    notes: tuple[str, ...] = ()
    cut: Place | None = None

    @property
    def place(self) -> Place:
        """Where the pixels lie in the (upright) picture of the file."""
        height, width = self.pixels.shape[:2]
        return self.cut or Place((height, width), slice(0, height), slice(0, width))


def native(array: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def upright(picture: Picture, orientation: int) -> Picture:
    """Turns a picture as the tag Orientation says.

    Args:
        picture: pixels in the order of the file.
        orientation: 1 to 8; other values, which some writers leave, mean 1.
    """
    down, across, exchanged = _UPRIGHT.get(orientation, _UPRIGHT[1])
    if (down, across, exchanged) == _UPRIGHT[1]:
        return picture

    def turn(array: np.ndarray) -> np.ndarray:
        return (array.swapaxes(0, 1) if exchanged else array)[::down, ::across]

    pitch, aspect = picture.um_per_px, picture.aspect
    if exchanged:
        pitch, aspect = pitch and pitch[::-1], aspect and 1 / aspect
    return replace(
        picture,
        pixels=turn(picture.pixels),
        alpha=None if picture.alpha is None else turn(picture.alpha),
        um_per_px=pitch,
        aspect=aspect,
        notes=(*picture.notes, f"turned upright (orientation {orientation})"),
    )
