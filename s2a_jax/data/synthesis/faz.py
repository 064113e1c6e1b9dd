"""The outline of the foveal avascular zone, in mm."""

import functools
from dataclasses import dataclass

import numpy as np

from s2a_jax.data.synthesis.parameters import EyeParameters

# Harmonics of the outline; 1 would be an offset, and 2 is the ellipse itself.
_HARMONICS = np.arange(3, 25)
_DIRECTIONS = 4096  # of precomputed radii; about 1 um apart on the largest outline


@dataclass(frozen=True)
class FazContour:
    """Star-shaped outline of the foveal avascular zone: a perturbed ellipse.

    Attributes:
        centre: [2] (y, x), mm from the image centre.
        area_mm2: target area, mm^2.
        axis_ratio: long over short axis of the ellipse, >= 1.
        tilt: angle of the long axis, rad.
        amplitudes: [22] relative amplitudes of harmonics 3 to 24.
        phases: [22] their phases, rad.
    """

    centre: np.ndarray
    area_mm2: float
    axis_ratio: float
    tilt: float
    amplitudes: np.ndarray
    phases: np.ndarray

    def level(self, points: np.ndarray) -> np.ndarray:
        """Distance from the centre relative to the outline's, < 1 inside.  [N, 2] mm -> [N]."""
        offset = points - self.centre
        turn = np.arctan2(offset[:, 0], offset[:, 1]) / (2 * np.pi) + 0.5  # 0 to 1
        return np.hypot(*offset.T) / self._radii[np.rint(turn * _DIRECTIONS).astype(int)]

    @functools.cached_property
    def _radii(self) -> np.ndarray:
        """Radius of the outline, mm, in all directions from -pi to pi."""
        angle = np.linspace(-np.pi, np.pi, _DIRECTIONS + 1) - self.tilt
        ellipse = np.sqrt(
            self.axis_ratio / (np.cos(angle) ** 2 + (self.axis_ratio * np.sin(angle)) ** 2)
        )
        waves = np.cos(angle[:, None] * _HARMONICS + self.phases) @ self.amplitudes
        return np.sqrt(self.area_mm2 / np.pi) * ellipse * (1 + waves)


def draw_faz(rng: np.random.Generator, parameters: EyeParameters) -> FazContour:
    """Draws place, area and outline of a FAZ."""
    angle = rng.uniform(0, 2 * np.pi)
    distance = parameters.faz_offset_mm * np.sqrt(rng.uniform())
    area = rng.normal(parameters.faz_area_mean_mm2, parameters.faz_area_sd_mm2)
    return FazContour(
        centre=distance * np.array([np.sin(angle), np.cos(angle)]),
        area_mm2=float(np.clip(area, *parameters.faz_area_clip_mm2)),
        axis_ratio=rng.uniform(*parameters.faz_axis_ratio),
        tilt=rng.uniform(0, np.pi),
        amplitudes=rng.uniform(*parameters.faz_irregularity)
        * rng.normal(size=len(_HARMONICS))
        / (_HARMONICS - 2),
        phases=rng.uniform(0, 2 * np.pi, len(_HARMONICS)),
    )
