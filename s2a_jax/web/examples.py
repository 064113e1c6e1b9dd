"""Two synthetic eyes to try the page with."""

from functools import cache
from typing import NamedTuple

import numpy as np

from s2a_jax.data.synthesis import EyeParameters, synthesize_eye


class Example(NamedTuple):
    """A synthetic eye.

    Attributes:
        name: for people.
        seed: of its synthesis.
        size: side in pixels.
        field_mm: side of the field of view.
        laterality: "OD" or "OS".
    """

    name: str
    seed: int
    size: int
    field_mm: float
    laterality: str


EXAMPLES = (
    Example("Synthetic eye, 3 mm", 3, 304, 3.0, "OD"),
    Example("Synthetic eye, 6 mm", 8, 400, 6.0, "OS"),
)


@cache
def example_image(example: Example) -> np.ndarray:
    """The superficial slab, uint8 [H, W]; made when it is first shown, in about two seconds."""
    parameters = EyeParameters(size=example.size, field_mm=example.field_mm)
    return synthesize_eye(example.seed, parameters).image
