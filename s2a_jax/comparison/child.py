"""One run in a process of its own: `python -m s2a_jax.comparison.child WORKDIR`.

Reads one line of JSON from standard input: `config` (resolved), and `evaluate` (evaluate a finished
run again instead of training). The pipe stays open as long as the comparison lives; when it closes,
the run saves and stops.
"""

import json
import os
import signal
import sys
import threading

from s2a_jax import signals

if __name__ == "__main__":
    signals.end_at_once()


from s2a_jax.config.values import from_json
from s2a_jax.console import make_console
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training.loop import evaluate_workdir, train


def main() -> int:
    """Trains or evaluates; returns the exit code as `main.py` does."""
    job = json.loads(sys.stdin.readline())
    work = evaluate_workdir if job["evaluate"] else train
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    workdir, console = Workdir(sys.argv[1]), make_console(soft_wrap=True, width=110)

    def stopped() -> str:
        saved = "the last checkpoint" if workdir.has_checkpoint() else "nothing"
        return f"Stopped at once; {saved} is saved."

    return signals.run_program(lambda: work(from_json(job["config"]), workdir, console), stopped)


def _stop_with_parent() -> None:
    while os.read(0, 1):  # b"" once the other end is closed
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    signals.raise_stopped()
    signals.leave(main())
