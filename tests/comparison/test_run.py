"""Which runs are trained, how failures are handled, and how long the rest takes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console

from s2a_jax.comparison import process
from s2a_jax.comparison import run as runner
from s2a_jax.comparison.plan import make_plan, networks
from s2a_jax.comparison.run import train_all
from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.errors import UserError


@pytest.fixture
def runs(tmp_path):
    config = resolve(load_config("synthetic:smoke"))
    return make_plan(config, networks(["unet", "s2anet"]), 2, tmp_path)


@pytest.fixture
def children(monkeypatch):
    """Programs that run in place of training, by label; returns the labels that were started."""
    programs, started, popen = {}, [], subprocess.Popen

    def start(command, **options):
        label = command[-1].rpartition("/")[2]
        started.append(label)
        program = f"import os; os.makedirs({command[-1]!r}, exist_ok=True)\n"
        return popen([sys.executable, "-c", programs.get(label, program)], **options)

    monkeypatch.setattr(process.subprocess, "Popen", start)
    monkeypatch.setattr(runner, "_POLL", 0.01)
    return programs, started


def test_what_failed_is_tried_again_and_what_is_finished_is_not(runs, children, tmp_path):
    programs, started = children
    programs["s2anet-seed0"] = f"import os; os.makedirs({str(tmp_path / 's2anet-seed0')!r})\n1 / 0"
    programs["unet-seed1"] = "print('error: full'); raise SystemExit(2)"
    console = Console(width=200, record=True)
    code, failed = train_all(runs, tmp_path / "logs", console)
    assert (code, failed) == (0, runs[1:3])
    assert started == [run.label for run in runs]
    said = console.export_text()
    assert "s2anet-seed0: failed with exit code 1: ZeroDivisionError" in said
    assert "unet-seed1: failed with exit code 2: full" in said
    programs.clear()
    del started[:]
    assert train_all(runs, tmp_path / "logs", console) == (0, [])
    assert started == ["s2anet-seed0", "unet-seed1"]


def test_another_evaluation_is_made_without_training(runs, children, tmp_path):
    programs, started = children
    for run in runs:
        programs[run.label] = (
            f"import json, os; os.makedirs({str(run.workdir.path)!r}, exist_ok=True)\n"
            "print(json.loads(input())['evaluate'])"
        )
    console = Console(width=200, record=True)

    def train():
        del started[:]
        assert train_all(runs, tmp_path / "logs", console) == (0, [])
        return started, (tmp_path / "logs/unet-seed0.log").read_text().split()[-1]

    assert train() == ([run.label for run in runs], "False")
    runner._write_record(runs[0], 60, finished=True, evaluated=True)  # as if training took long
    for run in runs[:2]:
        run.config.eval.protocol = "otsu"
    assert train() == (["unet-seed0", "s2anet-seed0"], "True")
    assert "2 runs have results of another config.eval" in console.export_text()
    assert runner._record(runs[0])["seconds"] == 60
    assert train()[0] == []

    runs[0].config.eval.protocol, programs["unet-seed0"] = "s2anet", "1 / 0"
    assert train_all(runs, tmp_path / "logs", console) == (0, [runs[0]])
    runs[0].config.eval.protocol = "otsu"  # what is there may be of either
    del programs["unet-seed0"]
    assert train()[0] == ["unet-seed0"]


def test_a_broken_record_is_named(runs, tmp_path):
    runs[0].workdir.path.mkdir()
    (runs[0].workdir.path / "compare.json").write_text("{")
    with pytest.raises(UserError, match=r"unet-seed0/compare\.json could not be read"):
        train_all(runs, tmp_path / "logs", Console())


def test_a_refused_run_stops_all_and_leaves_nothing(runs, children, tmp_path):
    programs, started = children
    programs["unet-seed0"] = "print('error: no such data'); raise SystemExit(2)"
    folder = tmp_path / "new"
    with pytest.raises(UserError, match="unet-seed0: no such data"):
        train_all(runs, folder / "logs", Console())
    assert started == ["unet-seed0"]
    assert not folder.exists()


def begun(run, rest):
    """A program that begins the workdir of a run, as training does, and goes on with `rest`."""
    begin = f"import os, time\nos.makedirs({str(run.workdir.path)!r}, exist_ok=True)\n"
    return f"{begin}open({str(run.workdir.config)!r}, 'w').close()\n{rest}"


def test_several_runs_at_a_time_share_a_gpu(runs, children, tmp_path, monkeypatch):
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    programs, started = children
    prints = "print(os.environ.get('XLA_PYTHON_CLIENT_PREALLOCATE'))"
    for run, other in zip(runs, (1, 0, 3, 2), strict=True):  # each waits for one beside it
        beside = str(runs[other].workdir.config)
        wait = (
            "end = time.monotonic() + 60\n"
            f"while not os.path.isfile({beside!r}):\n"
            "    assert time.monotonic() < end\n    time.sleep(0.01)\n"
        )
        programs[run.label] = begun(run, wait + prints)
    assert train_all(runs, tmp_path / "logs", Console(), jobs=2) == (0, [])
    assert started == [run.label for run in runs]
    assert (tmp_path / "logs/unet-seed1.log").read_text() == "false\n"

    for run, jobs, value in zip(runs, (1, 2), (None, "true"), strict=False):
        (run.workdir.path / "compare.json").unlink()
        programs[run.label] = prints.replace("print", "import os\nprint", 1)
        if value:
            monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", value)
        assert train_all([run], tmp_path / "logs", Console(), jobs=jobs) == (0, [])
        assert (tmp_path / f"logs/{run.label}.log").read_text() == f"false\n{value}\n"


def test_the_first_run_starts_alone_until_it_has_begun(runs, children, tmp_path):
    programs, started = children
    beside = str(runs[1].workdir.path)
    late = begun(runs[0], "").replace(
        "os.makedirs", f"time.sleep(0.5)\nassert not os.path.exists({beside!r})\nos.makedirs", 1
    )
    programs["unet-seed0"] = late
    assert train_all(runs[:2], tmp_path / "logs", Console(), jobs=2) == (0, [])

    programs["unet-seed1"] = "print('error: no such data'); raise SystemExit(2)"
    del started[:]
    folder = tmp_path / "new"
    with pytest.raises(UserError, match="unet-seed1: no such data"):
        train_all(runs[2:], folder / "logs", Console(), jobs=2)
    assert started == ["unet-seed1"] and not folder.exists()


def test_a_signal_stops_all_that_run_and_starts_no_other(runs, children, tmp_path):
    programs, started = children
    for run in runs:
        programs[run.label] = begun(run, "time.sleep(20)")
    slow = "import signal\nsignal.signal(15, lambda *_: (time.sleep(0.3), os._exit(143)))\n"
    programs["s2anet-seed0"] = slow + programs["s2anet-seed0"]  # saves while a place is free

    def stop():
        while not all(run.workdir.config.is_file() for run in runs[:2]):
            time.sleep(0.01)
        time.sleep(0.2)  # records round to a tenth of a second
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    console = Console(width=200, record=True)
    assert train_all(runs, tmp_path / "logs", console, jobs=2) == (128 + signal.SIGTERM, [])
    assert started == ["unet-seed0", "s2anet-seed0"]
    assert "Stopped in unet-seed0, s2anet-seed0; run the same" in " ".join(
        console.export_text().split()
    )
    for run in runs[:2]:
        record = runner._record(run)
        assert record["seconds"] > 0 and not record["finished"]


def test_no_process_outlives_a_comparison_that_breaks(runs, children, tmp_path, monkeypatch):
    programs, _ = children
    other = runs[1].workdir.path / "pid"
    programs["unet-seed0"] = begun(
        runs[0], f"while not os.path.isfile({str(other)!r}): time.sleep(0.01)"
    )
    write = f"open({f'{other}-'!r}, 'w').write(str(os.getpid()))\n"
    move = f"os.rename({f'{other}-'!r}, {str(other)!r})\n"
    programs["s2anet-seed0"] = begun(runs[1], write + move + "time.sleep(600)")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner, "_write_record", full)
    with pytest.raises(OSError, match="No space left"):
        train_all(runs[:2], tmp_path / "logs", Console(), jobs=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int(other.read_text()), 0)


def test_the_time_left(runs, tmp_path):
    jobs = [runner._Job(run, 1, False, tmp_path / "log", before=0.0) for run in runs]

    def finish(run, seconds):
        run.workdir.path.mkdir()
        runner._write_record(run, seconds, finished=True, evaluated=True)

    assert runner._seconds_left(runs, [], jobs, 1, None) is None
    finish(runs[0], 60)
    assert runner._seconds_left(runs, [], jobs[1:], 1, None) == 3 * 60
    assert runner._seconds_left(runs, [], jobs[1:], 2, None) == 2 * 60  # two, then the third
    finish(runs[1], 120)
    assert runner._seconds_left(runs, [], jobs[2:], 1, None) == 60 + 120
    assert runner._seconds_left(runs, [], jobs[2:], 2, None) == 120  # side by side

    # A quarter of unet's second run took 20 seconds: 60 more for it.
    jobs[2].before, jobs[2].share = 20.0, 0.25
    jobs[2].process, jobs[2].start = object(), time.monotonic()
    left = [runner._seconds_left(runs, jobs[2:3], jobs[3:], n, None) for n in (1, 2, 3)]
    assert left == pytest.approx([60 + 120, 120, 120], abs=5)
    evaluation = runner._Job(runs[0], 1, True, tmp_path / "log", before=60.0)
    assert runner._seconds_left(runs, [], [evaluation], 1, None) is None
    assert runner._seconds_left(runs, [], [evaluation, evaluation], 1, 7.0) == 14


def test_the_share_of_a_run_is_read_from_its_numbers(runs):
    run = runs[0]
    assert runner._share_done(run) == 0
    run.workdir.path.mkdir()
    rows = [{"step": 2, "epoch": 0}, {"step": 2, "val_score": 1}]
    run.workdir.metrics.write_text("\n".join(map(json.dumps, rows)) + '\n{"step": 3, "ep')
    assert runner._share_done(run) == 1 / run.config.train.epochs
