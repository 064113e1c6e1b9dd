"""Checkpoints that cannot be read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax.errors import UserError
from s2a_jax.training.checkpoint import Checkpoints, restore_variables
from s2a_jax.training.sharding import make_mesh, replicated
from s2a_jax.training.state import TrainState


@pytest.fixture
def state():
    rng = np.random.default_rng(0)
    params = {f"layer{i}": jnp.asarray(rng.normal(size=(64, 64))) for i in range(20)}
    state = TrainState(jnp.zeros((), jnp.int32), params, {}, {}, {}, jax.random.key_data(
        jax.random.key(0)))  # fmt: skip
    return jax.device_put(state, replicated(make_mesh()))


@pytest.fixture
def folder(state, tmp_path):
    """Two checkpoints: the best, and the newest, which has no score."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(2, state, {}, score=1.0)
    checkpoints.save(3, state, {}, score=None)
    checkpoints.close()
    return tmp_path


def _remove_arrays(folder):
    for file in (folder / "3/state/ocdbt.process_0/d").iterdir():
        file.unlink()


def _cut_arrays(folder):
    for file in (folder / "3/state/ocdbt.process_0/d").iterdir():
        file.write_bytes(file.read_bytes()[:50])


def _cut_metadata(folder):
    file = folder / "3/state/_METADATA"
    file.write_bytes(file.read_bytes()[:50])


@pytest.mark.parametrize("spoil", [_remove_arrays, _cut_arrays, _cut_metadata])
def test_a_damaged_checkpoint_is_one_sentence(state, folder, capfd, spoil):
    spoil(folder)
    checkpoints = Checkpoints(folder)
    assert checkpoints.latest_step == 3
    with pytest.raises(UserError) as caught:
        checkpoints.restore(3, state)
    (line,) = str(caught.value).splitlines()
    assert f"{folder / '3'} cannot be read (" in line
    assert line.endswith("move that folder away to go on from step 2.")
    jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(2, state), state)
    checkpoints.close()
    with pytest.raises(UserError, match=r"/3 cannot be read .* another one, .*/2\.$"):
        restore_variables(folder / "3")
    assert capfd.readouterr() == ("", "")  # nor a warning of orbax, from saving on


def test_a_damaged_score_is_named(folder):
    file = folder / "2/metrics/metrics"
    file.write_text(file.read_text()[:6])
    with pytest.raises(UserError, match="2/metrics/metrics, cannot be read"):
        Checkpoints(folder)
