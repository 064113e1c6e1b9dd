"""Checkpoints that are damaged: one sentence that names the folder and what to pass instead."""

import shutil
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax.errors import UserError
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.training.checkpoint import Checkpoints, restore_variables


@dataclass
class State:
    """As much of a training state as restoring needs."""

    params: dict = field(default_factory=lambda: {"w": jnp.arange(6.0).reshape(2, 3)})
    batch_stats: dict = field(default_factory=lambda: {"mean": jnp.ones(2)})
    balance: dict = field(default_factory=dict)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    checkpoints = Checkpoints(folder)
    for step, score in ((2, 1.5), (4, 1.2)):
        checkpoints.save(step, State(), {"network": "unet"}, score)
    checkpoints.close()
    return folder


def spoil(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("file", ["meta/metadata", "state/_METADATA", "state/_sharding"])
def test_a_damaged_checkpoint_names_another(saved, tmp_path, file):
    shutil.copytree(saved, tmp_path / "checkpoints")
    meta, variables = restore_variables(tmp_path / "checkpoints/4")
    assert meta == {"network": "unet"}
    np.testing.assert_array_equal(variables["params"]["w"], State().params["w"])
    spoil(tmp_path / "checkpoints/2" / file)
    with pytest.raises(UserError) as raised:
        Segmenter.load_from_checkpoint(tmp_path)  # 2 is the best
    message = str(raised.value)
    assert f"{tmp_path}/checkpoints/2 cannot be read" in message
    assert f"Pass another one, {tmp_path}/checkpoints/4." in message


def test_damaged_scores_and_missing_names(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "checkpoints")
    with pytest.raises(UserError, match=r"checkpoints/4 does not name its network"):
        Segmenter.load_from_checkpoint(tmp_path / "checkpoints/4")
    spoil(tmp_path / "checkpoints/2/metrics/metrics")
    with pytest.raises(UserError, match=r"2/metrics/metrics, cannot be read"):
        Segmenter.load_from_checkpoint(tmp_path)
