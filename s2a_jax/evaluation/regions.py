"""The perivascular region of the FAZ."""

import re
from dataclasses import dataclass

import numpy as np

from s2a_jax.errors import UserError


@dataclass(frozen=True)
class Window:
    """A square window around the FAZ.

    Attributes:
        side: length of a side in `unit`, > 0.
        unit: "px" (pixels of the evaluated image) or "um".
    """

    side: float
    unit: str

    @classmethod
    def parse(cls, text: str | int, field: str) -> "Window":
        """Reads `120`, `120px` or `1200um`.

        Args:
            text: value of the flag or field.
            field: name of the flag or field, for messages.

        Raises:
            UserError: `text` has another form or is not positive.
        """
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(px|um)?", str(text).strip())
        if not found or not float(found[1]) > 0:
            raise UserError(
                f"{field}={text}: expected a side in pixels or micrometres, such as 120 or 1200um."
            )
        return cls(float(found[1]), found[2] or "px")

    def __str__(self) -> str:
        side = f"{self.side:g}"
        return f"{side}x{side} {self.unit}"

    def describe(self) -> str:
        """Definition of the window, printed with every number of the region."""
        return (
            f"the {self} window centred on the true FAZ's centroid, shifted to stay inside the "
            "image"
        )

    def pixels(self, um_per_px: float | None) -> int:
        """Side of the window in pixels, at least 1.

        Raises:
            UserError: the side is in micrometres and the pixel pitch is unknown.
        """
        if self.unit == "px":
            return max(1, round(self.side))
        if um_per_px is None:
            raise UserError(
                f"The FAZ window of {self} needs the pixel pitch, one for both directions: give it "
                "(--um-per-px, or config.eval.um_per_px), or, for images that were stretched to a "
                "square, give the window in pixels."
            )
        return max(1, round(self.side / um_per_px))


def window_around(faz: np.ndarray, side: int) -> tuple[int, int, int, int] | None:
    """Places the window around the centroid of the FAZ.

    Args:
        faz: bool [H, W], the true FAZ.
        side: side of the window in pixels, >= 1.

    Returns:
        Top, left, bottom and right in pixels, the latter two exclusive; a window larger than the
        image is cut to it. None for an empty FAZ, which has no centroid.
    """
    if not faz.any():
        return None
    starts, stops = [], []
    for axis, length in enumerate(faz.shape):
        profile = faz.sum(axis=1 - axis)
        centre = (profile * np.arange(length)).sum() / profile.sum()
        extent = min(side, length)
        start = int(np.clip(np.rint(centre - (extent - 1) / 2), 0, length - extent))
        starts.append(start)
        stops.append(start + extent)
    return (*starts, *stops)
