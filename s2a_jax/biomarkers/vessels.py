"""Biomarkers of the vessels, in pixels: a mask in, numbers out; `biomarkers` gives them units."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from s2a_jax.biomarkers.contours import outlines, segments
from s2a_jax.biomarkers.skeleton import Skeleton, branch_length, trace_skeleton

_BORDER = 24  # pixels mirrored around the image, so that its edge neither ends nor outlines vessels
_SHORTEST = 10  # pixels; a shorter chord is that of a loop, or of a few steps of the grid


@dataclass(frozen=True)
class VesselMeasures:
    """What a vessel mask holds. NaN: not defined, as there is no vessel or no background.

    Attributes:
        area: pixels of the vessels.
        perimeter: length of their walls inside the image, pixels.
        length: of their centrelines, pixels.
        mean_calibre: of all points of the centrelines, pixels.
        median_calibre: of the same points, pixels.
        tortuosity: arc over chord, mean weighted by arc over the branches whose ends are at least
            10 pixels apart.
        branch_points: their number.
        skeleton: the centrelines.
    """

    area: int
    perimeter: float
    length: float
    mean_calibre: float
    median_calibre: float
    tortuosity: float
    branch_points: int
    skeleton: Skeleton


def measure_vessels(mask: np.ndarray) -> VesselMeasures:
    """Measures a vessel mask.

    Args:
        mask: bool [H, W], true on vessels.
    """
    padded = np.pad(mask, _BORDER, mode="symmetric")
    walls = [outline - _BORDER for outline in outlines(padded)]
    skeleton = trace_skeleton(padded, _BORDER)
    calibres = _calibres(skeleton.branches, _wall_points(walls, mask.shape))
    return VesselMeasures(
        area=int(np.count_nonzero(mask)),
        perimeter=_perimeter_inside(walls, mask.shape),
        length=sum(map(branch_length, skeleton.branches)),
        mean_calibre=float(calibres.mean()) if calibres.size else np.nan,
        median_calibre=float(np.median(calibres)) if calibres.size else np.nan,
        tortuosity=_tortuosity(skeleton.branches),
        branch_points=len(skeleton.branch_points),
        skeleton=skeleton,
    )


def _perimeter_inside(walls: list[np.ndarray], shape: tuple[int, int]) -> float:
    total = 0.0
    for wall in walls:
        middle, length = segments(wall)
        inside = (middle >= -0.5) & (middle <= np.array(shape) - 0.5)
        total += float(length[inside.all(axis=1)].sum())
    return total


def _wall_points(walls: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Points [N, 2] on the walls, so dense that a distance to them is that to the wall."""
    points = [each for wall in walls for each in (wall, segments(wall)[0])]
    points = np.concatenate([np.empty((0, 2)), *points])
    # The outer edge of what is mirrored is no wall.
    is_wall = (points > 1 - _BORDER) & (points < np.array(shape) + _BORDER - 2)
    return points[is_wall.all(axis=1)]


def _calibres(branches: list[np.ndarray], wall_points: np.ndarray) -> np.ndarray:
    """Calibres [N] in pixels at all points of the branches.

    Twice the distance to the wall is short by up to a pixel where the centreline, made of whole
    pixels, lies beside the axis. So the distance is taken half a pixel to either side of the
    centreline, one to each wall: d(left) + d(right) + 1, whatever the offset.
    """
    if not branches or not len(wall_points):
        return np.empty(0)
    points = np.concatenate(branches)
    tangents = np.concatenate([np.gradient(branch, axis=0) for branch in branches])
    normals = tangents[:, ::-1] * (1, -1) / np.hypot(*tangents.T)[:, None]
    wall = cKDTree(wall_points)
    (left, _), (right, _) = (wall.query(points + side * normals) for side in (-0.5, 0.5))
    return left + right + 1


def _tortuosity(branches: list[np.ndarray]) -> float:
    """Arc over chord, weighted by arc; branches with a short chord are left out."""
    arcs = np.array([branch_length(branch) for branch in branches])
    chords = np.array([np.hypot(*(branch[-1] - branch[0])) for branch in branches])
    counted = chords >= _SHORTEST
    if not counted.any():
        return np.nan
    arcs, chords = arcs[counted], chords[counted]
    return float(np.average(arcs / chords, weights=arcs))
