"""Polylines in flat arrays, so that a million short ones cost no loop in Python."""

import functools
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, depth_first_order

# A Savitzky-Golay filter of degree 2 removes the steps of the pixel grid and, unlike a mean, keeps
# arcs with a radius of a few pixels in place: a mean would shrink every disc.
_WINDOW = 11  # points, about 8 pixels along the curve
_DEGREE = 2


@dataclass(frozen=True)
class Curves:
    """Curves, one after the other.

    Attributes:
        points: [N, 2], (y, x) in pixels, about a pixel apart along a curve. A closed curve repeats
            its first point at its end.
        starts: [K], index of each curve's first point, from 0 up. A curve has two points or more.
        closed: bool [K].
    """

    points: np.ndarray
    starts: np.ndarray
    closed: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Number of points of each curve, [K]."""
        return np.diff(self.starts, append=len(self.points))

    @property
    def ends(self) -> np.ndarray:
        """Index of each curve's last point, [K]."""
        return self.starts + self.counts - 1

    def segments(self) -> tuple[np.ndarray, np.ndarray]:
        """Midpoints [N - K, 2] and lengths [N - K] of the segments of all curves, pixels."""
        first = np.ones(len(self.points), bool)
        first[self.ends] = False  # no segment leads from one curve to the next
        first = np.flatnonzero(first)
        one, other = self.points[first], self.points[first + 1]
        return (one + other) / 2, np.hypot(*(other - one).T)

    def lengths(self) -> np.ndarray:
        """Length of each curve, [K], pixels."""
        if not len(self.starts):
            return np.zeros(0)
        return np.add.reduceat(self.segments()[1], self.starts - np.arange(len(self.starts)))

    def enclosed_area(self) -> float:
        """Area inside closed curves that all run the same way round, square pixels."""
        one, other = self.points[:-1].T, self.points[1:].T
        inside = np.ones(len(self.points), bool)
        inside[self.ends] = False
        crossed = one[0] * other[1] - one[1] * other[0]
        return 0.5 * abs(float(crossed[inside[:-1]].sum()))

    def smooth(self) -> "Curves":
        """Removes the steps of the pixel grid.

        The ends of an open curve may move as well. Where a curve has fewer than eleven points, the
        filter is as long as the curve; fewer than three points do not change.
        """
        counts = self.counts - self.closed  # without the repeated point
        windows = np.minimum(_WINDOW, counts - 1 + counts % 2)  # odd, at most the count
        smooth = self.points.copy()
        for window in range(_DEGREE + 1, _WINDOW + 1, 2):
            chosen = np.flatnonzero(windows == window)
            if not chosen.size:
                continue
            number = self.counts[chosen]
            place = np.arange(number.sum()) - np.repeat(number.cumsum() - number, number)
            start, count, closed = (
                np.repeat(each[chosen], number) for each in (self.starts, counts, self.closed)
            )
            # At the ends of an open curve the window stays on the curve, and its fit is read off
            # the middle.
            first = place - window // 2
            first = np.where(closed, first, np.clip(first, 0, count - window))
            weights = _local_fit(window)[place - first]
            near = start[:, None] + (first[:, None] + np.arange(window)) % count[:, None]
            values = self.points[near].transpose(0, 2, 1) @ weights[:, :, None]
            smooth[start + place] = values[..., 0]
        return Curves(smooth, self.starts, self.closed)


def chains(following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walks along chains of elements.

    Args:
        following: [N], the element after each one, or -1 at the end of a chain. No two elements
            are followed by the same one, so each lies in one chain, open or closed.

    Returns:
        The elements [N], chain by chain, each from its first element to its last, and the places
        [K] in it where the chains start. A closed chain starts at its smallest element.
    """
    number = len(following)
    if not number:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    elements = np.arange(number)
    last = following < 0
    after = np.where(last, elements, following)
    count, chain = connected_components(_links(after), directed=True, connection="weak")
    before = np.full(number, -1)
    before[following[~last]] = elements[~last]
    first = before < 0
    head, tail = np.empty(count, np.int64), np.empty(count, np.int64)
    head[chain[::-1]] = elements[::-1]  # the smallest is written last
    tail[chain] = before[head[chain]]
    head[chain[first]], tail[chain[last]] = elements[first], elements[last]
    # Linked end to start the chains are one, which SciPy walks in compiled code.
    after[tail] = np.roll(head, -1)
    order = depth_first_order(_links(after), head[0], return_predecessors=False)
    return order, np.cumsum(np.bincount(chain)) - np.bincount(chain)


def _links(after: np.ndarray) -> csr_array:
    """Graph [N, N] with an edge from each element to the one after it."""
    number = len(after)
    return csr_array((np.ones(number), after, np.arange(number + 1)), shape=(number, number))


@functools.cache
def _local_fit(window: int) -> np.ndarray:
    """Matrix that maps values [window] to the values of the polynomial fitted to them."""
    powers = np.vander(np.arange(window) - window // 2, _DEGREE + 1)
    return powers @ np.linalg.pinv(powers)
