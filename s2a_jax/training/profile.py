"""A trace of ten training steps, which XProf and Perfetto open."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

_STEPS = 10


class Traced:
    """The jitted step of a run, whose calls 2 to 11 are traced; the first one compiles.

    The trace contains all that happens on the host and the devices meanwhile. `close` ends it, and
    says where it is, if there were fewer calls.

    Args:
        update: makes a step.
        start: steps made before.
        folder: where the trace is written to, in a folder named after the time.
        console: prints where the trace is.
    """

    def __init__(self, update: Callable[..., Any], start: int, folder: Path, console: Console):
        self._update, self._folder, self._console = update, folder, console
        self._step = self._start = start
        self._is_tracing = False

    def __call__(self, *arguments: Any) -> Any:
        """Makes a step."""
        self._step += 1
        if self._step == self._start + 2:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # Python's calls would hide the rest
            jax.profiler.start_trace(self._folder, profiler_options=options)
            self._is_tracing = True
        with jax.profiler.StepTraceAnnotation("train", step_num=self._step):
            result = self._update(*arguments)
        if self._step == self._start + 1 + _STEPS:
            jax.block_until_ready(result)
            self._end()
        return result

    def close(self) -> None:
        """Ends the trace if it has not ended."""
        if self._is_tracing:
            self._end()
        elif self._step < self._start + 2:
            self._console.print("--profile: there was no second step to trace.")

    def _end(self) -> None:
        jax.profiler.stop_trace()
        self._is_tracing = False
        found = self._folder.rglob("*.trace.json.gz")
        file = max(found, key=lambda one: one.stat().st_mtime, default=None)
        if file is None:  # the profiler reports a full or read-only disk in its own log only
            self._console.print(f"--profile: no trace was written to {self._folder}.")
            return
        self._console.print(
            f"Trace of steps {self._start + 2} to {self._step}: {file} opens in "
            f"https://ui.perfetto.dev; `pip install xprof` and `xprof --logdir {self._folder}` "
            "show more."
        )
