"""Metrics of binary masks from pixel counts, one image at a time or pooled.

Every function takes `tp`, `fp`, `fn`, `tn`, the true and false positives and negatives, each [...],
and returns float64 [...]. The ratio 0 / 0 is 1 unless the function says otherwise: with no pixel to
get wrong, the prediction is right.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

Counts = Mapping[str, np.ndarray]
"""`tp`, `fp`, `fn`, `tn`: numbers of pixels, each [...]."""


def dice(c: Counts) -> np.ndarray:
    """2 TP / (2 TP + FP + FN), in [0, 1]. Both masks empty: 1; one empty: 0."""
    return _ratio(2 * c["tp"], 2 * c["tp"] + c["fp"] + c["fn"])


def jaccard(c: Counts) -> np.ndarray:
    """TP / (TP + FP + FN), intersection over union, in [0, 1]. Both empty: 1; one empty: 0."""
    return _ratio(c["tp"], c["tp"] + c["fp"] + c["fn"])


def sensitivity(c: Counts) -> np.ndarray:
    """TP / (TP + FN), recall, in [0, 1]. Empty truth: 1."""
    return _ratio(c["tp"], c["tp"] + c["fn"])


def specificity(c: Counts) -> np.ndarray:
    """TN / (TN + FP), in [0, 1]. Truth fills the image: 1."""
    return _ratio(c["tn"], c["tn"] + c["fp"])


def precision(c: Counts) -> np.ndarray:
    """TP / (TP + FP), in [0, 1]. Empty prediction: 1."""
    return _ratio(c["tp"], c["tp"] + c["fp"])


def accuracy(c: Counts) -> np.ndarray:
    """(TP + TN) / all pixels, in [0, 1]; defined for empty masks, too."""
    return _ratio(c["tp"] + c["tn"], c["tp"] + c["fp"] + c["fn"] + c["tn"])


def fdr(c: Counts) -> np.ndarray:
    """False discovery rate FP / (FP + TP), in [0, 1], lower is better. Empty prediction: 0."""
    return 1 - precision(c)


def g_mean(c: Counts) -> np.ndarray:
    """Geometric mean of sensitivity and specificity, in [0, 1], with their rules for 0 / 0."""
    return np.sqrt(sensitivity(c) * specificity(c))


def kappa(c: Counts) -> np.ndarray:
    """Cohen's kappa (po - pe) / (1 - pe), in [-1, 1]; 0 is chance agreement.

    po is the accuracy, pe = ((TP+FP)(TP+FN) + (TN+FN)(TN+FP)) / n^2. Both masks empty, or both
    full: 1; one empty: 0.
    """
    tp, fp, fn, tn = (c[name] for name in ("tp", "fp", "fn", "tn"))
    # Numerator and denominator times n^2 / 2, to avoid subtracting nearly equal rounded numbers.
    return _ratio(2 * (tp * tn - fp * fn), (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn))


METRICS: Mapping[str, Callable[[Counts], np.ndarray]] = MappingProxyType(
    {
        "dice": dice,
        "jaccard": jaccard,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "precision": precision,
        "accuracy": accuracy,
        "fdr": fdr,
        "g_mean": g_mean,
        "kappa": kappa,
    }
)
"""Name -> function."""


def scores(counts: Counts) -> dict[str, np.ndarray]:
    """Computes every metric of `METRICS`.

    Args:
        counts: `tp`, `fp`, `fn`, `tn`: numbers of pixels, each [...].

    Returns:
        Name -> float64 [...].
    """
    exact = {name: np.asarray(counts[name], np.float64) for name in ("tp", "fp", "fn", "tn")}
    return {name: metric(exact) for name, metric in METRICS.items()}


def confusion(predicted: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
    """Counts `tp`, `fp`, `fn`, `tn` of two boolean masks of the same shape, on the host."""
    pairs = {"tp": (True, True), "fp": (True, False), "fn": (False, True), "tn": (False, False)}
    return {name: np.sum((predicted == p) & (true == t)) for name, (p, t) in pairs.items()}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole != 0, part / np.where(whole != 0, whole, 1), 1.0)
