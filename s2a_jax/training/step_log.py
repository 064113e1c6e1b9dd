"""The numbers of training steps: fetched late, checked, written and shown."""

import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from rich.console import Console

from s2a_jax.errors import NonFiniteLossError
from s2a_jax.evaluation.counts import TASKS
from s2a_jax.runs.metrics import MetricWriter, NoWriter
from s2a_jax.training.checkpoint import Checkpoints
from s2a_jax.training.estimate import warn_of_waiting
from s2a_jax.training.setup import Setup


class StepLog:
    """Keeps the numbers of steps on the devices until they are ready, so that no step waits.

    Args:
        setup: the run.
        checkpoints: the newest one is named if training diverges.
        writer: gets the rows.
        console: for warnings.
        start: updates made before.
        batch_size: cases in a batch, for the speed.
        every: steps between two rows.

    Attributes:
        images_per_second: speed between the last two fetches.
        eyes: how fast synthetic eyes are made, as `TrainStream.eye_speed`; {} if none are streamed.
    """

    def __init__(
        self,
        setup: Setup,
        checkpoints: Checkpoints,
        writer: MetricWriter | NoWriter,
        console: Console,
        start: int,
        batch_size: int,
        every: int,
    ):
        self._training, self._is_mixture = setup.training, len(setup.dataset.sources) > 1
        self._checkpoints, self._writer, self._console = checkpoints, writer, console
        self._batch_size, self._every = batch_size, every
        self._pending: list[dict[str, jax.Array]] = []
        self._fetched = start  # step of the newest fetched numbers
        self._written = writer.last_step  # step of the newest row
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

    def fetch(self, step: int, late: int = 0, *, is_validated: bool = False) -> str | None:
        """Fetches the numbers of all steps but the newest `late`, and writes the rows among them.

        Every `every`-th step has a row, and every validated one. So which steps have one does not
        depend on where a run was stopped.

        Args:
            step: updates dispatched so far.
            late: how many of them may still be under way.
            is_validated: whether the network of this step is validated.

        Returns:
            A line for the progress bar, or None if there was nothing to fetch.

        Raises:
            NonFiniteLossError: a step gave no finite loss or gradient.
            FullDiskError: there is no room for a row.
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
        self.eyes = self._training.stream.eye_speed()
        if self.eyes and not self._has_warned and (warning := warn_of_waiting(**self.eyes)):
            self._console.print(warning, style="bold yellow")
            self._has_warned = True
        for row in rows:
            self._fetched += 1
            if not np.isfinite([row["loss"], row["grad_norm"]]).all():
                raise NonFiniteLossError(self._diverged(row))
            if self._fetched % self._every == 0 or (is_validated and self._fetched == step):
                self._writer.write(self._fetched, self._values(row))
                self._written = self._fetched
        return _line(_scalars(rows[-1]), self.images_per_second)

    def _values(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """A row of metrics.jsonl: the numbers of the newest step, and what holds since the last."""
        values = _scalars(metrics) | {
            "learning_rate": float(self._training.schedule(self._fetched - 1)),
            "epoch": (self._fetched - 1) // self._training.steps_per_epoch,
            "images_per_second": self.images_per_second,
        }
        if self._is_mixture:
            counts = self._training.stream.source_counts(self._written, self._fetched)
            values |= {f"cases_{name}": count for name, count in counts.items()}
        return values | self.eyes

    def _diverged(self, row: Mapping[str, Any]) -> str:
        """The error message for the newest step, whose loss or gradient is not finite."""
        names = ", ".join(self._training.stream.ids(self._fetched - 1))
        last = self._checkpoints.latest_step
        good = (
            "there is no checkpoint yet" if last is None else f"the last good checkpoint is {last}"
        )
        return (
            f"Step {self._fetched}: the loss is {row['loss']}, its gradient's norm "
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


def _line(values: Mapping[str, float], images_per_second: float) -> str:
    """The numbers of a step for the progress bar; a dash where a task has no loss."""
    losses = (
        f"{task} {values[name]:.3f}" if (name := f"loss_{task}") in values else f"{task} –"
        for task in TASKS
    )
    return (
        f"loss {values['loss']:.4f}  {'  '.join(losses)}  alpha {values['alpha']:.3f}  "
        f"{images_per_second:.1f} img/s"
    )
