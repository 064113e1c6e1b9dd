"""The mean of several networks on one image, by hand."""

import numpy as np
import pytest

from s2a_jax.errors import UserError
from s2a_jax.inference.ensemble import load_all, pooled
from s2a_jax.inference.pieces import Computed
from s2a_jax.inference.scale import scale_for
from s2a_jax.inference.segmenter import Segmenter


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


def test_networks_share_the_pitches_that_all_of_them_know(tmp_path):
    model, paths = Segmenter.pretrained(), []
    for low, high in ((5.0, 12.0), (6.0, 14.0), (4.0, 11.0), (11.5, 20.0)):
        model.pitches_um = (low, high)
        paths.append(str(tmp_path / f"{low}.safetensors"))
        model.save(paths[-1])
    assert [one.pitches_um for one in load_all(paths[:3])] == [(6.0, 11.0)] * 3
    with pytest.raises(UserError, match=r"pitches of 11.5 to 20 um, those before on 6 to 11 um"):
        load_all(paths)


def test_a_known_and_an_unknown_range_of_pitches_are_not_averaged(tmp_path):
    model, paths = Segmenter.pretrained(), []
    for number, pitches in enumerate(((5.0, 12.0), None)):
        model.pitches_um = pitches
        paths.append(str(tmp_path / f"{number}.safetensors"))
        model.save(paths[-1])
    for given in (paths, paths[::-1]):
        with pytest.raises(UserError, match="an unknown range"):
            load_all(given)
