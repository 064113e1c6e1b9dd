"""Expected Dice against Dice: correlations, risk and coverage, by hand."""

import numpy as np
import pytest

from s2a_jax.analysis.foresight import foresight


def test_risk_and_coverage_by_hand():
    dice = np.array([0.9, 0.5, np.nan, 0.7, 0.8])
    expected = np.array([0.95, 0.7, 0.1, 0.6, 0.9])
    one = foresight(expected, dice)  # without the case that has no mask
    # Most trusted first: 0.9, 0.8, 0.5, 0.7.
    np.testing.assert_allclose(one.risk, [0.1, 0.3 / 2, 0.8 / 3, 1.1 / 4])
    np.testing.assert_allclose(one.ideal, [0.1, 0.3 / 2, 0.6 / 3, 1.1 / 4])
    assert one.spearman == pytest.approx(0.8)  # 1 - 6 (1 + 1) / (4 * 15)
    x, y = expected[[0, 1, 3, 4]], dice[[0, 1, 3, 4]]
    assert one.pearson == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert one.bias == pytest.approx((x - y).mean())
    at_random, possible = 1.1 / 4, 1.1 / 4 - one.ideal.mean()
    assert one.gain == pytest.approx((at_random - one.risk.mean()) / possible)
    assert foresight(y, y).gain == pytest.approx(1)
    assert foresight(-y, y).gain < -0.5


@pytest.mark.parametrize("dice", [[0.8], [0.8, 0.7], [0.8, 0.8, 0.8]])
def test_what_is_not_defined_is_nan(dice):
    one = foresight(np.linspace(0.5, 0.9, len(dice)), np.array(dice))
    assert np.isnan(one.pearson) and np.isnan(one.spearman)
    assert len(one.risk) == len(dice)
    assert np.isnan(one.gain) == (len(set(dice)) == 1)
