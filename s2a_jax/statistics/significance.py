"""Differences of two networks on the same cases: paired test, correction, effect size."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

FEWEST_CASES = 6
"""The exact two-sided test cannot reach p < 0.05 with fewer pairs: 2 / 2**5 = 0.0625."""


def paired_wilcoxon(first: np.ndarray, second: np.ndarray) -> float | None:
    """Two-sided p-value of the Wilcoxon signed-rank test (Wilcoxon 1945), by SciPy.

    Exact for up to 50 pairs without ties or zero differences, otherwise by the normal
    approximation; zero differences are dropped.

    Args:
        first: [N], one value per case.
        second: [N], for the same cases in the same order.

    Returns:
        p in [0, 1]; 1 if no case differs; None for N < `FEWEST_CASES`.

    Raises:
        ValueError: the two have different lengths.
    """
    difference = _differences(first, second)
    if len(difference) < FEWEST_CASES:
        return None
    if not difference.any():
        return 1.0
    return float(stats.wilcoxon(difference).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for multiple comparisons by the step-down method (Holm 1979).

    Multiplies the k-th smallest of m values (k from 0) by m - k, then raises each to at least the
    one before it and caps it at 1.

    Args:
        p_values: [m], each in [0, 1].

    Returns:
        The corrected values [m] in [0, 1], in the order of the input.
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values)
    scaled = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected.tolist()


def rank_biserial(first: np.ndarray, second: np.ndarray) -> float:
    """Matched-pairs rank-biserial correlation (Kerby 2014), the effect size of the Wilcoxon test.

    (R+ - R-) / (R+ + R-), where R+ and R- are the sums of the ranks of |first - second| over the
    cases with a positive and a negative difference; zero differences are dropped.

    Args:
        first: [N], one value per case.
        second: [N], for the same cases in the same order.

    Returns:
        In [-1, 1]: 1 if `first` is larger in every case, 0 if no case differs.

    Raises:
        ValueError: the two have different lengths.
    """
    difference = _differences(first, second)
    difference = difference[difference != 0]
    if not len(difference):
        return 0.0
    ranks = stats.rankdata(np.abs(difference))
    return float(np.sum(np.sign(difference) * ranks) / np.sum(ranks))


def _differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """first - second, rounded so that equal differences tie despite floating point."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"expected two equally long rows, got {first.shape} and {second.shape}")
    return np.round(first - second, 9)
