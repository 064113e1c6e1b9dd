"""The eight symmetries of a square: quarter turns, with and without a mirror."""

from typing import NamedTuple

import numpy as np


class Symmetry(NamedTuple):
    """A mirror image, then quarter turns.

    Attributes:
        is_mirrored: whether left and right are exchanged first.
        quarter_turns: 0 to 3, counter-clockwise.
    """

    is_mirrored: bool
    quarter_turns: int

    def apply(self, image: np.ndarray) -> np.ndarray:
        """A view of [H, W, ...]; quarter turns exchange height and width."""
        return np.rot90(image[:, ::-1] if self.is_mirrored else image, self.quarter_turns)

    def undo(self, image: np.ndarray) -> np.ndarray:
        """A view of what `apply` returned, as it was before."""
        turned = np.rot90(image, -self.quarter_turns)
        return turned[:, ::-1] if self.is_mirrored else turned


IDENTITY = Symmetry(False, 0)
SYMMETRIES = tuple(Symmetry(mirror, turns) for mirror in (False, True) for turns in range(4))
"""All eight, `IDENTITY` first."""
