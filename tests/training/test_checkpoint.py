"""Damaged checkpoints: one sentence that names the folder and the remedy."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax import processes
from s2a_jax.errors import UserError
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.training import checkpoint
from s2a_jax.training.checkpoint import Checkpoints, restore_variables
from s2a_jax.training.sharding import make_mesh, replicated
from s2a_jax.training.state import TrainState
from s2a_jax.training.stored import read_stored

ARRAYS = "state/ocdbt.process_0/d/*"


@pytest.fixture(scope="module")
def state():
    rng = np.random.default_rng(0)
    params = {f"layer{i}": jnp.asarray(rng.normal(size=(64, 64))) for i in range(20)}
    key = jax.random.key_data(jax.random.key(0))
    state = TrainState(jnp.zeros((), jnp.int32), params, {}, {}, {}, key)
    return jax.device_put(state, replicated(make_mesh()))


@pytest.fixture(scope="module")
def saved(state, tmp_path_factory):
    """Two checkpoints: the best one and the newest one, which has no score."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    checkpoints = Checkpoints(folder)
    checkpoints.save(2, state, {"network": "unet"}, score=1.0)
    checkpoints.save(3, state, {"network": "unet"}, score=None)
    checkpoints.close()
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run/checkpoints")


def cut(file):
    file.write_bytes(file.read_bytes()[: min(50, file.stat().st_size // 2)])


@pytest.mark.parametrize(
    ("files", "spoil", "has_state"),
    [
        ("meta/metadata", cut, True),
        ("state/_METADATA", cut, False),
        (ARRAYS, cut, False),
        (ARRAYS, lambda file: file.unlink(), False),
    ],
)
def test_a_damaged_checkpoint_is_one_sentence(state, folder, capfd, files, spoil, has_state):
    chosen = list((folder / "2").glob(files))
    assert chosen
    for file in chosen:
        spoil(file)
    for load, path in (
        (restore_variables, folder / "2"),
        (Segmenter.load_from_checkpoint, folder.parent),  # 2 is the best
    ):
        with pytest.raises(UserError) as raised:
            load(path)
        (line,) = str(raised.value).splitlines()
        assert f"{folder}/2 cannot be read (" in line
        assert line.endswith(f"Pass another one, {folder}/3.")
    checkpoints = Checkpoints(folder)
    if not has_state:  # a run resumes from its state alone
        with pytest.raises(UserError) as raised:
            checkpoints.restore(2, state)
        (line,) = str(raised.value).splitlines()
        assert f"{folder}/2 cannot be read (" in line
        assert line.endswith("move that folder away to resume from step 3.")
    jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(3, state), state)
    checkpoints.close()
    assert capfd.readouterr() == ("", "")  # no warning of orbax either


def test_a_whole_checkpoint_is_read_without_its_shapes(state, folder):
    meta, variables = restore_variables(folder / "3")
    assert meta == {"network": "unet"}
    jax.tree.map(np.testing.assert_array_equal, variables["params"], state.params)
    with pytest.raises(UserError, match=r"checkpoints/3 does not name its network"):
        Segmenter.load_from_checkpoint(folder / "3")


def test_the_configuration_chooses_the_best_or_the_last(folder):
    checkpoints = Checkpoints(folder)
    assert [checkpoints.chosen(choose) for choose in ("best", "last")] == [2, 3]
    checkpoints.close()
    for choose, step in (("best", 2), ("last", 3)):
        config = {"eval": {"choose": choose}}
        (folder.parent / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match=rf"checkpoints/{step} does not name its network"):
            read_stored(folder.parent)


def test_a_damaged_score_is_named(folder):
    cut(folder / "2/metrics/metrics")
    for load, path in ((Checkpoints, folder), (Segmenter.load_from_checkpoint, folder.parent)):
        with pytest.raises(UserError, match="2/metrics/metrics, cannot be read"):
            load(path)


def test_a_damaged_note_on_shardings_matters_to_nobody(state, folder):
    cut(folder / "2/state/_sharding")
    _, variables = restore_variables(folder / "2")
    jax.tree.map(np.testing.assert_array_equal, variables["params"], state.params)


def test_a_lack_of_memory_or_rights_is_no_damage(monkeypatch, folder):
    def fail(error):
        def open_arrays(_):
            raise error

        monkeypatch.setattr(checkpoint, "_open_arrays", open_arrays)
        restore_variables(folder / "2")

    with pytest.raises(UserError, match=r"cannot be read \(cut short\)"):
        fail(ValueError("cut short\nand more"))
    with pytest.raises(UserError, match="may not be read: denied"):
        fail(PermissionError("denied"))
    for error in (ValueError("RESOURCE_EXHAUSTED: out of memory"), MemoryError()):
        with pytest.raises(type(error)) as raised:
            fail(error)
        assert raised.value is error


def test_several_processes_need_a_path_that_orbax_takes_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 2)
    with pytest.raises(UserError, match=r"--workdir: .*run\[1\].*several processes"):
        Checkpoints(tmp_path / "run[1]")
