"""Several processes on this machine compute what one does, and agree on how they end."""

import json
import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from s2a_jax import processes
from s2a_jax.convert.weights import Description
from s2a_jax.data.cases import Case
from s2a_jax.data.rows import LazyCaseSet, row_of
from s2a_jax.errors import UserError
from s2a_jax.evaluation.protocols import PROTOCOLS
from s2a_jax.evaluation.regions import Window
from s2a_jax.evaluation.scoring import Settings
from s2a_jax.training import evaluator, results
from tests.meeting import Meeting
from tests.training import worker


def free_port():
    with socket.socket() as sock:
        sock.bind(("localhost", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def start(forks):
    """Starts two processes with a share of the devices each; `last` is for the second one."""

    def start(program, devices=2, *, flags=True, last=()):
        names = ("--coordinator", "--processes", "--process") if flags else ()
        commands = []
        address = f"localhost:{free_port()}"
        for index in range(2):
            which = [address, "2", str(index)]
            if flags:
                which = [part for pair in zip(names, which, strict=True) for part in pair]
            commands.append([*program, *which, *(last if index else ())])
        count = rf"\g<1>{devices // 2}"
        flags_ = re.sub(r"(device_count=)\d+", count, os.environ["XLA_FLAGS"])
        return forks.start(*commands, environment={"XLA_FLAGS": flags_})

    return start


def outputs(started):
    """What each process has printed."""
    return [done.stdout + done.stderr for done in started.wait()]


@pytest.fixture(scope="module")
def steps(start):
    """Runs the worker in two processes, or here; the losses, counts and arrays that it leaves."""

    def steps(folder, number, devices, *, fsdp=1, updates=6):
        folder.mkdir(exist_ok=True)
        if number == 1:
            assert len(jax.devices()) == devices
            worker.main(folder, updates, fsdp)
        else:
            program = ["-m", "tests.training.worker", folder, updates, fsdp]
            for done in start(program, devices, flags=False).wait():
                assert done.returncode == 0, done.stdout + done.stderr
        with np.load(folder / "state.npz") as arrays:
            state = {name: arrays[name] for name in arrays.files}
        return json.loads((folder / "result.json").read_text()), state

    return steps


@pytest.fixture(scope="module")
def alone(steps, tmp_path_factory):
    """Six updates by one process with eight devices."""
    return steps(tmp_path_factory.mktemp("alone"), 1, 8)


def test_any_processes_and_devices_compute_what_one_does_and_hand_over(steps, tmp_path, alone):
    """Each part of the run resumes from the checkpoint of another number of devices."""
    expected, state = alone[0]["losses"], alone[1]
    assert len(set(expected)) == 6  # the learning rate is not 0
    losses = []
    for processes_, devices, fsdp, updates in (
        (2, 4, 1, 2),
        (1, 8, 8, 2),
        (2, 4, 4, 2),
    ):
        result, arrays = steps(tmp_path, processes_, devices, fsdp=fsdp, updates=updates)
        losses += result["losses"]
        np.testing.assert_allclose(losses, expected[: len(losses)], atol=1e-6)
    # Each case is scored once, 12 and 8 of them, and the first process has all rows in order.
    names = [f"case{i}" for i in range(20)]
    assert [len(own) for own in result["scored"]] == [12, 8] and result["ids"] == names
    assert sorted(name for own in result["scored"] for name in own) == sorted(names)
    for name in ("counts", "drawn"):
        assert result[name] == alone[0][name]
    for name, values in alone[0]["table"].items():
        # Probabilities that differ by 1e-7 may change places among the pixels of an AUC.
        np.testing.assert_allclose(result["table"][name], values, atol=1e-5, err_msg=name)
    for name, array in arrays.items():
        np.testing.assert_allclose(array, state[name], atol=1e-6, err_msg=name)


def training(shared, tmp_path, epochs, *further):
    """The smallest network and images, and no evaluation while it trains."""
    return [
        "main.py", "--config", "configs/synthetic.py:smoke", "--workdir", str(tmp_path / "run"),
        "--config.model.name=unet", f"--config.data.synthetic.root={shared / 'eyes'}",
        "--config.model.widths=(2,2,2,2,4)", "--config.model.first_channels=4",
        "--config.model.decoder_channels=(2,2,2,2)", "--config.augment.crop=32",
        f"--config.train.epochs={epochs}", f"--config.eval.every_epochs={epochs}",
        "--config.log.every_steps=1", *further,
    ]  # fmt: skip


def wait_for_step(tmp_path, step, started):
    file, deadline = tmp_path / "run" / "metrics.jsonl", time.monotonic() + 200
    while time.monotonic() < deadline:
        rows = file.read_text().splitlines() if file.exists() else []
        if any(json.loads(row)["step"] >= step for row in rows):
            return
        assert not started.have_ended(), outputs(started)
        time.sleep(0.2)
    raise AssertionError("no step within 200 s")


def test_a_signal_to_one_process_stops_all_and_a_death_ends_all(start, shared, tmp_path):
    started = start(training(shared, tmp_path, 5000))
    wait_for_step(tmp_path, 4, started)
    started.signal(signal.SIGTERM, 1)
    first, second = started.wait()
    assert (first.returncode, second.returncode) == (143, 143), first.stderr + second.stderr
    assert "Stopped by SIGTERM after step" in first.stdout
    assert "everything is saved" in first.stdout
    assert "Compiling" in first.stdout  # one alone prints, beside a library of collectives
    assert all(line.startswith("[Gloo]") for line in second.stdout.splitlines())
    started = start(training(shared, tmp_path, 5000))
    stopped_at = max(int(p.name) for p in (tmp_path / "run/checkpoints").iterdir())
    wait_for_step(tmp_path, stopped_at + 2, started)
    started.signal(signal.SIGKILL, 1)
    killed_at = time.monotonic()
    first, _ = started.wait()
    assert time.monotonic() - killed_at < 60
    assert f"Resuming from step {stopped_at}" in first.stdout
    assert first.returncode == 1
    assert "this process ends too. Start all processes again" in first.stderr
    assert "Traceback" not in first.stderr


def test_a_mistake_of_one_process_ends_all_with_its_sentence(start, shared, tmp_path):
    started = start(training(shared, tmp_path, 1), last=["--config.train.batch_size=3"])
    first, second = started.wait()
    assert (first.returncode, second.returncode) == (2, 2), first.stderr + second.stderr
    assert "error: Process 1: config.train.batch_size=3 cannot be split" in first.stderr
    assert "error: config.train.batch_size=3 cannot be split" in second.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("is_inner", [False, True])
def test_a_mistake_before_or_in_an_exchange_ends_both_processes_once(monkeypatch, is_inner):
    """The first process waits in the exchange, inside another `together`."""
    which, meeting, meetings = threading.local(), Meeting(2), [0, 0]

    def gathered(text):
        meetings[which.index] += 1
        return [line for (line,) in meeting.exchange(which.index)(lambda: [text])]

    monkeypatch.setattr(processes, "gathered", gathered)
    monkeypatch.setattr(processes, "count", lambda: 2)

    def work():
        if which.index == 1 and is_inner:
            raise UserError("eye7 is damaged")
        return ["line"]

    def run(index):
        which.index = index
        with pytest.raises(UserError) as mistake, processes.together():
            if index == 1 and not is_inner:
                raise UserError("eye7 is damaged")
            processes.exchanged(work)
        return str(mistake.value)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, range(2))) == ["Process 1: eye7 is damaged", "eye7 is damaged"]
    assert meetings == [1, 1]


