"""ROC, precision-recall and calibration, from probabilities instead of masks."""

from dataclasses import dataclass
from typing import Any

import numpy as np

_SHIFT = 23 - 16  # of the 23 bits that float32 has behind an exponent, 16 tell bins apart
_HALF = int(np.float32(0.5).view(np.uint32)) >> _SHIFT
_BINS = 2 * _HALF - (int(np.float32(2**-24).view(np.uint32)) >> _SHIFT) + 2
_CALIBRATION_BINS = 15
_POINTS = 200


def roc_auc(probability: np.ndarray, true: np.ndarray) -> float:
    """Area under the ROC curve of one image, exact, in [0, 1]; 0.5 is chance.

    The probability that a pixel of the truth has a higher value than one outside it; ties count
    one half (Mann-Whitney). A truth that is empty or fills the image: NaN, it is not counted.

    Args:
        probability: [H, W], any scale.
        true: bool [H, W].
    """
    inside, outside = np.sort(probability[true]), np.sort(probability[~true])
    if not inside.size or not outside.size:
        return float("nan")
    # The smaller side is looked up in the larger one.
    few, many = sorted((inside, outside), key=len)
    below = np.searchsorted(many, few, "left") + np.searchsorted(many, few, "right")
    area = below.sum(dtype=np.float64) / (2 * few.size * many.size)
    return float(area if few is inside else 1 - area)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Pixels of one image by their probability; a `Pool` adds those of several.

    Attributes:
        bins: int32 [K], increasing: twice the bin of the probability, 1 more inside the truth.
        pixels: int64 [K], in each of these.
        calibration: float64 [3, 15]: pixels, sum of probabilities, pixels inside the truth, bins
            even in the probability.
    """

    bins: np.ndarray
    pixels: np.ndarray
    calibration: np.ndarray

    @classmethod
    def count(cls, probability: np.ndarray, true: np.ndarray) -> "Histogram":
        """Counts one image.

        Args:
            probability: float32 [H, W] in [0, 1].
            true: bool [H, W].
        """
        p, inside = np.clip(probability.ravel(), 0, 1).astype(np.float32) + 0, true.ravel()
        bins, pixels = np.unique(2 * _bin_of(p) + inside, return_counts=True)
        n = _CALIBRATION_BINS
        # In float64 the product is exact, and no pixel falls into the bin beside its own.
        even = np.minimum((p.astype(np.float64) * n).astype(np.intp), n - 1)
        calibration = [np.bincount(even, weights, n) for weights in (None, p, inside)]
        return cls(bins, pixels, np.stack(calibration).astype(np.float64))


class Pool:
    """Pixels of all images together; the memory it takes does not grow with their number."""

    def __init__(self) -> None:
        # 156 MB, but parts that stay 0 are never touched and take no memory: 50 to 110 MB.
        self._pixels = np.zeros((_BINS, 2), np.int64)
        self._calibration = np.zeros((3, _CALIBRATION_BINS))

    def add(self, histogram: Histogram) -> None:
        """Adds the pixels of an image."""
        self._pixels.reshape(-1)[histogram.bins] += histogram.pixels
        self._calibration += histogram.calibration

    def curves(self) -> dict[str, Any]:
        """The three curves as JSON values, of at most 200 points each.

        Areas are those of the bins, whose pixels are ties. A bin is at most 2^-16 of p wide below
        one half, and of 1 - p above: as fine as is needed for an error of less than 1e-6 on maps
        that are saturated at both ends.

        Returns:
            `roc`: `fpr`, `tpr`, `auc` (the area, in [0, 1]); `pr`: `recall`, `precision`,
            `average_precision` (sum over the bins of precision times the gain in recall, in
            [0, 1]); both are absent where the truth has one class only. `calibration`:
            `confidence` (mean probability), `frequency` (share of pixels inside the truth) and
            `pixels` of every bin of the probability that is not empty, and `ece`, the expected
            calibration error: the mean of |confidence - frequency| over pixels, in [0, 1], lower is
            better.

        Raises:
            ValueError: nothing was added.
        """
        if not self._calibration[0].any():
            raise ValueError("a pool of no pixels has no curves")
        filled = np.unique(np.flatnonzero(self._pixels) // 2)[::-1]  # from the highest on
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
    """Bins int32 [N] of float32 [N] in [0, 1], fine where p or 1 - p is small.

    The bits of a positive float, read as a whole number, are in the order of the floats, with as
    many steps from 2^-20 to 2^-19 as from 1/4 to 1/2. 1 - p is exact from 1/2 on.
    """
    below, above = (_bits(values) for values in (p, np.float32(1) - p))
    # The smallest 1 - p is 2^-24, except at 1 itself, which has the last bin.
    return np.where(p < 0.5, below, np.minimum(2 * _HALF - above, _BINS - 1))


def _bits(values: np.ndarray) -> np.ndarray:
    return (np.ascontiguousarray(values).view(np.uint32) >> _SHIFT).astype(np.int32)


def _spread(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices of at most 200 points, evenly spread along a curve, with both of its ends."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    wanted = np.linspace(0, along[-1], _POINTS - 1)
    return np.unique(np.append(np.searchsorted(along, wanted), len(x) - 1).clip(max=len(x) - 1))


def _listed(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]
