"""The outline of the foveal avascular zone, in mm."""

from dataclasses import dataclass

import numpy as np

from s2a_jax.data.synthesis.parameters import EyeParameters

# The harmonics of the FAZ outline: 1 is an offset and 2 the ellipse itself.
_HARMONICS = np.arange(3, 9)


@dataclass(frozen=True)
class FazContour:
    """Star-shaped outline of the foveal avascular zone: a perturbed ellipse.

    Attributes:
        centre: [2] (y, x), mm from the image centre.
        area_mm2: Target area, mm^2.
        axis_ratio: Long over short axis of the ellipse, >= 1.
        tilt: Angle of the long axis, rad.
        amplitudes: [6] relative amplitudes of harmonics 3 to 8.
        phases: [6] their phases, rad.
    """

    centre: np.ndarray
    area_mm2: float
    axis_ratio: float
    tilt: float
    amplitudes: np.ndarray
    phases: np.ndarray

    def level(self, points: np.ndarray) -> np.ndarray:
        """Distance from the centre in units of the outline's: < 1 inside.  [N, 2] -> [N]."""
        offset = points - self.centre
        angle = np.arctan2(offset[:, 0], offset[:, 1]) - self.tilt
        ellipse = np.sqrt(
            self.axis_ratio / (np.cos(angle) ** 2 + (self.axis_ratio * np.sin(angle)) ** 2)
        )
        waves = np.cos(angle[:, None] * _HARMONICS + self.phases) @ self.amplitudes
        radius = np.sqrt(self.area_mm2 / np.pi) * ellipse * (1 + waves)
        return np.hypot(*offset.T) / radius


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
        amplitudes=parameters.faz_irregularity * rng.normal(size=6) / (_HARMONICS - 2),
        phases=rng.uniform(0, 2 * np.pi, 6),
    )
