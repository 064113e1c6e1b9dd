"""Bland-Altman and ICC against worked examples and against a linear model's sums of squares."""

import numpy as np
import pytest

from s2a_jax.statistics.agreement import bland_altman, icc, icc_of_ratings


def test_icc_of_shrout_and_fleiss():
    """Table 2 of the paper: six targets, four judges; its table 4: ICC(2,1) = 0.29."""
    judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert icc_of_ratings(np.array(judges)) == pytest.approx(0.29, abs=0.005)


def test_icc_from_fitted_variance_components():
    """Mean squares of the two-way model by least squares on dummy variables, not by means."""
    rng = np.random.default_rng(0)
    eyes, offset = rng.normal(0, 1, 30), np.array([0.0, 0.4])
    values = eyes[:, None] + offset + rng.normal(0, 0.5, (30, 2))
    row, column = np.indices(values.shape).reshape(2, -1)

    def residual(*factors):
        design = np.concatenate([np.ones((60, 1)), *(np.eye(f.max() + 1)[f] for f in factors)], 1)
        fit = design @ np.linalg.lstsq(design, values.ravel())[0]
        return np.sum((values.ravel() - fit) ** 2)

    error = residual(row, column)
    noise = error / 29
    variance_of_eyes = ((residual(column) - error) / 29 - noise) / 2
    variance_of_raters = ((residual(row) - error) / 1 - noise) / 30
    expected = variance_of_eyes / (variance_of_eyes + variance_of_raters + noise)
    assert icc(values[:, 0], values[:, 1]) == pytest.approx(expected)
    # A constant error lowers absolute agreement; units do not matter.
    assert icc(values[:, 0] + 2, values[:, 1]) < icc(values[:, 0], values[:, 1]) - 0.1
    assert icc(3 * values[:, 0], 3 * values[:, 1]) == pytest.approx(expected)


def test_limits_of_agreement_by_hand():
    # Differences 1, -1, 3, 1: mean 1, variance (0 + 4 + 4 + 0) / 3.
    found = bland_altman([2, 1, 6, 5], [1, 2, 3, 4])
    reach = 1.96 * np.sqrt(8 / 3)
    np.testing.assert_allclose(found, (1, 1 - reach, 1 + reach), rtol=1e-4)


def test_missing_and_too_few_values():
    assert bland_altman([1, np.nan, 3], [2, 2, 2]) == bland_altman([1, 3], [2, 2])
    assert icc([1, np.nan, 3, 2], [2, 2, 2, 1]) == icc([1, 3, 2], [2, 2, 1])
    assert bland_altman([3], [1]).bias == 2
    assert np.isnan(bland_altman([3], [1]).low)
    assert np.isnan([icc([1], [1]), icc([], []), icc([2, 2], [2, 2])]).all()
    assert icc([1, 2, 3], [1, 2, 3]) == 1
    with pytest.raises(ValueError, match="equally long"):
        icc([1, 2], [1])
