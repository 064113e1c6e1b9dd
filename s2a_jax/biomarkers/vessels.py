"""Biomarkers of the vessels in pixels; `measure` gives them units."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from s2a_jax.biomarkers.contours import outlines
from s2a_jax.biomarkers.curves import Curves
from s2a_jax.biomarkers.skeleton import Skeleton, trace_skeleton

_BORDER = 24  # pixels mirrored around the image, so that its edge is no end and no wall
_SHORTEST = 10  # pixels; shorter chords belong to loops, or to a few steps of the grid


@dataclass(frozen=True)
class VesselMeasures:
    """Measures of a vessel mask; NaN where a measure is not defined for it.

    Attributes:
        area: number of vessel pixels.
        perimeter: length of the vessel walls inside the image, pixels.
        length: length of the centrelines, pixels.
        diameter_index: area over length, pixels. NaN if it is more than twice the widest place, as
            on a disc, whose centreline is a point.
        mean_calibre: mean over all points of the centrelines, pixels.
        median_calibre: median over the same points, pixels. No diameter is larger than the image's
            diagonal; NaN instead, and without centreline or background.
        tortuosity: arc over chord, mean weighted by arc over the branches whose ends are at least
            10 pixels apart; NaN without such a branch.
        branch_points: number of branch points.
        skeleton: the centrelines.
    """

    area: int
    perimeter: float
    length: float
    diameter_index: float
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
    walls = outlines(padded)
    walls = replace(walls, points=walls.points - _BORDER)
    skeleton = trace_skeleton(padded, _BORDER)
    calibres = _calibres(skeleton.branches, _wall_points(walls, mask.shape))
    area = int(np.count_nonzero(mask))
    length = float(skeleton.branches.lengths().sum())
    diagonal = float(np.hypot(*mask.shape))
    # Ends are short by half a calibre, which can double the index of a short vessel, but not more.
    largest_index = min(2 * skeleton.widest, diagonal) if len(walls.starts) else 0.0
    return VesselMeasures(
        area=area,
        perimeter=_perimeter_inside(walls, mask.shape),
        length=length,
        diameter_index=area / length if 0 < area <= largest_index * length else np.nan,
        mean_calibre=_at_most(calibres.mean(), diagonal) if calibres.size else np.nan,
        median_calibre=_at_most(np.median(calibres), diagonal) if calibres.size else np.nan,
        tortuosity=_tortuosity(skeleton.branches),
        branch_points=skeleton.branch_points,
        skeleton=skeleton,
    )


def _perimeter_inside(walls: Curves, shape: tuple[int, int]) -> float:
    middle, length = walls.segments()
    inside = (middle >= -0.5) & (middle <= np.array(shape) - 0.5)
    return float(length[inside.all(axis=1)].sum())


def _wall_points(walls: Curves, shape: tuple[int, int]) -> np.ndarray:
    """Points [N, 2] on the walls, dense enough to stand for the walls in distances."""
    points = np.concatenate([walls.points, walls.segments()[0]])
    # The outer edge of the mirrored border is no wall.
    is_wall = (points > 1 - _BORDER) & (points < np.array(shape) + _BORDER - 2)
    return points[is_wall.all(axis=1)]


def _calibres(branches: Curves, wall_points: np.ndarray) -> np.ndarray:
    """Calibres [N] in pixels at all points of the branches.

    A centreline of whole pixels may lie beside the axis, and twice the distance to the wall is then
    too short by up to a pixel. The sum of the distances from half a pixel to either side of the
    centreline, d(left) + d(right) + 1, does not depend on the offset.
    """
    if not len(branches.points) or not len(wall_points):
        return np.empty(0)
    before = np.arange(len(branches.points)) - 1
    after = before + 2
    before[branches.starts] += 1
    after[branches.ends] -= 1
    points = branches.points
    tangents = points[after] - points[before]
    normals = tangents[:, ::-1] * (1, -1) / np.hypot(*tangents.T)[:, None]
    wall = cKDTree(wall_points, balanced_tree=False)
    (left, _), (right, _) = (wall.query(points + side * normals) for side in (-0.5, 0.5))
    return left + right + 1


def _at_most(value: float, largest: float) -> float:
    return float(value) if value <= largest else np.nan


def _tortuosity(branches: Curves) -> float:
    """Mean of arc over chord, weighted by arc, over the branches with a long enough chord."""
    arcs = branches.lengths()
    chords = np.hypot(*(branches.points[branches.ends] - branches.points[branches.starts]).T)
    counted = chords >= _SHORTEST
    if not counted.any():
        return np.nan
    arcs, chords = arcs[counted], chords[counted]
    # Rounding takes a straight branch a little below 1.
    return max(1.0, float(np.average(arcs / chords, weights=arcs)))
