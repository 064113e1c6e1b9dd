"""Checkpoints: whole ones are read, damaged ones are named and set aside, a full disk is told."""

import contextlib
import errno
import gc
import json
import random
import resource
import shutil
import subprocess
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax import processes
from s2a_jax.errors import FullDiskError, UserError
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.training import checkpoint, sealed
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
    checkpoints = Checkpoints(folder, pytest.fail)
    checkpoints.save(2, state, {"network": "unet"}, score=1.0)
    checkpoints.save(3, state, {"network": "unet"}, score=None)
    checkpoints.close()
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run/checkpoints")


def cut(file):
    file.write_bytes(file.read_bytes()[: min(50, file.stat().st_size // 2)])


def flip(file, bit):
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def test_every_flipped_bit_is_noticed(folder):
    """Each file once, whatever it is for, and random bits of all files together."""
    rng, one = random.Random(0), folder / "2"
    files = [file for file in one.rglob("*") if file.is_file() and file.stat().st_size]
    assert {file.name for file in files} >= {"SHA256SUMS", "metadata", "metrics", "_METADATA"}
    sizes = [file.stat().st_size for file in files]
    for file in files + rng.choices(files, sizes, k=80):
        bit = rng.randrange(file.stat().st_size * 8)
        flip(file, bit)
        assert sealed.damage(one) is not None, (file, bit)
        flip(file, bit)
    assert sealed.damage(one) is None


def test_checksums_are_those_of_sha256sum(folder):
    lines = (folder / "2/SHA256SUMS").read_text().splitlines()
    named = {line[66:] for line in lines}
    files = {str(f.relative_to(folder / "2")) for f in (folder / "2").rglob("*") if f.is_file()}
    assert files - named == {"SHA256SUMS"} and len(lines) == len(named)
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder / "2", capture_output=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda one: flip(one / "meta/metadata", 9), "meta/metadata does not have its checksum"),
        (lambda one: (one / "SHA256SUMS").unlink(), "SHA256SUMS'"),
        (lambda one: (one / "meta/metadata").unlink(), "a file is missing that SHA256SUMS names"),
        (lambda one: (one / "meta/more").write_text(""), "SHA256SUMS lacks meta/more"),
    ],
)
def test_damage_is_told(folder, spoil, reason):
    (folder / "2/state/.DS_Store").write_text("left by a file manager")
    assert sealed.damage(folder / "2") is None
    spoil(folder / "2")
    assert reason in sealed.damage(folder / "2")


@pytest.mark.parametrize("damaged", [2, 3])
def test_a_run_goes_on_with_what_is_whole(state, folder, capfd, damaged):
    """The best checkpoint is 2, the newest 3."""
    (file, *_) = (folder / str(damaged)).glob(ARRAYS)
    flip(file, 100)
    content = file.read_bytes()
    (folder / "4.orbax-checkpoint-tmp/state").mkdir(parents=True)
    (folder / f"damaged-{damaged}").mkdir()  # of an earlier time
    notes = []
    checkpoints = Checkpoints(folder, notes.append)
    named, left = notes
    assert named.startswith(f"The checkpoint {folder}/{damaged} is damaged (state/ocdbt.process_0")
    assert named.endswith(f"it is not used, and is kept as damaged-{damaged}-2.")
    if damaged == 2:
        assert left == "The newest checkpoint now is step 3; none that is left was validated."
        assert (checkpoints.latest_step, checkpoints.best) == (3, None)
    else:
        assert left == (
            "The newest checkpoint now is step 2, the best is step 2 with score 1.0000."
        )
        assert (checkpoints.latest_step, checkpoints.best) == (2, (2, 1.0))
    jax.tree.map(
        np.testing.assert_array_equal, checkpoints.restore(checkpoints.latest_step, state), state
    )
    assert file.name in {kept.name for kept in (folder / f"damaged-{damaged}-2").rglob("*")}
    assert content in {kept.read_bytes() for kept in (folder / f"damaged-{damaged}-2").glob(ARRAYS)}
    assert not (folder / "4.orbax-checkpoint-tmp").exists()
    checkpoints.close()
    assert capfd.readouterr() == ("", "")  # no warning of orbax either


def test_a_checkpoint_that_is_damaged_during_the_run(state, folder):
    notes = []
    checkpoints = Checkpoints(folder, notes.append)
    flip(folder / "2/metrics/metrics", 3)
    checkpoints.set_damaged_aside()
    assert "checkpoints/2 is damaged (metrics/metrics does" in notes[0] and len(notes) == 2
    assert checkpoints.best is None
    flip(folder / "3/meta/metadata", 3)
    with pytest.raises(UserError, match=r"checkpoints/3 is damaged .* No checkpoint is left"):
        checkpoints.set_damaged_aside()
    checkpoints.close()
    assert sorted(path.name for path in folder.iterdir()) == ["damaged-2", "damaged-3"]


