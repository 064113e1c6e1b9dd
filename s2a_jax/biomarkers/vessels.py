"""Biomarkers of the vessels in pixels; `measure` gives them units."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from s2a_jax.biomarkers.contours import outlines, segments
from s2a_jax.biomarkers.skeleton import Skeleton, branch_length, trace_skeleton

_BORDER = 24  # pixels mirrored around the image, so that its edge is no end and no wall
_SHORTEST = 10  # pixels; shorter chords belong to loops, or to a few steps of the grid


@dataclass(frozen=True)
class VesselMeasures:
    """Measures of a vessel mask; NaN where there is no vessel or no background.

    Attributes:
        area: number of vessel pixels.
        perimeter: length of the vessel walls inside the image, pixels.
        length: length of the centrelines, pixels.
        mean_calibre: mean over all points of the centrelines, pixels.
        median_calibre: median over the same points, pixels.
        tortuosity: arc over chord, mean weighted by arc over the branches whose ends are at least
            10 pixels apart.
        branch_points: number of branch points.
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
    """Points [N, 2] on the walls, dense enough to stand for the walls in distances."""
    points = [each for wall in walls for each in (wall, segments(wall)[0])]
    points = np.concatenate([np.empty((0, 2)), *points])
    # The outer edge of the mirrored border is no wall.
    is_wall = (points > 1 - _BORDER) & (points < np.array(shape) + _BORDER - 2)
    return points[is_wall.all(axis=1)]


def _calibres(branches: list[np.ndarray], wall_points: np.ndarray) -> np.ndarray:
    """Calibres [N] in pixels at all points of the branches.

    A centreline of whole pixels may lie beside the axis, and twice the distance to the wall is then
    too short by up to a pixel. The sum of the distances from half a pixel to either side of the
    centreline, d(left) + d(right) + 1, does not depend on the offset.
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
    """Mean of arc over chord, weighted by arc, over the branches with a long enough chord."""
    arcs = np.array([branch_length(branch) for branch in branches])
    chords = np.array([np.hypot(*(branch[-1] - branch[0])) for branch in branches])
    counted = chords >= _SHORTEST
    if not counted.any():
        return np.nan
    arcs, chords = arcs[counted], chords[counted]
    return float(np.average(arcs / chords, weights=arcs))
