"""One seed in, one synthetic eye out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2a_jax.data.synthesis.acquisition import acquire
from s2a_jax.data.synthesis.parameters import EyeParameters
from s2a_jax.data.synthesis.render import draw_anatomy
from s2a_jax.data.synthesis.vessels import draw_faz, grow_vessels


@dataclass(frozen=True)
class Eye:
    """A synthetic en-face angiogram of the superficial retina and its labels.

    Attributes:
        image: [H, W] uint8.
        rv: [H, W] bool, the larger retinal vessels.
        faz: [H, W] bool, the foveal avascular zone: one region, never empty, disjoint from `rv`.
    """

    image: np.ndarray
    rv: np.ndarray
    faz: np.ndarray


_DEFAULTS = EyeParameters()


def synthesize_eye(seed: int | Sequence[int], parameters: EyeParameters = _DEFAULTS) -> Eye:
    """Synthesises one eye.

    Args:
        seed: Non-negative integer or integers, for example `(data_set_seed, index)`.
        parameters: Sizes, calibres and noise; see `EyeParameters`.

    Returns:
        The eye: a pure function of the arguments.  The anatomy depends on neither `size` nor the
        parameters of the acquisition, which have a random stream of their own.
    """
    streams = np.random.SeedSequence(seed).spawn(4)
    outline, growth, bed, scan = (np.random.default_rng(stream) for stream in streams)
    faz = draw_faz(outline, parameters)
    trees = grow_vessels(growth, faz, parameters)
    drawing = draw_anatomy(bed, faz, trees, parameters)
    image, rv, mask = acquire(scan, drawing, parameters)
    return Eye(image=image, rv=rv, faz=mask)