@pytest.mark.parametrize(
    ("files", "spoil"),
    [
        ("meta/metadata", cut),
        ("metrics/metrics", cut),
        ("state/_METADATA", cut),
        (ARRAYS, lambda file: file.unlink()),
    ],
)
def test_reading_a_damaged_network_is_refused(folder, capfd, files, spoil):
    """Another network in its place would give other results in silence; nothing is renamed."""
    for file in (folder / "2").glob(files):
        spoil(file)
    loads = [(restore_variables, folder / "2")]
    if files != "metrics/metrics":
        loads.append((Segmenter.load_from_checkpoint, folder.parent))  # 2 is the best
    for load, path in loads:
        with pytest.raises(UserError) as raised:
            load(path)
        (line,) = str(raised.value).splitlines()
        assert f"{folder}/2 cannot be read (" in line
        assert line.endswith(f"Pass another one, {folder}/3.")
    if files == "metrics/metrics":
        with pytest.raises(UserError, match=r"2/metrics/metrics, cannot be read .* pass one of"):
            Segmenter.load_from_checkpoint(folder.parent)
    assert sorted(path.name for path in folder.iterdir()) == ["2", "3"]
    assert capfd.readouterr() == ("", "")


def test_a_whole_checkpoint_is_read_without_its_shapes(state, folder):
    meta, variables = restore_variables(folder / "3")
    assert meta == {"format": 1, "network": "unet"}
    jax.tree.map(np.testing.assert_array_equal, variables["params"], state.params)
    with pytest.raises(UserError, match=r"checkpoints/3 does not name its network"):
        Segmenter.load_from_checkpoint(folder / "3")


@pytest.mark.parametrize(
    ("stored", "message"),
    [(2, "3 has format 2, which a newer s2a_jax wrote"), ("1", "3 does not name the format 1")],
)
def test_another_format_is_refused_and_stays(folder, stored, message):
    (folder / "3/meta/metadata").write_text(json.dumps({"format": stored, "network": "unet"}))
    sealed.seal(folder / "3")
    for read in (
        lambda: Segmenter.load_from_checkpoint(folder / "3"),
        lambda: Checkpoints(folder, pytest.fail),
    ):
        with pytest.raises(UserError, match=message):
            read()
    assert (folder / "3").is_dir()


def test_the_configuration_chooses_the_best_or_the_last(folder):
    checkpoints = Checkpoints(folder, pytest.fail)
    assert [checkpoints.chosen(choose) for choose in ("best", "last")] == [2, 3]
    checkpoints.close()
    for choose, step in (("best", 2), ("last", 3)):
        config = {"eval": {"choose": choose}}
        (folder.parent / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match=rf"checkpoints/{step} does not name its network"):
            read_stored(folder.parent)


def test_of_equal_scores_the_newest_is_the_best(state, saved, tmp_path):
    folder = tmp_path / "checkpoints"
    checkpoints = Checkpoints(folder, pytest.fail)
    assert checkpoints.best is None and sealed.best_in(folder) is None
    for step, score in ((4, 0.5), (6, 0.5), (8, None)):
        checkpoints.save(step, state, {}, score)
    assert checkpoints.best == (6, 0.5) and sealed.best_in(folder) == 6
    checkpoints.close()
    assert sealed.steps_in(folder) == [6, 8]  # the best, and the newest
    shutil.rmtree(folder / "6")
    assert sealed.best_in(folder) == 8


@contextlib.contextmanager
def small_files(size):
    """Lets the system refuse larger files, as `ulimit -f` does, to C++ as well."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def little_garbage():
    """Collecting garbage leaves out what other tests left, which would take seconds."""
    gc.freeze()
    yield
    gc.unfreeze()


def test_a_full_disk_is_one_sentence(state, folder, little_garbage, monkeypatch, capfd):
    """The two checkpoints stay, and a later run saves what this one could not."""

    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for size, seal in ((5000, sealed.seal), (2**30, fail)):  # no room for arrays, for checksums
        monkeypatch.setattr(sealed, "seal", seal)
        before = set(threading.enumerate())
        checkpoints = Checkpoints(folder, pytest.fail)
        with small_files(size), pytest.raises(FullDiskError, match=f"{folder}: the disk") as raised:
            checkpoints.save(4, state, {"network": "unet"}, score=None)
            checkpoints.close()
        assert raised.value.exit_code == 1
        for thread in set(threading.enumerate()) - before:  # orbax does not wait for all of them
            if type(thread) is not threading.Thread:  # such are those of its pools, which stay
                threading.Thread.join(thread, timeout=20)  # orbax's join raises its error again
        gc.collect()  # here asyncio prints what nobody awaited
        assert capfd.readouterr() == ("", "")
        assert sealed.steps_in(folder) == [2, 3]
    monkeypatch.undo()
    again = Checkpoints(folder, pytest.fail)
    assert sorted(path.name for path in folder.iterdir()) == ["2", "3"]
    again.save(4, state, {"network": "unet"}, score=None)
    again.close()
    assert sealed.steps_in(folder) == [2, 4] and sealed.damage(folder / "4") is None


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

    def denied(_):
        raise PermissionError("denied")

    monkeypatch.setattr(sealed, "_sums", denied)
    with pytest.raises(UserError, match="may not be read: denied"):
        Checkpoints(folder, pytest.fail)
    assert sealed.steps_in(folder) == [2, 3]


def test_several_processes_need_a_path_that_orbax_takes_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "exchanged", lambda work: [work()] * 2)
    monkeypatch.setattr(processes, "count", lambda: 2)
    with pytest.raises(UserError, match=r"--workdir: .*run\[1\].*several processes"):
        Checkpoints(tmp_path / "run[1]", pytest.fail)