@pytest.fixture
def threads(monkeypatch):
    """Runs a function of the index in two threads, which stand for processes."""
    which, meeting = threading.local(), Meeting(2)

    def gathered(text):
        return [line for (line,) in meeting.exchange(which.index)(lambda: [text])]

    monkeypatch.setattr(processes, "gathered", gathered)
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "index", lambda: which.index)

    def run(work):
        def started(index):
            which.index = index
            return work(index)

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(started, range(2)))

    return run


def test_a_mistake_reaches_those_who_wait_at_a_barrier(threads):
    def work(index):
        with pytest.raises(UserError) as mistake:
            if index == 0:
                processes.barrier()
            with processes.together():
                raise UserError("the disk is full")
        return str(mistake.value)

    assert threads(work) == ["Process 1: the disk is full", "the disk is full"]


@pytest.mark.parametrize("bad", [0, 21, 39])
@pytest.mark.parametrize("evaluation", ["count", "score", "draw"])
def test_a_case_that_one_process_cannot_read_ends_an_evaluation_for_all(
    threads, monkeypatch, tmp_path, evaluation, bad
):
    """Batches of two cases, 20 of them; each is a collective, where both must come."""
    image, collective, done = np.zeros((32, 32), np.uint8), threading.Barrier(2), [0, 0]

    def read(number):
        if number == bad and processes.index() == bad % 2:
            raise UserError(f"eye{number} cannot be read")
        return f"eye{number}", Case(image, image > 0, image > 0, image.shape)

    def compute(variables, batch):
        collective.wait(timeout=20)
        done[processes.index()] += 1
        shape = (2,) if evaluation == "count" else (1, 32, 32)
        names = ("tp", "fp", "fn", "tn") if evaluation == "count" else ()
        return {
            task: dict.fromkeys(names, np.zeros(shape, int)) or np.zeros(shape, np.float32)
            for task in ("rv", "faz")
        }

    monkeypatch.setattr(evaluator, "put_batch", lambda batch, mesh: batch)
    monkeypatch.setattr(results, "put_batch", lambda batch, mesh: batch)
    monkeypatch.setattr(results, "own_rows", lambda array: array)
    network = evaluator.Evaluator(Description("x", {}), (), None, 2, compute, compute, compute)
    kept = np.ones(40, bool)
    cases = LazyCaseSet(
        tuple(f"eye{i}" for i in range(40)), kept, kept, np.full((40, 2), 32), ("",) * 40,
        image.shape, image.dtype, read=lambda index, last: row_of(read(index)[1]),
    )  # fmt: skip
    settings = Settings(PROTOCOLS["native"], Window(16, "px"))

    def work(index):
        with pytest.raises(UserError) as mistake:
            if evaluation == "count":
                evaluator.count_cases(network, None, cases)
            elif evaluation == "score":
                results.score_set(network, None, cases, settings, lambda *_: None)
            else:
                results.draw_overlays(network, None, cases, tmp_path, number=40, threshold=0.5)
        return str(mistake.value)

    sentences = [f"Process {bad % 2}: eye{bad} cannot be read"] * 2
    sentences[bad % 2] = f"eye{bad} cannot be read"
    assert threads(work) == sentences
    assert done[0] == done[1]


