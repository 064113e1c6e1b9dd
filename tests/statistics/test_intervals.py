"""Bootstrap intervals of means."""

import numpy as np
import pytest
from scipy import stats

from s2a_jax.statistics.intervals import bootstrap_interval


def test_interval_agrees_with_scipy():
    values = np.random.default_rng(0).beta(8, 2, 60)
    other = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20000, random_state=1
    ).confidence_interval
    assert bootstrap_interval(values) == pytest.approx(tuple(other), abs=0.003)
    narrow = bootstrap_interval(values, level=0.5)
    assert other.low < narrow[0] < values.mean() < narrow[1] < other.high


def test_interval_is_reproducible_and_defined_for_few_values():
    values = np.random.default_rng(0).uniform(size=9)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)
    assert bootstrap_interval([0.3]) == (0.3, 0.3)
    assert bootstrap_interval([0.1] * 7) == (0.1, 0.1)
    for wrong in ([], [0.5, np.nan]):
        with pytest.raises(ValueError, match="finite"):
            bootstrap_interval(wrong)
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval([1.0], level=95)
