"""Centrelines of vessels as a graph: branches between branch points and ends."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

from s2a_jax.biomarkers.contours import smooth_curve


@dataclass(frozen=True)
class Skeleton:
    """Centrelines in pixels.

    Attributes:
        pixels: bool [H, W], the centreline one pixel wide, without spurs.
        branches: each [N, 2] with N >= 2, (y, x) from node to node at fractions of a pixel, points
            1 to 1.4 pixels apart. A closed branch ends where it starts.
        branch_points: [K, 2], (y, x) where three or more branches meet.
    """

    pixels: np.ndarray
    branches: list[np.ndarray]
    branch_points: np.ndarray


def trace_skeleton(mask: np.ndarray, border: int) -> Skeleton:
    """Thins a mask, removes spurs and traces the rest.

    A bump of the outline makes a spur: a branch with a free end that stays inside the vessel,
    shorter than the vessel's radius at its root plus one pixel. Branch points that are closer than
    the vessel's width count as one, since thinning turns a crossing into two points.

    Args:
        mask: bool [H + 2 border, W + 2 border], the image and a border that continues it, so that
            centrelines reach the image's edge.
        border: width of the border in pixels; it is cut off.

    Returns:
        The skeleton, in coordinates of the image [H, W].
    """
    # Zhang's thinning, the default, erases diagonal vessels of an even width altogether.
    thin = skeletonize(mask, method="lee")
    inside = (slice(border, -border or None),) * 2
    radius = ndimage.distance_transform_edt(mask)[inside]
    pixels = thin[inside]
    points, paths = _trace(pixels)
    degree = np.bincount([end for path in paths for end in (path[0], path[-1])])
    spurs = [path for path in paths if _is_spur(points[path], degree[path[[0, -1]]], radius)]
    if spurs:
        pixels = pixels.copy()
        for path in spurs:
            # All pixels but the end that other branches share.
            own = path[1:] if degree[path[0]] > 1 else path[:-1]
            pixels[tuple(points[own].T)] = False
        points, paths = _trace(pixels)
    branches = [
        _smooth_branch(points[path].astype(np.float64), path[0] == path[-1]) for path in paths
    ]
    return Skeleton(pixels, branches, _branch_points(points, paths, radius))


def branch_length(branch: np.ndarray) -> float:
    """Length along a branch [N, 2], in pixels."""
    return float(np.hypot(*np.diff(branch, axis=0).T).sum())


def _trace(pixels: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Points [N, 2] of the pixels, and paths of their indices from node to node or round a loop."""
    points = np.argwhere(pixels)
    neighbours = _neighbours(pixels)
    paths, used = [], set()
    nodes = [n for n, near in enumerate(neighbours) if len(near) not in (0, 2)]
    # After all nodes, a loop without a node is entered at any of its points.
    for start in (*nodes, *range(len(points))):
        for second in neighbours[start]:
            if (start, second) in used:
                continue
            path = [start, second]
            while len(neighbours[path[-1]]) == 2 and path[-1] != start:
                first, other = neighbours[path[-1]]
                path.append(other if first == path[-2] else first)
            used.update(pairwise(path))
            used.update(pairwise(reversed(path)))
            paths.append(np.array(path))
    return points, paths


def _neighbours(pixels: np.ndarray) -> list[list[int]]:
    """Neighbours of each pixel: beside it, or diagonal where no pixel beside both joins them."""
    index = np.full(np.add(pixels.shape, 2), -1)
    index[1:-1, 1:-1][pixels] = np.arange(np.count_nonzero(pixels))
    centre = index[1:-1, 1:-1]
    right, below = index[1:-1, 2:], index[2:, 1:-1]
    left, below_right, below_left = index[1:-1, :-2], index[2:, 2:], index[2:, :-2]
    edges = []
    for other, corners in (
        (right, ()),
        (below, ()),
        (below_right, (right, below)),
        (below_left, (left, below)),
    ):
        joined = (centre >= 0) & (other >= 0)
        for corner in corners:
            joined &= corner < 0
        edges.append(np.stack([centre[joined], other[joined]], axis=1))
    neighbours = [[] for _ in range(np.count_nonzero(pixels))]
    for one, other in np.concatenate(edges).tolist():
        neighbours[one].append(other)
        neighbours[other].append(one)
    return neighbours


def _is_spur(branch: np.ndarray, degrees: np.ndarray, radius: np.ndarray) -> bool:
    """Whether a branch [N, 2] with `degrees` branches at its two ends is a spur."""
    if degrees.min() > 1 or degrees.max() < 3:
        return False
    root, tip = (branch[0], branch[-1]) if degrees[0] > 1 else (branch[-1], branch[0])
    # A branch that reaches the image's edge is a vessel that continues outside.
    leaves = (tip == 0).any() or (tip == np.array(radius.shape) - 1).any()
    return not leaves and branch_length(branch) <= radius[tuple(root)] + 1


def _smooth_branch(branch: np.ndarray, closed: bool) -> np.ndarray:
    if not closed:
        return smooth_curve(branch, closed=False)
    smooth = smooth_curve(branch[:-1], closed=True)
    return np.concatenate([smooth, smooth[:1]])


def _branch_points(points: np.ndarray, paths: list[np.ndarray], radius: np.ndarray) -> np.ndarray:
    """Centres [K, 2] of the nodes of degree 3 or more; nodes within a vessel's width are joined."""
    degree = np.bincount([end for path in paths for end in (path[0], path[-1])], minlength=1)
    nodes = np.flatnonzero(degree >= 3)
    group = {node: node for node in nodes.tolist()}

    def root(node: int) -> int:
        while group[node] != node:
            node = group[node]
        return node

    for path in paths:
        first, last = int(path[0]), int(path[-1])
        if first in group and last in group:
            width = 2 * max(radius[tuple(points[end])] for end in (first, last))
            if branch_length(points[path]) <= width:
                group[root(first)] = root(last)
    roots = np.array([root(node) for node in nodes.tolist()], np.int64)
    return np.array([points[nodes[roots == one]].mean(axis=0) for one in np.unique(roots)]).reshape(
        -1, 2
    )
