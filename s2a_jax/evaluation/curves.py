"""ROC, precision-recall and calibration curves from probabilities."""

from dataclasses import dataclass
from typing import Any

import numpy as np

_SHIFT = 23 - 16  # bins keep 16 of the 23 bits of a float32's mantissa
_HALF = int(np.float32(0.5).view(np.uint32)) >> _SHIFT
_BINS = 2 * _HALF - (int(np.float32(2**-24).view(np.uint32)) >> _SHIFT) + 2
_CALIBRATION_BINS = 15
_POINTS = 200


def roc_auc(probability: np.ndarray, true: np.ndarray) -> float:
    """Computes the exact area under the ROC curve of one image, in [0, 1]; 0.5 is chance.

    It is the probability that a pixel inside the truth has a higher value than one outside; ties
    count one half (Mann-Whitney). NaN where the truth is empty or fills the image.

    Args:
        probability: [H, W], any scale.
        true: bool [H, W].
    """
    inside, outside = np.sort(probability[true]), np.sort(probability[~true])
    if not inside.size or not outside.size:
        return float("nan")
    # Faster: search for the smaller set in the larger one.
    few, many = sorted((inside, outside), key=len)
    below = np.searchsorted(many, few, "left") + np.searchsorted(many, few, "right")
    area = below.sum(dtype=np.float64) / (2 * few.size * many.size)
    return float(area if few is inside else 1 - area)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Histogram of one image's pixels over their probability; a `Pool` adds up several.

    Attributes:
        bins: int32 [K], increasing: twice the bin of the probability, plus 1 inside the truth.
        pixels: int64 [K], number of pixels in each of these bins.
        calibration: float64 [3, 15]: pixels, sum of probabilities and pixels inside the truth, in
            bins of equal width.
    """

    bins: np.ndarray
    pixels: np.ndarray
    calibration: np.ndarray

    @classmethod
    def count(cls, probability: np.ndarray, true: np.ndarray) -> "Histogram":
        """Counts the pixels of one image.

        Args:
            probability: float32 [H, W] in [0, 1].
            true: bool [H, W].
        """
        p, inside = np.clip(probability.ravel(), 0, 1).astype(np.float32) + 0, true.ravel()
        bins, pixels = np.unique(2 * _bin_of(p) + inside, return_counts=True)
        n = _CALIBRATION_BINS
        # In float64 the product is exact, so no pixel falls into a neighbouring bin.
        even = np.minimum((p.astype(np.float64) * n).astype(np.intp), n - 1)
        calibration = [np.bincount(even, weights, n) for weights in (None, p, inside)]
        return cls(bins, pixels, np.stack(calibration).astype(np.float64))

    def parted(self) -> tuple["Histogram", "Histogram"]:
        """Two that add up to this one: the pixels, which is large, and the calibration."""
        empty = np.zeros(0, np.int32), np.zeros(0, np.int64)
        zeros = np.zeros_like(self.calibration)
        return Histogram(self.bins, self.pixels, zeros), Histogram(*empty, self.calibration)


class Pool:
    """Histogram of the pixels of many images; its memory does not grow with their number."""

    def __init__(self) -> None:
        # 156 MB of address space; pages that stay 0 take no memory, which leaves 50 to 110 MB.
        self._pixels = np.zeros((_BINS, 2), np.int64)
        self._calibration = np.zeros((3, _CALIBRATION_BINS))

    def add(self, histogram: Histogram) -> None:
        """Adds the pixels of one image."""
        self._pixels.reshape(-1)[histogram.bins] += histogram.pixels
        self._calibration += histogram.calibration

    def histogram(self) -> Histogram:
        """The sum of all histograms."""
        pixels = self._pixels.reshape(-1)
        bins = np.flatnonzero(pixels)
        return Histogram(bins, pixels[bins], self._calibration.copy())

    def curves(self) -> dict[str, Any]:
        """Computes the three curves as JSON values, each with at most 200 points.

        Pixels of one bin count as ties. A bin is at most 2^-16 of p wide below one half, and of
        1 - p above, which keeps the error of both areas below 1e-6 on maps that are saturated at
        both ends.

        Returns:
            `roc`: `fpr`, `tpr`, `auc` (the area, in [0, 1]).
            `pr`: `recall`, `precision`, `average_precision` (sum over the bins of precision times
            the gain in recall, in [0, 1]).
            `calibration`: `confidence` (mean probability), `frequency` (share of pixels inside the
            truth) and `pixels` of every bin that is not empty, and `ece`, the expected calibration
            error: the mean of |confidence - frequency| over pixels, in [0, 1], lower is better.
            `roc` and `pr` are absent where the truth has one class only.

        Raises:
            ValueError: the pool is empty.
        """
        if not self._calibration[0].any():
            raise ValueError("an empty pool has no curves")
        filled = np.unique(np.flatnonzero(self._pixels) // 2)[::-1]  # highest first
        outside, inside = np.cumsum(self._pixels[filled], axis=0).T
        curves = {}
        if outside[-1] and inside[-1]:
            fpr = np.concatenate([[0.0], outside / outside[-1]])
            tpr = np.concatenate([[0.0], inside / inside[-1]])
            precision = inside / (inside + outside)
            kept = _spread(fpr, tpr)
            curves["roc"] = {
                "fpr": _listed(fpr[kept]),
                "tpr": _listed(tpr[kept]),
                "auc": float(np.trapezoid(tpr, fpr)),
            }
            kept = _spread(tpr[1:], precision)
            curves["pr"] = {
                "recall": _listed(tpr[1:][kept]),
                "precision": _listed(precision[kept]),
                "average_precision": float((np.diff(tpr) * precision).sum()),
            }
        pixels, summed, hits = self._calibration[:, self._calibration[0] > 0]
        confidence, frequency = summed / pixels, hits / pixels
        error = (np.abs(confidence - frequency) * pixels).sum() / pixels.sum()
        curves["calibration"] = {
            "confidence": _listed(confidence),
            "frequency": _listed(frequency),
            "pixels": [int(n) for n in pixels],
            "ece": float(error),
        }
        return curves


def _bin_of(p: np.ndarray) -> np.ndarray:
    """Assigns float32 [N] in [0, 1] to bins, int32 [N], fine where p or 1 - p is small.

    Positive floats sort like their bits read as integers, with as many steps from 2^-20 to 2^-19
    as from 1/4 to 1/2. From 1/2 on, 1 - p is exact.
    """
    below, above = (_bits(values) for values in (p, np.float32(1) - p))
    # The smallest 1 - p is 2^-24, except at p = 1, which takes the last bin.
    return np.where(p < 0.5, below, np.minimum(2 * _HALF - above, _BINS - 1))


def _bits(values: np.ndarray) -> np.ndarray:
    return (np.ascontiguousarray(values).view(np.uint32) >> _SHIFT).astype(np.int32)


def _spread(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices of at most 200 points evenly spread along a curve, both ends included."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    wanted = np.linspace(0, along[-1], _POINTS - 1)
    return np.unique(np.append(np.searchsorted(along, wanted), len(x) - 1).clip(max=len(x) - 1))


def _listed(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]
