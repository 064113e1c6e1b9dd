"""Trains the runs of a plan, one or several at a time, each in its own process.

A process frees the memory of its arrays and compiled programs, and a network that fails does not
end the others. Runs share compiled programs on disk.
"""

import contextlib
import dataclasses
import heapq
import json
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from s2a_jax.comparison.folder import RECORD, read_record
from s2a_jax.comparison.plan import Run
from s2a_jax.comparison.process import Process, end_all
from s2a_jax.config.values import to_json
from s2a_jax.errors import UserError
from s2a_jax.files import writing, written_whole
from s2a_jax.runs.metrics import parse_row
from s2a_jax.signals import Interrupt

_PROMISE = "Stopping once the runs under way have saved; Ctrl-C again stops at once."
_POLL = 0.3  # seconds


@dataclasses.dataclass(eq=False)
class _Job:
    """A run to train, or to evaluate again.

    Attributes:
        run: the run.
        number: its place among all jobs, from 1.
        again: whether the run is finished and only evaluated again.
        log: file of its output.
        before: seconds of training in earlier parts.
        process: None until it starts.
        start: `time.monotonic` of the start.
        share: share of the training that is done, when last looked at; 0 of an evaluation.
    """

    run: Run
    number: int
    again: bool
    log: Path
    before: float
    process: Process | None = None
    start: float = 0.0
    share: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds so far, those of earlier parts of a training too."""
        passed = time.monotonic() - self.start if self.process else 0.0
        return passed if self.again else self.before + passed


def train_all(
    runs: Sequence[Run], logs: Path, console: Console, jobs: int = 1
) -> tuple[int, list[Run]]:
    """Trains the runs that are not finished, resuming those that were stopped.

    Finished runs whose results were made under another `config.eval` are then evaluated again. The
    first run starts alone: it may refuse what all would refuse, and make the data that all use.

    Args:
        runs: runs in the order of training.
        logs: folder for the runs' output, one file per run.
        console: gets one line per run, and a progress bar on a terminal.
        jobs: number of runs at a time, at least 1.

    Returns:
        0, or 128 + the number of the signal that stopped the comparison; and the runs that failed.

    Raises:
        UserError: the first run refuses its configuration or data set.
    """
    with writing(f"to --workdir={logs.parent}"):
        logs.mkdir(parents=True, exist_ok=True)
    waiting = _jobs(runs, logs, console)
    total, kept = len(waiting), len(runs) - len(waiting)
    running: list[_Job] = []
    failed, stopped, evaluating = [], [], None
    bar = Progress(
        BarColumn(), TextColumn("{task.description}", markup=False), console=console,
        transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with Interrupt(_PROMISE) as interrupt, bar, contextlib.ExitStack() as ends:
        ends.callback(lambda: end_all(job.process for job in running))
        task, forwarded = bar.add_task("", total=total), False
        while running or (waiting and interrupt.signal is None):
            while waiting and len(running) < _room(running, jobs) and interrupt.signal is None:
                job = waiting.popleft()
                what = "evaluating again" if job.again else "training"
                console.print(f"[{job.number}/{total}] {job.run.label}: {what}, log in {job.log}")
                _start(job, shares_device=jobs > 1)
                running.append(job)
            if interrupt.signal is not None and not forwarded:
                forwarded = True
                for job in running:
                    job.process.send(interrupt.signal)
            for job in [job for job in running if job.process.code() is not None]:
                running.remove(job)
                job.process.close()
                code, seconds = job.process.code(), job.seconds
                if code == 2 and job.number == 1 and not kept:
                    raise _refused(job)  # as all others most likely would be
                if job.again:
                    evaluating = seconds
                if code == 0 or not job.again:
                    spent = job.before if job.again else seconds
                    _write_record(job.run, spent, finished=code == 0, evaluated=code == 0)
                if code == 0:
                    reason = f"finished, {_duration(seconds)}"
                elif interrupt.signal is None:
                    failed.append(job.run)
                    reason = f"failed with exit code {code}: {_last_line(job.log)}"
                else:
                    stopped.append(job.run)
                    continue
                left = _duration(_seconds_left(runs, running, waiting, jobs, evaluating))
                console.print(f"[{job.number}/{total}] {job.run.label}: {reason}; {left} left")
            if running:
                for job in running:
                    job.share = 0.0 if job.again else _share_done(job.run)
                if not bar.disable:
                    left = _duration(_seconds_left(runs, running, waiting, jobs, evaluating))
                    each = ", ".join(f"{job.run.label} {job.share:.0%}" for job in running)
                    ended = total - len(waiting) - sum(1 - job.share for job in running)
                    bar.update(task, completed=ended, description=f"{each}; all runs: {left} left")
                time.sleep(_POLL)
    if interrupt.signal is None:
        return 0, failed
    if stopped or waiting:
        where = f" in {', '.join(run.label for run in stopped)}" if stopped else ""
        console.print(f"Stopped{where}; run the same command again to resume.")
    return 128 + interrupt.signal, failed


def _room(running: Sequence[_Job], jobs: int) -> int:
    """Number of runs that may run now: one until the first has begun its workdir."""
    is_alone = len(running) == 1 and running[0].number == 1
    return 1 if is_alone and not running[0].run.workdir.config.is_file() else jobs


def _jobs(runs: Sequence[Run], logs: Path, console: Console) -> deque[_Job]:
    """What is to be done: first the runs that are not finished, then evaluations."""
    finished = [run for run in runs if _record(run)["finished"]]
    stale = [run for run in finished if _record(run).get("eval") != _evaluation(run)]
    todo = [*(run for run in runs if run not in finished), *stale]
    if finished:
        console.print(f"{len(finished)} of {len(runs)} runs are finished already.")
    if stale:
        console.print(
            f"{len(stale)} runs have results of another config.eval; they are evaluated again."
        )
    return deque(
        _Job(run, number, run in stale, logs / f"{run.label}.log", _record(run)["seconds"])
        for number, run in enumerate(todo, start=1)
    )


def _start(job: _Job, shares_device: bool) -> None:
    if job.again:  # a stop half-way leaves results of neither
        _write_record(job.run, job.before, finished=True, evaluated=False)
    job.start = time.monotonic()
    job.process = Process(job.run, job.log, evaluate=job.again, shares_device=shares_device)


def _refused(job: _Job) -> UserError:
    """Returns what the run said, and tidies up if it wrote nothing."""
    reason = _last_line(job.log)
    if not job.run.workdir.path.exists():
        job.log.unlink()
        with contextlib.suppress(OSError):  # not empty
            job.log.parent.rmdir()
            job.log.parent.parent.rmdir()
    return UserError(f"{job.run.label}: {reason}")


def _record(run: Run) -> dict[str, Any]:
    return read_record(run.workdir.path)


def _write_record(run: Run, seconds: float, finished: bool, evaluated: bool) -> None:
    record = {
        "seconds": round(seconds, 1),
        "finished": finished,
        "eval": _evaluation(run) if evaluated else None,
    }
    if run.workdir.path.is_dir():  # a run that was stopped at once has none
        with written_whole(run.workdir.path / RECORD) as partial:
            partial.write_text(json.dumps(record))


def _evaluation(run: Run) -> dict[str, Any]:
    return to_json(run.config)["eval"]


def _share_done(run: Run) -> float:
    """Share of a run's epochs that its newest row of metrics.jsonl has reached."""
    if not run.workdir.metrics.is_file():
        return 0.0
    with run.workdir.metrics.open("rb") as file:
        file.seek(max(0, run.workdir.metrics.stat().st_size - 4096))
        lines = file.read().splitlines()
    for line in reversed(lines):
        row = parse_row(line)
        if row is not None and "epoch" in row:  # rows of a validation have none
            return (row["epoch"] + 1) / run.config.train.epochs
    return 0.0


def _seconds_left(
    runs: Sequence[Run],
    running: Sequence[_Job],
    waiting: Sequence[_Job],
    jobs: int,
    evaluating: float | None,
) -> float | None:
    """Estimates the time until the jobs that run and wait are done.

    A run is expected to take as long as a finished run of its name, or else the mean of the known
    runs; one that is under way, as its share suggests. Evaluations take `evaluating` seconds, which
    the last one took, or nothing beside training. None: unknown yet.
    """
    known = {run.name: _record(run)["seconds"] for run in runs if _record(run)["finished"]}
    known |= {job.run.name: job.seconds / job.share for job in running if job.share > 0}
    todo = [*running, *waiting]
    training = [job for job in todo if not job.again]
    if (training and not known) or (todo and not training and evaluating is None):
        return None
    mean = sum(known.values()) / max(1, len(known))
    ends = [0.0] * max(0, jobs - len(running))  # when each place is free
    for job in todo:
        whole = (evaluating or 0.0) if job.again else known.get(job.run.name, mean)
        left = max(0.0, whole - job.seconds)
        if job.process is None:
            heapq.heapreplace(ends, ends[0] + left)
        else:
            heapq.heappush(ends, left)
    return max(ends)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown time"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it printed nothing"
