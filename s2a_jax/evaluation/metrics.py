"""Metrics of binary masks from counts of pixels, one image at a time or pooled."""

from collections.abc import Mapping

import numpy as np

METRICS = ("dice", "jaccard", "sensitivity", "specificity", "precision", "accuracy")
"""Names of what `scores` returns, in the order of tables."""


def scores(counts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Metrics in [0, 1] from pixel counts.

    A ratio without any pixel in its denominator is defined as 1: Dice and Jaccard of two empty
    masks, the sensitivity to an empty truth, the precision of an empty prediction, the specificity
    on a truth that fills the image.

    Args:
        counts: `tp`, `fp`, `fn`, `tn`: true and false positives and negatives, each [...].

    Returns:
        For every name in `METRICS` an array [...].
    """
    tp, fp, fn, tn = (np.asarray(counts[name], np.float64) for name in ("tp", "fp", "fn", "tn"))
    return {
        "dice": _ratio(2 * tp, 2 * tp + fp + fn),
        "jaccard": _ratio(tp, tp + fp + fn),
        "sensitivity": _ratio(tp, tp + fn),
        "specificity": _ratio(tn, tn + fp),
        "precision": _ratio(tp, tp + fp),
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 1.0)
