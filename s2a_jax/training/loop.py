"""The training loop.

Order of a run: restore; then for every step: next batch, update, log (numbers are fetched one
interval late, so that the devices never wait); at the end of an evaluated epoch: evaluate, save. A
checkpoint of step k is all that is needed to go on: batch k depends on the seed and k alone.
"""

import contextlib
import time
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from s2a_jax.config.recipes import defaults_of
from s2a_jax.convert.weights import Description
from s2a_jax.errors import NonFiniteLossError, UserError
from s2a_jax.runs.environment import recorded
from s2a_jax.runs.metrics import MetricWriter
from s2a_jax.runs.workdir import Workdir
from s2a_jax.signals import Interrupt
from s2a_jax.training.checkpoint import Checkpoints
from s2a_jax.training.estimate import warn_if_slow, warn_of_waiting
from s2a_jax.training.results import draw_overlays, settings_of, write_run_results
from s2a_jax.training.scalars import line, scalars
from s2a_jax.training.setup import Setup, check_batch, make_setup, read_pretrained
from s2a_jax.training.state import TrainState, create_state


def train(config: Any, workdir: Workdir, console: Console) -> int:
    """Trains, or goes on training, and evaluates the best network at the end.

    Args:
        config: a resolved configuration.
        workdir: where everything goes.
        console: for tables and sentences.

    Returns:
        The exit code: 0, or 128 + the number of the signal that stopped the run.

    Raises:
        UserError: a configuration, data set or workdir that cannot be used.
        NonFiniteLossError: training has diverged.
    """
    workdir.check(config)  # before the data set is read
    settings_of(config.eval)  # what is wrong there should not wait for the end of the run
    setup = make_setup(config)
    check_batch(config.train.batch_size, setup.dataset)
    pretrained = read_pretrained(config.model.pretrained, setup)
    with _alone(workdir):
        return _train(config, setup, pretrained, workdir, console)


def _train(
    config: Any,
    setup: Setup,
    pretrained: dict[str, np.ndarray],
    workdir: Workdir,
    console: Console,
) -> int:
    """As `train`, in a workdir that no other run writes to."""
    workdir.claim(config, defaults_of(config))
    for note in setup.dataset.notes:
        console.print(note)
    checkpoints = Checkpoints(workdir.checkpoints)
    try:
        start = checkpoints.latest_step or 0
        if checkpoints.latest_step is None:
            state = create_state(setup.init, setup.abstract, pretrained)
        else:
            state = checkpoints.restore(checkpoints.latest_step, setup.abstract)
        if start < setup.total_steps:
            if not start:  # of an attempt that saved nothing there may be one
                workdir.environment.unlink(missing_ok=True)
            with recorded(workdir.environment, console.print), Interrupt() as interrupt:
                run = _Run(config, setup, checkpoints, workdir, console)
                signal = run.train(state, start, interrupt)
            if signal is not None:
                console.print(
                    f"Stopped by {signal.name} after step {checkpoints.latest_step} of "
                    f"{setup.total_steps}, all saved. The same command goes on from there."
                )
                return 128 + signal
        else:
            console.print(f"The run in {workdir.path} is finished; evaluating its best network.")
        write_run_results(config, setup, checkpoints, workdir, console)
        return 0
    finally:
        checkpoints.close()


def evaluate_workdir(config: Any, workdir: Workdir, console: Console) -> int:
    """Evaluates the best network of a workdir; see `write_run_results` for what is written.

    Raises:
        UserError: as `train`, or there is no validated checkpoint yet.
    """
    if not workdir.has_checkpoint():
        remedy = "train it first"
        if workdir.weights.is_file():
            remedy = f"python -m s2a_jax evaluate --weights {workdir.weights} --data DIR does"
        raise UserError(f"{workdir.path} has no checkpoint to evaluate: {remedy}.")
    workdir.check(config)
    settings_of(config.eval)
    setup = make_setup(config)
    with _alone(workdir):
        checkpoints = Checkpoints(workdir.checkpoints)
        try:
            if checkpoints.best is None:
                raise UserError(f"{workdir.path} has no validated checkpoint yet: train on.")
            write_run_results(config, setup, checkpoints, workdir, console)
        finally:
            checkpoints.close()
    return 0


def _alone(workdir: Workdir) -> contextlib.AbstractContextManager[None]:
    """Keeps other runs out; of a run on several hosts the first process does."""
    return workdir.alone() if jax.process_index() == 0 else contextlib.nullcontext()


