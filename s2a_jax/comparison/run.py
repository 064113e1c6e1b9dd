"""Trains the runs of a plan one after the other, each in its own process.

A process frees the memory of its arrays and compiled programs, and a network that fails does not
end the others. Runs share compiled programs on disk.
"""

import contextlib
import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from s2a_jax.comparison.folder import RECORD, read_record
from s2a_jax.comparison.plan import Run
from s2a_jax.config.values import to_json
from s2a_jax.errors import UserError
from s2a_jax.files import writing, written_whole
from s2a_jax.runs.metrics import parse_row
from s2a_jax.signals import Interrupt

_PROMISE = "Stopping once the run under way has saved; Ctrl-C again stops at once."
_POLL = 0.3  # seconds


def train_all(runs: Sequence[Run], logs: Path, console: Console) -> tuple[int, list[Run]]:
    """Trains the runs that are not finished, resuming those that were stopped.

    Finished runs whose results were made under another `config.eval` are then evaluated again.

    Args:
        runs: runs in the order of training.
        logs: folder for the runs' output, one file per run.
        console: gets one line per run, and a progress bar on a terminal.

    Returns:
        0, or 128 + the number of the signal that stopped the comparison; and the runs that failed.

    Raises:
        UserError: the first run refuses its configuration or data set.
    """
    with writing(f"to --workdir={logs.parent}"):
        logs.mkdir(parents=True, exist_ok=True)
    finished = [run for run in runs if _record(run)["finished"]]
    stale = [run for run in finished if _record(run).get("eval") != _evaluation(run)]
    todo = [*(run for run in runs if not _record(run)["finished"]), *stale]
    done = len(runs) - len(todo)
    if finished:
        console.print(f"{len(finished)} of {len(runs)} runs are finished already.")
    if stale:
        console.print(
            f"{len(stale)} runs have results of another config.eval; they are evaluated again."
        )
    failed, evaluating = [], None
    bar = Progress(
        BarColumn(), TextColumn("{task.description}", markup=False), console=console,
        transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with Interrupt(_PROMISE) as interrupt, bar:
        task = bar.add_task("", total=len(todo))
        for i, run in enumerate(todo):
            log = logs / f"{run.label}.log"
            again, start = run in stale, time.monotonic()
            before = _record(run)["seconds"]
            since = start if again else start - before
            show = functools.partial(_show, bar, task, runs, todo, i, since, evaluating)
            what = "evaluating again" if again else "training"
            console.print(f"[{i + 1}/{len(todo)}] {run.label}: {what}, log in {log}")
            if again:  # a stop half-way leaves results of neither
                _write_record(run, before, finished=True, evaluated=False)
            code = _start(run, log, interrupt, show, again)
            seconds = time.monotonic() - since
            if code == 2 and not i and not done:  # all others would most likely be refused too
                reason = _last_line(log)
                if not run.workdir.path.exists():  # refused before anything was written
                    _remove(log)
                raise UserError(f"{run.label}: {reason}")
            if again:
                evaluating = seconds
            if code == 0 or not again:
                spent = before if again else seconds
                _write_record(run, spent, finished=code == 0, evaluated=code == 0)
            if interrupt.signal is not None and code != 0:
                console.print(f"Stopped in {run.label}; run the same command again to resume.")
                return 128 + interrupt.signal, failed
            if code != 0:
                failed.append(run)
                reason = f"failed with exit code {code}: {_last_line(log)}"
            else:
                reason = f"finished, {_duration(seconds)}"
            left = _seconds_left(runs, todo[i + 1 :], 0, 0, evaluating)
            console.print(f"[{i + 1}/{len(todo)}] {run.label}: {reason}; {_duration(left)} left")
            if interrupt.signal is not None:
                return 128 + interrupt.signal, failed
    return 0, failed


def _show(
    bar: Progress,
    task: TaskID,
    runs: Sequence[Run],
    todo: Sequence[Run],
    i: int,
    start: float,
    evaluating: float | None,
) -> None:
    """Updates the bar while `todo[i]` runs; `start` is its start, earlier parts counted."""
    share = 0.0 if _record(todo[i])["finished"] else _share_done(todo[i])
    left = _seconds_left(runs, todo[i:], time.monotonic() - start, share, evaluating)
    text = f"{todo[i].label} {share:.0%}; all runs: {_duration(left)} left"
    bar.update(task, completed=i + share, description=text)


def _start(
    run: Run, log: Path, interrupt: Interrupt, show: Callable[[], None], evaluate: bool
) -> int:
    """Runs one child process and forwards a signal to it; returns its exit code."""
    job = {"config": to_json(run.config), "evaluate": evaluate}
    with log.open("a") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "s2a_jax.comparison.child", str(run.workdir.path)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            # Otherwise Ctrl-C reaches the child twice, and the second signal stops it unsaved.
            start_new_session=True,
        )
        forwarded = False
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended at once; its code says so
                child.stdin.write(json.dumps(job) + "\n")
                child.stdin.flush()
            while child.poll() is None:
                if interrupt.signal is not None and not forwarded:
                    child.send_signal(interrupt.signal)
                    forwarded = True
                show()
                time.sleep(_POLL)
        except BaseException:  # a second Ctrl-C
            child.terminate()
            raise
        finally:
            child.wait()
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
    return child.returncode


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
    todo: Sequence[Run],
    seconds: float,
    share: float,
    evaluating: float | None = None,
) -> float | None:
    """Estimates the time that `todo` takes; its first run has been going for `seconds`.

    A run is expected to take as long as a finished run of its name, or else the mean of the known
    runs. Finished runs in `todo` are evaluated, which took `evaluating` seconds for the last one.
    None: unknown yet.
    """
    known = {r.name: _record(r)["seconds"] for r in runs if _record(r)["finished"]}
    if todo and share > 0:
        known[todo[0].name] = seconds / share
    training = [run for run in todo if not _record(run)["finished"]]
    if (training and not known) or (todo and not training and evaluating is None):
        return None
    mean = sum(known.values()) / max(1, len(known))
    whole = sum(known.get(run.name, mean) for run in training)
    # Unknown before the first evaluation, but short beside training.
    whole += (len(todo) - len(training)) * (evaluating or 0.0)
    return max(0.0, whole - seconds)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown time"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _remove(log: Path) -> None:
    """Removes a log, and the folders above it if they are empty."""
    log.unlink()
    with contextlib.suppress(OSError):  # not empty
        log.parent.rmdir()
        log.parent.parent.rmdir()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it printed nothing"
