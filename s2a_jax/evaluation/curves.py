"""ROC, precision-recall and calibration, from probabilities instead of masks."""

from dataclasses import dataclass
from typing import Any

import numpy as np

_BINS = 2**16
_LOGIT = 20.0  # beyond what float32 probabilities can hold on either side
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
    """Pixels of one image or several by their probability; add two to pool them.

    Attributes:
        pixels: int64 [2, bins]: outside and inside the truth, bins even in the logit.
        calibration: float64 [3, 15]: pixels, sum of probabilities, pixels inside the truth, bins
            even in the probability.
    """

    pixels: np.ndarray
    calibration: np.ndarray

    def __add__(self, other: "Histogram") -> "Histogram":
        return Histogram(self.pixels + other.pixels, self.calibration + other.calibration)

    @classmethod
    def count(cls, probability: np.ndarray, true: np.ndarray) -> "Histogram":
        """Counts one image.

        Args:
            probability: float32 [H, W] in [0, 1].
            true: bool [H, W].
        """
        p, inside = probability.ravel(), true.ravel()
        with np.errstate(divide="ignore"):
            logit = np.log(p) - np.log1p(-p)
        bins = np.clip((logit + _LOGIT) * (_BINS / (2 * _LOGIT)), 0, _BINS - 1).astype(np.intp)
        pixels = np.bincount(bins + _BINS * inside, minlength=2 * _BINS).reshape(2, _BINS)
        n = _CALIBRATION_BINS
        bins = np.minimum((p * n).astype(np.intp), n - 1)
        calibration = [np.bincount(bins, weights, n) for weights in (None, p, inside)]
        return cls(pixels, np.stack(calibration).astype(np.float64))

    def curves(self) -> dict[str, Any]:
        """The three curves as JSON values, of at most 200 points each.

        Areas are those of the bins, 0.0006 wide in the logit; pixels of one bin are ties.

        Returns:
            `roc`: `fpr`, `tpr`, `auc` (the area, in [0, 1]); `pr`: `recall`, `precision`,
            `average_precision` (sum over the bins of precision times the gain in recall, in
            [0, 1]); both are absent where the truth has one class only. `calibration`:
            `confidence` (mean probability), `frequency` (share of pixels inside the truth) and
            `pixels` of every bin of the probability that is not empty, and `ece`, the expected
            calibration error: the mean of |confidence - frequency| over pixels, in [0, 1], lower is
            better.
        """
        outside, inside = np.cumsum(self.pixels[:, ::-1], axis=1)
        curves = {}
        if outside[-1] and inside[-1]:
            changes = np.flatnonzero(self.pixels[:, ::-1].any(axis=0))
            outside, inside = outside[changes], inside[changes]
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
        pixels, summed, hits = self.calibration[:, self.calibration[0] > 0]
        confidence, frequency = summed / pixels, hits / pixels
        error = (np.abs(confidence - frequency) * pixels).sum() / pixels.sum()
        curves["calibration"] = {
            "confidence": _listed(confidence),
            "frequency": _listed(frequency),
            "pixels": [int(n) for n in pixels],
            "ece": float(error),
        }
        return curves


def _spread(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices of at most 200 points, evenly spread along a curve, with both of its ends."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    wanted = np.linspace(0, along[-1], _POINTS - 1)
    return np.unique(np.append(np.searchsorted(along, wanted), len(x) - 1).clip(max=len(x) - 1))


def _listed(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]
