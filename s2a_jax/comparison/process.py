"""A run in a process of its own, as the comparison sees it; `child` is the program."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from s2a_jax.comparison.plan import Run
from s2a_jax.config.values import to_json


class Process:
    """A process that trains a run or evaluates it again.

    Args:
        run: the run.
        log: file that its output is added to.
        evaluate: whether to evaluate a finished run again instead of training it.
        shares_device: whether others run beside it. On a GPU it then takes memory as it needs it,
            not three quarters at its start, unless the environment says otherwise.
    """

    def __init__(self, run: Run, log: Path, *, evaluate: bool, shares_device: bool):
        job = json.dumps({"config": to_json(run.config), "evaluate": evaluate})
        environment = dict(os.environ)
        if shares_device:
            environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        with log.open("a") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "s2a_jax.comparison.child", str(run.workdir.path)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
                # Otherwise Ctrl-C reaches it twice, and the second signal stops it unsaved.
                start_new_session=True,
            )
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended at once; its code says so
                self._process.stdin.write(job + "\n")
                self._process.stdin.flush()
        except BaseException:
            end_all([self])
            raise

    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; the first one lets it save and stop."""
        self._process.send_signal(number)

    def close(self) -> None:
        """Waits for its end."""
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


def end_all(processes: Iterable[Process]) -> None:
    """Terminates processes together, and waits until all have ended."""
    processes = list(processes)
    for process in processes:
        if process.code() is None:
            process.send(signal.SIGTERM)
    for process in processes:
        process.close()
