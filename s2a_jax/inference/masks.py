"""From probabilities to masks: the one place where a threshold is applied to an image's results."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s2a_jax.inputs.fovea import central_piece
from s2a_jax.inputs.notes import Note

LEFT_OUT = "the FAZ's mask is its most central piece; other pieces are left out"
"""Note on an image in whose FAZ mask pieces were left out."""


class TaskMasks(NamedTuple):
    """Masks of one image.

    Attributes:
        masks: task -> bool [H, W].
        dropped: pieces that the network took for the FAZ and that are not in its mask.
    """

    masks: dict[str, np.ndarray]
    dropped: int


def masks_of(probability: Mapping[str, np.ndarray], threshold: float) -> TaskMasks:
    """The pixels whose probability reaches the threshold; of the FAZ the most central piece.

    Args:
        probability: task -> float [H, W] in [0, 1].
        threshold: smallest probability of a mask's pixels, in [0, 1].
    """
    masks, dropped = {task: p >= threshold for task, p in probability.items()}, 0
    if "faz" in masks:
        masks["faz"], dropped = central_piece(masks["faz"])
    return TaskMasks(masks, dropped)


def noted(path: Path, dropped: int) -> tuple[Note, ...]:
    """The note on a file in whose FAZ mask pieces were left out; () if none were."""
    return (Note(path, LEFT_OUT),) if dropped else ()