class _Run:
    """What one call of `train` keeps from step to step, besides the state."""

    def __init__(
        self,
        config: Any,
        setup: Setup,
        checkpoints: Checkpoints,
        workdir: Workdir,
        console: Console,
    ):
        self.config, self.setup, self.checkpoints = config, setup, checkpoints
        self.workdir, self.console = workdir, console
        self.pending: list[dict[str, jax.Array]] = []
        self.logged = 0  # step that the newest fetched numbers belong to
        self.images_per_second = 0.0
        self.eyes: dict[str, float] = {}  # how fast they are made, where they are streamed
        self.has_warned = False

    def train(self, state: TrainState, start: int, interrupt: Interrupt) -> Any:
        """Steps until the end or a signal, which is returned."""
        setup, config = self.setup, self.config
        self.logged = start
        batches = setup.batches(start)
        batch = next(batches)
        if start:
            self.console.print(f"Resuming from step {start} of {setup.total_steps}.")
        devices = f"{setup.mesh.size} {jax.devices()[0].device_kind} device(s)"
        parameters = sum(leaf.size for leaf in jax.tree.leaves(setup.abstract.params))
        self.console.print(
            f"{setup.network} {config.model.variant}: {parameters / 1e6:.2f} M parameters; "
            f"{setup.epochs} epochs of {setup.steps_per_epoch} steps, batch "
            f"{config.train.batch_size}, on {devices}."
        )
        if warning := warn_if_slow(setup, batch, setup.total_steps - start):
            self.console.print(warning, style="bold yellow")
        self.console.print("Compiling the first step ...")
        self.writer = MetricWriter(self.workdir.metrics, self.workdir.events, start)
        progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        bar = progress.add_task(
            "", total=setup.total_steps, completed=start, epoch=start // setup.steps_per_epoch,
            numbers="",
        )  # fmt: skip
        every = config.log.every_steps
        self.clock, self.clock_step = time.perf_counter(), start
        try:
            with progress:
                for step in range(start + 1, setup.total_steps + 1):
                    state, metrics = setup.train_step(state, batch)
                    self.pending.append(metrics)
                    epoch, within = divmod(step, setup.steps_per_epoch)
                    if step % every == 0:
                        numbers = self.fetch(step, late=every)
                        progress.update(bar, numbers=numbers or "", epoch=epoch)
                    progress.update(bar, completed=step)
                    if step == start + 1:
                        jax.block_until_ready(state.step)  # compiled now: let the clock start
                        self.clock, self.clock_step = time.perf_counter(), step
                    is_last = step == setup.total_steps
                    if is_last or (within == 0 and epoch % config.eval.every_epochs == 0):
                        self.fetch(step, late=0)
                        self.validate(state, step, epoch)
                    elif interrupt.signal is not None:
                        self.fetch(step, late=0)
                        self.save(state, step, score=None)
                    if interrupt.signal is not None and not is_last:
                        return interrupt.signal
                    if not is_last:
                        batch = next(batches)
                return None
        finally:
            self.writer.close()

    def fetch(self, step: int, late: int) -> str | None:
        """Writes the numbers of all steps but the newest `late`; returns a line for the bar.

        Args:
            step: updates dispatched so far.
            late: how many of them may still be under way.
        """
        count = max(0, len(self.pending) - late)
        ready, self.pending = self.pending[:count], self.pending[count:]
        if not ready:
            return None
        rows = jax.device_get(ready)
        first = self.logged
        now = time.perf_counter()
        if done := step - self.clock_step:  # none directly after the clock was set
            self.images_per_second = done * self.config.train.batch_size / (now - self.clock)
        self.clock, self.clock_step = now, step
        for row in rows:
            self.logged += 1
            if not np.isfinite([row["loss"], row["grad_norm"]]).all():
                raise NonFiniteLossError(self.diverged(self.logged, row))
        values = scalars(rows[-1])
        values |= {
            "learning_rate": float(self.setup.schedule(self.logged - 1)),
            "epoch": (self.logged - 1) // self.setup.steps_per_epoch,
            "images_per_second": self.images_per_second,
        }
        if len(self.setup.dataset.sources) > 1:  # how many cases of each, since the last row
            counts = self.setup.stream.source_counts(first, self.logged)
            values |= {f"cases_{name}": count for name, count in counts.items()}
        self.eyes = self.setup.stream.eye_speed()
        values |= self.eyes
        if not self.has_warned and (warning := warn_of_waiting(**self.eyes)):
            self.console.print(warning, style="bold yellow")
            self.has_warned = True
        self.writer.write(self.logged, values)
        return line(values)

    def diverged(self, step: int, row: dict[str, Any]) -> str:
        """What to tell when `step` gave no finite loss or gradient."""
        names = ", ".join(self.setup.stream.ids(step - 1))
        last = self.checkpoints.latest_step
        good = (
            "there is no checkpoint yet" if last is None else f"the last good checkpoint is {last}"
        )
        return (
            f"Step {step}: the loss is {row['loss']}, its gradient's norm {row['grad_norm']}. "
            f"Cases of the batch: {names}. In {self.workdir.checkpoints} {good}. Try a lower "
            "--config.optimizer.learning_rate or --config.optimizer.clip_norm=1"
            f"{'' if last is None else ' in a new workdir'}."
        )

    def validate(self, state: TrainState, step: int, epoch: int) -> None:
        """Evaluates on the validation cases, saves, and draws if this is the best so far."""
        best = self.checkpoints.best
        evaluation = self.setup.evaluate(state.variables(), self.setup.dataset.val)
        score = evaluation.score()
        values = {f"val_{task}_dice": evaluation.mean(task, "dice") for task in evaluation.tasks()}
        self.writer.write(step, values | {"val_score": score})
        self.save(state, step, score)
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        speed = f"{self.images_per_second:.1f} img/s"
        if self.eyes:
            speed += f", {self.eyes['eyes_per_second']:.1f} eyes/s can be made"
        is_best = best is None or score >= best[1]
        self.console.print(
            f"epoch {epoch:4d}/{self.setup.epochs}  step {step}  {numbers}"
            f"  ({speed}){'  best so far' if is_best else ''}"
        )
        if is_best:
            draw_overlays(
                self.setup,
                state.variables(),
                self.setup.dataset.val,
                self.workdir.overlays,
                self.config.eval.overlays,
                self.config.eval.threshold,
            )
        self.clock, self.clock_step = time.perf_counter(), step

    def save(self, state: TrainState, step: int, score: float | None) -> None:
        """Starts to write a checkpoint."""
        setup = self.setup
        meta = Description(setup.network, setup.fields, setup.dataset.slab)._asdict()
        self.checkpoints.save(step, state, meta, score)
