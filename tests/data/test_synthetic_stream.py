"""Streamed eyes as training cases: new in each pass, and the same for any number of processes."""

import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from s2a_jax.config.load import load_config
from s2a_jax.data.cases import CaseSet
from s2a_jax.data.load import load_run_data
from s2a_jax.data.pipeline import TrainStream
from s2a_jax.data.synthesis import EyeParameters
from s2a_jax.data.synthesis.stream import EyesAhead
from s2a_jax.data.synthetic_source import EyeSource
from s2a_jax.errors import UserError
from s2a_jax.machine import cores

EYES = EyeSource(count=3, size=64, seed=5, field_mm=(3.0, 6.0))
SMALL = EyeParameters(size=64)


def real_cases():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (2, 2, 64, 64), np.uint8)
    return CaseSet(
        ids=("a", "b"),
        images=rng.random((2, 64, 64), np.float32),
        rv=masks[0],
        faz=masks[1],
        has_rv=np.ones(2, bool),
        has_faz=np.array([True, False]),
        native_sizes=np.full((2, 2), 64, np.int32),
    )


@pytest.fixture
def one_core(monkeypatch):
    """One process makes eyes, since each imports much."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)


def mixed(process=0, processes=1):
    sources = {"real": (range(2), 0.5), "synthetic": (range(2, 5), 0.5)}
    return TrainStream(real_cases(), sources, 4, 7, process, processes, EYES)


def take(stream, first, last):
    batches = stream.starting_at(first)
    taken = list(itertools.islice(batches, last - first))
    batches.close()
    return taken


def test_every_pass_has_new_eyes_and_the_first_those_of_the_fixed_set(tmp_path, one_core):
    config = load_config("default").data
    config.name, config.size = "synthetic", 64
    config.synthetic.update({"root": str(tmp_path), "train": 3, "val": 1, "test": 1})
    fixed = load_run_data(config)
    config.synthetic.stream = True
    dataset = load_run_data(config)
    assert not len(dataset.train)
    assert dataset.steps_per_epoch(3) == 1
    assert dataset.trained_tasks() == fixed.trained_tasks() == ("rv", "faz")
    deep = replace(dataset, eyes=replace(dataset.eyes, deep_share=1.0))
    assert deep.trained_tasks() == ("faz",)  # deep eyes have no vessel masks
    pitch = 1000 * config.synthetic.field_mm[0] / 64
    assert dataset.pitches_um == fixed.pitches_um == pytest.approx((pitch, pitch))
    for name in ("val", "test"):
        ours, theirs = getattr(dataset, name), getattr(fixed, name)
        np.testing.assert_array_equal(ours.images, theirs.images)

    stream = TrainStream(dataset.train, dataset.sources, 3, 0, eyes=dataset.eyes)
    names = [name for step in range(3) for name in stream.ids(step)]
    batches = take(stream, 0, 3)
    images = np.concatenate([batch["image"] for batch in batches])
    assert len({image.tobytes() for image in images}) == 9
    assert sorted(names) == [f"pass{p}-train{i:04d}" for p in range(3) for i in range(3)]
    for i, name in enumerate(names[:3]):
        number = fixed.train.ids.index(name.removeprefix("pass0-"))
        np.testing.assert_array_equal(images[i], fixed.train.images[number])
        np.testing.assert_array_equal(batches[0]["rv"][i], fixed.train.rv[number])
        np.testing.assert_array_equal(batches[0]["faz"][i], fixed.train.faz[number])


def test_batch_k_depends_only_on_the_seed_and_k():
    whole = take(mixed(), 0, 2)
    assert sum(name.startswith("pass1-") for name in mixed().ids(1)) == 1
    resumed = take(mixed(), 1, 2)[0]
    for name in resumed:
        np.testing.assert_array_equal(whole[1][name], resumed[name])
    for process in (0, 1):
        ours = take(mixed(process, 2), 0, 1)[0]["image"]
        np.testing.assert_array_equal(ours, whole[0]["image"][2 * process :][:2])
    assert mixed().source_counts(0, 3) == {"real": 6, "synthetic": 6}
    # Images of both kinds of source have one range.
    assert all(batch["image"].dtype == np.float32 for batch in whole)
    assert all(0.5 < batch["image"].max() <= 1 for batch in whole)


def test_an_eye_or_process_that_fails_raises():
    with EyesAhead([(1, SMALL), (-1, SMALL)], processes=1) as eyes:
        next(eyes)
        with pytest.raises(RuntimeError, match="ValueError"):
            next(eyes)
    with EyesAhead((((n,), SMALL) for n in itertools.count()), processes=2) as eyes:
        next(eyes)
        os.kill(eyes.processes[0].pid, signal.SIGKILL)
        with pytest.raises(UserError, match="SIGKILL"):
            for _ in range(20):
                next(eyes)
    assert all(process.returncode is not None for process in eyes.processes)


def test_one_process_for_each_usable_core(one_core):
    with EyesAhead([]) as eyes:
        assert len(eyes.processes) == cores() == 1


def test_no_process_outlives_a_killed_run():
    program = (
        "import itertools; from s2a_jax.data.synthesis.stream import EyesAhead, EyeParameters\n"
        "eyes = EyesAhead(((n, EyeParameters(size=64)) for n in itertools.count()), 2)\n"
        "next(eyes)\n"
        "print(*(process.pid for process in eyes.processes), flush=True)\n"
        "for _ in eyes: pass\n"
    )
    run = subprocess.Popen([sys.executable, "-c", program], text=True, stdout=subprocess.PIPE)
    pids = [int(pid) for pid in run.stdout.readline().split()]
    assert len(pids) == 2
    run.kill()
    run.communicate()
    deadline = time.monotonic() + 20
    while any(map(_is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_is_running, pids))


def _is_running(pid):
    """Whether a process exists; a zombie, which waits for its parent, does not count."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip() not in ("", "Z", "Zs", "ZN", "ZNs")
