"""The mean of several networks on one image, by hand."""

import numpy as np
import pytest

from s2a_jax.inference.ensemble import pooled
from s2a_jax.inference.pieces import Computed
from s2a_jax.inference.scale import scale_for


def result(value, spread=None):
    scale = scale_for((2, 3), 10.0, None)
    own, seen = np.full((2, 3), value, np.float32), np.full((2, 3), value / 2, np.float32)
    varied = None if spread is None else {"rv": np.full((2, 3), spread, np.float32)}
    return Computed({"rv": own}, {"rv": seen}, 10.0, varied, scale)


@pytest.mark.parametrize(("spread", "expected"), [(None, 0.2), (0.1, np.hypot(0.2, 0.1))])
def test_mean_and_spread(spread, expected):
    both = pooled([result(0.2, spread), result(0.6, spread)])
    np.testing.assert_allclose(both.probability["rv"], 0.4, rtol=1e-6)
    np.testing.assert_allclose(both.at_network["rv"], 0.2, rtol=1e-6)
    np.testing.assert_allclose(both.spread["rv"], expected, rtol=1e-6)
    assert both.spread["rv"].dtype == both.probability["rv"].dtype == np.float32


def test_one_network_alone():
    alone = result(0.2)
    assert pooled([alone]) is alone
