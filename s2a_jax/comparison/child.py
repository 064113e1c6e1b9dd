"""One run in a process of its own: `python -m s2a_jax.comparison.child WORKDIR`.

What to do comes as one line of JSON on standard input: `config` (resolved), `defaults` (as
`Workdir` takes them), `evaluate` (a finished run again, instead of training). The pipe stays open
as long as the comparison lives; when it closes, the run saves and stops instead of going on unseen.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from s2a_jax.errors import UserError, exit_code
from s2a_jax.starting import ends_at_once, interrupts, leave


def main() -> int:
    """Trains or evaluates; returns the exit code as `main.py` does."""
    interrupts()
    with ends_at_once():
        import jax
        from rich.console import Console

        from s2a_jax.training.loop import NonFiniteLossError, evaluate_workdir, train
        from s2a_jax.training.workdir import Workdir, from_json
    told = json.loads(sys.stdin.readline())
    config, defaults = from_json(told["config"]), from_json(told["defaults"])
    work = evaluate_workdir if told["evaluate"] else train
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    if jax.config.jax_compilation_cache_dir is None:  # as main.py: seeds share their programs
        cache = Path.home() / ".cache" / "s2a_jax" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    workdir = Workdir(sys.argv[1], defaults)
    try:
        return work(config, workdir, Console(soft_wrap=True, width=110))
    except UserError as error:
        print(f"error: {error}")
        return 2
    except NonFiniteLossError as error:
        print(f"error: {error}")
        return 1
    except KeyboardInterrupt as stop:
        saved = "the last checkpoint" if workdir.has_checkpoint() else "nothing"
        print(f"Stopped at once; {saved} is saved.")
        return exit_code(stop)


def _stop_with_parent() -> None:
    while os.read(0, 1):  # b"" once the other end is closed
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    leave(main())
