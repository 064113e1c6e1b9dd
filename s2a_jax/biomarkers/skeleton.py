"""Centrelines of vessels as a graph: branches between branch points and ends."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.morphology import skeletonize

from s2a_jax.biomarkers.curves import Curves, chains


@dataclass(frozen=True)
class Skeleton:
    """Centrelines in pixels.

    Attributes:
        pixels: bool [H, W], the centreline one pixel wide, without spurs.
        branches: curves from node to node at fractions of a pixel, points 1 to 1.4 pixels apart. A
            closed branch ends where it starts.
        branch_points: number of points where three or more branches meet.
        widest: twice the largest distance of a pixel of the mask to one outside it, pixels; not
            defined without a pixel outside.
    """

    pixels: np.ndarray
    branches: Curves
    branch_points: int
    widest: float


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
    paths = _trace(pixels)
    spurs = _spurs(paths, radius)
    if len(spurs):
        pixels = pixels.copy()
        pixels[tuple(spurs.T)] = False
        paths = _trace(pixels)
    branches = Curves(paths.points.astype(np.float64), paths.starts, paths.closed).smooth()
    return Skeleton(pixels, branches, _branch_points(paths, radius), 2 * float(radius.max()))


def _trace(pixels: np.ndarray) -> Curves:
    """Paths along whole pixels, from node to node or round a loop.

    A node is a pixel that has not exactly two neighbours. A loop without a node starts at its first
    pixel.
    """
    edges = _edges(pixels)
    # Each edge can be walked either way; steps are sorted by the pixel they start from.
    start, stop = np.concatenate([edges, edges[:, ::-1]]).T
    order = np.argsort(start, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    back = place[(order + len(edges)) % max(len(order), 1)]
    start, stop = start[order], stop[order]
    degree = np.bincount(start, minlength=np.count_nonzero(pixels))
    first = np.cumsum(degree) - degree  # step from each pixel
    goes_on = degree[stop] == 2
    following = np.full(len(order), -1)
    # Of the two steps from the next pixel, the one that does not lead back.
    following[goes_on] = 2 * first[stop[goes_on]] + 1 - back[goes_on]
    steps, starts = chains(following)
    # Every path was walked both ways: keep the way from the end that comes first.
    head, tail = steps[starts], steps[np.append(starts, len(steps))[1:] - 1]
    other = back[tail]
    kept = (start[head] < start[other]) | ((start[head] == start[other]) & (head < other))
    counts = np.diff(starts, append=len(steps))
    steps, counts = steps[np.repeat(kept, counts)], counts[kept]
    starts = np.cumsum(counts) - counts
    path = np.insert(stop[steps], starts, start[steps[starts]])
    closed = start[head[kept]] == stop[tail[kept]]
    return Curves(np.argwhere(pixels)[path], starts + np.arange(len(starts)), closed)


def _edges(pixels: np.ndarray) -> np.ndarray:
    """Pairs [E, 2] of neighbours; the pixels are numbered row by row.

    Neighbours lie beside each other, or are diagonal and no pixel beside both joins them.
    """
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
    return np.concatenate(edges)


def _ends(paths: Curves, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [2, K], as y * W + x, at which each path starts and ends; ends per pixel, [H * W]."""
    y, x = np.moveaxis(paths.points[np.stack([paths.starts, paths.ends])], -1, 0)
    ends = y * shape[1] + x
    return ends, np.bincount(ends.ravel(), minlength=shape[0] * shape[1])


def _spurs(paths: Curves, radius: np.ndarray) -> np.ndarray:
    """Pixels [N, 2] of all spurs, without the branch points that they start from."""
    ends, degree = _ends(paths, radius.shape)
    junction = degree[ends] >= 3
    free = degree[ends] == 1
    spur = junction.any(axis=0) & free.any(axis=0)
    root, tip = np.where(junction[0], ends, ends[::-1])
    y, x = np.unravel_index(tip, radius.shape)
    # A branch that reaches the image's edge is a vessel that continues outside.
    spur &= (y > 0) & (x > 0) & (y < radius.shape[0] - 1) & (x < radius.shape[1] - 1)
    spur &= paths.lengths() <= radius.ravel()[root] + 1
    removed = np.zeros(radius.shape, bool)
    removed[tuple(paths.points[np.repeat(spur, paths.counts)].T)] = True
    removed.ravel()[root[spur]] = False
    return np.argwhere(removed)


def _branch_points(paths: Curves, radius: np.ndarray) -> int:
    """Number of nodes where three or more paths end; nodes within a vessel's width are one."""
    ends, degree = _ends(paths, radius.shape)
    nodes = np.flatnonzero(degree >= 3)
    width = 2 * radius.ravel()[ends].max(axis=0)
    joined = (degree[ends] >= 3).all(axis=0) & (paths.lengths() <= width)
    one, other = np.searchsorted(nodes, ends[:, joined])
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(nodes), len(nodes)))
    return int(connected_components(graph, directed=False)[0]) if len(nodes) else 0
