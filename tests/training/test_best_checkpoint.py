"""Which checkpoints are kept, which one is the best, and what they hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax.training.checkpoint import Checkpoints, restore_variables
from s2a_jax.training.state import TrainState


def state(step, average=None):
    params = {"layer": {"kernel": jnp.full((2, 3), float(step))}}
    ema_params = {} if average is None else {"layer": {"kernel": jnp.full((2, 3), average)}}
    statistics = {"bn": {"mean": jnp.full(3, 0.5)}}
    key = jax.random.key_data(jax.random.key(step))
    return TrainState(jnp.int32(step), params, statistics, {"count": step}, ema_params, key)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Five checkpoints, of which the second is the best and the fourth has no score."""
    checkpoints = Checkpoints(tmp_path_factory.mktemp("run"), pytest.fail)
    assert checkpoints.latest_step is None and checkpoints.best is None
    best = []
    for step, score in zip((2, 4, 6, 8, 10), (0.5, 0.9, 0.7, None, 0.8), strict=True):
        checkpoints.save(step, state(step, 10.0 * step), {"network": f"n{step}"}, score)
        best.append(checkpoints.best)
    assert best == [(2, 0.5), (4, 0.9), (4, 0.9), (4, 0.9), (4, 0.9)]
    yield checkpoints
    checkpoints.close()


def test_the_best_and_the_newest_are_kept(saved):
    assert saved.latest_step == 10
    assert (saved.chosen("best"), saved.chosen("last")) == (4, 10)
    kept = {int(path.name) for path in saved.folder.iterdir() if path.name.isdecimal()}
    assert kept == {4, 10}


def test_a_saved_step_is_not_saved_again(saved):
    saved.save(10, state(11), {}, 5.0)
    assert saved.best == (4, 0.9)
    assert restore_variables(saved.folder / "10")[0]["network"] == "n10"


def test_everything_comes_back(saved):
    for step in (4, 10):
        expected = state(step, 10.0 * step)
        jax.tree.map(np.testing.assert_array_equal, saved.restore(step, expected), expected)
        meta, variables = restore_variables(saved.folder / str(step))
        assert meta == {"format": 1, "network": f"n{step}"}
        # The averaged parameters, as in TrainState.variables.
        jax.tree.map(np.testing.assert_array_equal, variables, expected.variables())
        assert (variables["params"]["layer"]["kernel"] == 10 * step).all()


def test_a_run_without_an_average_ships_its_parameters(tmp_path):
    checkpoints = Checkpoints(tmp_path, pytest.fail)
    checkpoints.save(3, state(3), {}, None)
    checkpoints.close()
    _, variables = restore_variables(tmp_path / "3")
    jax.tree.map(np.testing.assert_array_equal, variables, state(3).variables())
