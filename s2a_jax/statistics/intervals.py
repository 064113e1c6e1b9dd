"""Confidence intervals of means."""

import numpy as np
from numpy.typing import ArrayLike

_RESAMPLES = 2000


def bootstrap_interval(
    values: ArrayLike, *, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean.

    Draws 2000 samples of the same size with replacement (Efron 1979); the interval holds the middle
    `level` of their means. The same values and seed give the same interval.

    Args:
        values: [N] finite numbers, one per case; the interval has their unit. With a single case
            both ends equal its value, which says nothing about other cases.
        level: share of the means inside the interval, in (0, 1).
        seed: seed of the samples.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: no values, one that is not finite, or a level outside (0, 1).
    """
    values = np.asarray(values, np.float64).ravel()
    if not values.size or not np.isfinite(values).all():
        raise ValueError("bootstrap_interval needs at least one value, and only finite values")
    if not 0 < level < 1:
        raise ValueError(f"level={level}: expected a share in (0, 1)")
    rng = np.random.default_rng(seed)
    # Resampled around the mean, so that equal values give an interval of width 0.
    centre = values.mean()
    drawn = (values - centre)[rng.integers(values.size, size=(_RESAMPLES, values.size))]
    means = centre + drawn.mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
