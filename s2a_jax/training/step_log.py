"""The numbers of training steps: fetched late, checked, written and shown."""

import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from rich.console import Console

from s2a_jax.errors import NonFiniteLossError
from s2a_jax.evaluation.counts import TASKS
from s2a_jax.runs.metrics import MetricWriter
from s2a_jax.training.checkpoint import Checkpoints
from s2a_jax.training.estimate import warn_of_waiting
from s2a_jax.training.setup import Setup


class StepLog:
    """Keeps the numbers of steps on the devices until they are ready, so that no step waits.

    Args:
        setup: the run.
        checkpoints: the newest one is named if training diverges.
        writer: gets a row for every `fetch`.
        console: for warnings.
        start: updates made before.
        batch_size: cases in a batch, for the speed.

    Attributes:
        images_per_second: speed between the last two fetches.
        eyes: how fast synthetic eyes are made, as `TrainStream.eye_speed`; {} if none are streamed.
    """

    def __init__(
        self,
        setup: Setup,
        checkpoints: Checkpoints,
        writer: MetricWriter,
        console: Console,
        start: int,
        batch_size: int,
    ):
        self._training, self._is_mixture = setup.training, len(setup.dataset.sources) > 1
        self._checkpoints, self._writer, self._console = checkpoints, writer, console
        self._batch_size = batch_size
        self._pending: list[dict[str, jax.Array]] = []
        self._logged = start  # step of the newest fetched numbers
        self._has_warned = False
        self.images_per_second = 0.0
        self.eyes: dict[str, float] = {}
        self.restart_clock(start)

    def restart_clock(self, step: int) -> None:
        """Measures the speed from here on, after `step` updates."""
        self._clock, self._clock_step = time.perf_counter(), step

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Takes the numbers of the next step, which may still be under way."""
        self._pending.append(metrics)

    def fetch(self, step: int, late: int) -> str | None:
        """Writes a row once the numbers of all steps but the newest `late` are fetched.

        Args:
            step: updates dispatched so far.
            late: how many of them may still be under way.

        Returns:
            A line for the progress bar, or None if there was nothing to fetch.

        Raises:
            NonFiniteLossError: a step gave no finite loss or gradient.
        """
        count = max(0, len(self._pending) - late)
        ready, self._pending = self._pending[:count], self._pending[count:]
        if not ready:
            return None
        rows = jax.device_get(ready)
        if done := step - self._clock_step:  # 0 directly after the clock was set
            seconds = time.perf_counter() - self._clock
            self.images_per_second = done * self._batch_size / seconds
        self.restart_clock(step)
        first = self._logged
        for row in rows:
            self._logged += 1
            if not np.isfinite([row["loss"], row["grad_norm"]]).all():
                raise NonFiniteLossError(self._diverged(row))
        values = self._values(rows[-1], first)
        if self.eyes and not self._has_warned and (warning := warn_of_waiting(**self.eyes)):
            self._console.print(warning, style="bold yellow")
            self._has_warned = True
        self._writer.write(self._logged, values)
        return _line(values)

    def _values(self, metrics: Mapping[str, Any], first: int) -> dict[str, float]:
        """A row of metrics.jsonl: the numbers of the newest step and what holds since `first`."""
        values = _scalars(metrics) | {
            "learning_rate": float(self._training.schedule(self._logged - 1)),
            "epoch": (self._logged - 1) // self._training.steps_per_epoch,
            "images_per_second": self.images_per_second,
        }
        if self._is_mixture:
            counts = self._training.stream.source_counts(first, self._logged)
            values |= {f"cases_{name}": count for name, count in counts.items()}
        self.eyes = self._training.stream.eye_speed()
        return values | self.eyes

    def _diverged(self, row: Mapping[str, Any]) -> str:
        """The error message for the newest step, whose loss or gradient is not finite."""
        names = ", ".join(self._training.stream.ids(self._logged - 1))
        last = self._checkpoints.latest_step
        good = (
            "there is no checkpoint yet" if last is None else f"the last good checkpoint is {last}"
        )
        return (
            f"Step {self._logged}: the loss is {row['loss']}, its gradient's norm "
            f"{row['grad_norm']}. Cases of the batch: {names}. In {self._checkpoints.folder} "
            f"{good}. Try a lower --config.optimizer.learning_rate or "
            f"--config.optimizer.clip_norm=1{'' if last is None else ' in a new workdir'}."
        )


def _scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a step, without the loss of a task that no case of the batch has a mask of.

    Such a loss is 0, which would look perfect.
    """
    absent = {f"loss_{task}" for task in TASKS if not metrics[f"masks_{task}"]}
    return {
        name: float(value)
        for name, value in metrics.items()
        if name not in absent and not name.startswith("masks_")
    }


def _line(values: Mapping[str, float]) -> str:
    """A row of metrics.jsonl for the progress bar; a dash where a task has no loss."""
    losses = (
        f"{task} {values[name]:.3f}" if (name := f"loss_{task}") in values else f"{task} –"
        for task in TASKS
    )
    return (
        f"loss {values['loss']:.4f}  {'  '.join(losses)}  alpha {values['alpha']:.3f}  "
        f"{values['images_per_second']:.1f} img/s"
    )
