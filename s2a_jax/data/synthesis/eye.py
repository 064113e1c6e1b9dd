"""One synthetic eye from one seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2a_jax.data.synthesis.acquisition import acquire, displaced
from s2a_jax.data.synthesis.export import exported
from s2a_jax.data.synthesis.faz import draw_faz
from s2a_jax.data.synthesis.parameters import EyeParameters
from s2a_jax.data.synthesis.render import draw_anatomy, largest_region
from s2a_jax.data.synthesis.vessels import grow_vessels


@dataclass(frozen=True)
class Eye:
    """A synthetic en-face angiogram and its labels, all [H, W].

    Attributes:
        image: uint8, the superficial slab.
        deep: uint8, the slab of the deep plexus in the same scan.
        rv: bool, the larger retinal vessels.
        faz: bool, the foveal avascular zone: one region, never empty, disjoint from `rv`.
        deep_faz: bool, the avascular zone of the deep plexus, as it is drawn on `deep`.
        centreline: bool, the axes of the vessels in `rv`, 8-connected.
        radius_um: float32, the vessel's radius on `centreline`, um; 0 elsewhere.
        vessel_class: uint8 on `rv`: 1 artery, 2 vein; 0 elsewhere.
        capillaries: bool, pixels that superficial capillaries cover by 40 % or more.
    """

    image: np.ndarray
    deep: np.ndarray
    rv: np.ndarray
    faz: np.ndarray
    deep_faz: np.ndarray
    centreline: np.ndarray
    radius_um: np.ndarray
    vessel_class: np.ndarray
    capillaries: np.ndarray


_DEFAULTS = EyeParameters()


def synthesize_eye(seed: int | Sequence[int], parameters: EyeParameters = _DEFAULTS) -> Eye:
    """Synthesises one eye.

    Args:
        seed: non-negative integer or integers, for example `(data_set_seed, index)`.
        parameters: sizes, calibres and noise.

    Returns:
        The eye, a pure function of the arguments. Its anatomy depends on neither `size`, `field_mm`
        nor the parameters of the acquisition, which has its own random stream.
    """
    streams = np.random.SeedSequence(seed).spawn(5)
    outline, growth, bed, scan, export = (np.random.default_rng(stream) for stream in streams)
    faz = draw_faz(outline, parameters)
    trees = grow_vessels(growth, faz, parameters)
    drawing = draw_anatomy(bed, faz, trees, parameters)
    image, deep, columns = acquire(scan, drawing, parameters)
    image, deep = exported(export, (image, deep), parameters)
    radius_um = displaced(drawing.centreline_radius_um, columns)
    return Eye(
        image=image,
        deep=deep,
        rv=displaced(drawing.rv, columns),
        faz=largest_region(displaced(drawing.faz, columns)),
        deep_faz=largest_region(displaced(drawing.deep_faz, columns)),
        centreline=radius_um > 0,
        radius_um=radius_um,
        vessel_class=displaced(drawing.vessel_class, columns),
        capillaries=displaced(drawing.capillaries, columns),
    )