WAITING = """
import sys
import time
from s2a_jax import processes
from s2a_jax.errors import UserError
from s2a_jax.signals import run_program

processes.start(sys.argv[1], 2, int(sys.argv[3]))

def work():
    with processes.announced():
        processes.barrier()
        if not processes.is_first():
            raise UserError("eye7 cannot be read")
        time.sleep(200)  # as in a collective

code = run_program(work)
processes.finish(code)
sys.exit(code)
"""


def test_a_process_that_waits_on_a_device_ends_with_the_mistake_of_another(start, tmp_path):
    (tmp_path / "waiting.py").write_text(WAITING)
    begun = time.monotonic()
    first, second = start([tmp_path / "waiting.py"], flags=False).wait()
    assert time.monotonic() - begun < 60
    assert (first.stdout + first.stderr, second.stdout + second.stderr) == (
        "error: Process 1: eye7 cannot be read\n",
        "error: eye7 cannot be read\n",
    )
    assert (first.returncode, second.returncode) == (2, 2)


def test_lines_of_any_length_are_exchanged(monkeypatch):
    which, meeting = threading.local(), Meeting(3)
    lines = [["a" * 50, "b"], [], ["c" * 7]]  # more, no and fewer characters than a message

    def gathered(text):
        assert len(text) <= 8
        return [line for (line,) in meeting.exchange(which.index)(lambda: [text])]

    monkeypatch.setattr(processes, "gathered", gathered)
    monkeypatch.setattr(processes, "count", lambda: 3)
    monkeypatch.setattr(processes, "_PIECE", 8)

    def run(index):
        which.index = index
        return processes.exchanged(lambda: lines[index])

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, range(3))) == [lines] * 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((None, 2, 0), "need --coordinator=HOST:PORT"),
        (("localhost:1", None, 0), "--processes is missing"),
        (("localhost:1", 2, None), "--process is missing"),
        (("localhost:1", 2, 2), "a process from 0 to processes - 1"),
        (("localhost", 2, 1), "expected HOST:PORT"),
    ],
)
def test_flags_that_do_not_fit_together_are_named(values, message):
    with pytest.raises(UserError, match=message):
        processes.start(*values)


def test_one_process_needs_no_flag():
    processes.start(None, None, None)
    assert (processes.count(), processes.index(), processes.is_first()) == (1, 0, True)
    assert processes.gathered("text") == ["text"]
