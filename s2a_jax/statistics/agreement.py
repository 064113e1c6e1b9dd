"""Agreement of two measurements of the same eyes: Bland-Altman and ICC(2,1)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_NORMAL_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


class BlandAltman(NamedTuple):
    """Differences predicted - true, in the unit of the measurements.

    Attributes:
        bias: their mean.
        low: lower limit of agreement, bias - 1.96 standard deviations (divided by n - 1).
        high: upper limit of agreement.
    """

    bias: float
    low: float
    high: float


def bland_altman(
    predicted: Sequence[float] | np.ndarray, true: Sequence[float] | np.ndarray
) -> BlandAltman:
    """Bias and 95 % limits of agreement (Bland and Altman, Lancet 1986).

    Args:
        predicted: [N], one value per eye. Pairs in which either value is NaN are left out.
        true: [N], for the same eyes in the same order.

    Returns:
        The bias is NaN without any pair; the limits are NaN with fewer than two.

    Raises:
        ValueError: the two have different lengths.
    """
    pairs = _complete_pairs(predicted, true)
    difference = pairs[:, 0] - pairs[:, 1]
    if len(difference) < 2:
        return BlandAltman(float(difference[0]) if len(difference) else np.nan, np.nan, np.nan)
    bias, reach = difference.mean(), _NORMAL_95 * difference.std(ddof=1)
    return BlandAltman(float(bias), float(bias - reach), float(bias + reach))


def icc(predicted: Sequence[float] | np.ndarray, true: Sequence[float] | np.ndarray) -> float:
    """ICC(2,1) of two measurements: absolute agreement, two-way random effects, single values.

    Args:
        predicted: [N], one value per eye. Pairs in which either value is NaN are left out.
        true: [N], for the same eyes in the same order.

    Returns:
        At most 1; negative where eyes differ less than the measurements of one eye. NaN as for
        `icc_of_ratings`.

    Raises:
        ValueError: the two have different lengths.
    """
    return icc_of_ratings(_complete_pairs(predicted, true))


def icc_of_ratings(ratings: np.ndarray) -> float:
    """ICC(2,1) of two or more measurements (Shrout and Fleiss, Psychol Bull 1979).

    (BMS - EMS) / (BMS + (k - 1) EMS + k (JMS - EMS) / n), with the mean squares between the n eyes
    (BMS), between the k measurements (JMS) and of the residual (EMS).

    Args:
        ratings: [N, K], one row per eye, without NaN.

    Returns:
        The coefficient; NaN with fewer than two eyes or measurements, or if all values are equal.
    """
    ratings = np.asarray(ratings, np.float64)
    n, k = ratings.shape
    if n < 2 or k < 2:
        return np.nan
    grand = ratings.mean()
    eye_means = ratings.mean(axis=1, keepdims=True)
    rater_means = ratings.mean(axis=0, keepdims=True)
    between = k * np.sum((eye_means - grand) ** 2) / (n - 1)
    raters = n * np.sum((rater_means - grand) ** 2) / (k - 1)
    rest = np.sum((ratings - eye_means - rater_means + grand) ** 2) / ((n - 1) * (k - 1))
    total = between + (k - 1) * rest + k * (raters - rest) / n
    if np.ptp(ratings) == 0 or total == 0:
        return np.nan
    return float((between - rest) / total)


def _complete_pairs(predicted: object, true: object) -> np.ndarray:
    """Pairs [N, 2] without NaN."""
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if predicted.shape != true.shape or predicted.ndim != 1:
        raise ValueError(
            f"expected two equally long rows, got shapes {predicted.shape} and {true.shape}"
        )
    pairs = np.stack([predicted, true], axis=1)
    return pairs[~np.isnan(pairs).any(axis=1)]
