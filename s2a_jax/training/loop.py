"""The training loop.

A run keeps this order:

1. Restore the newest checkpoint, or make the first state.
2. For every step: update, log, take the next batch. Numbers are fetched one interval late, so that
   the devices never wait.
3. At the end of every epoch that is due, and after the last step: evaluate, then save.
4. After a signal: save, unless that was just done, and stop.
5. At the end: evaluate the best checkpoint, or the last; write results, pictures and weights.

A checkpoint of step k is all that a run needs to resume: batch k depends on the seed and k alone.

With several processes, all make the same steps; the first one alone writes files, except that each
writes its part of a checkpoint. Signals are agreed on after every tenth step.
"""

import contextlib
import shlex
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from s2a_jax import processes
from s2a_jax.config.recipes import defaults_of
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted
from s2a_jax.runs.environment import recorded
from s2a_jax.runs.metrics import MetricWriter, NoWriter
from s2a_jax.runs.workdir import Workdir
from s2a_jax.signals import Interrupt
from s2a_jax.training.checkpoint import Checkpoints
from s2a_jax.training.data_record import check_record, write_record
from s2a_jax.training.estimate import warn_if_slow
from s2a_jax.training.evaluator import count_cases
from s2a_jax.training.initial import Initial, read_initial, read_start
from s2a_jax.training.optimizer import OptimizerConfig
from s2a_jax.training.profile import Traced
from s2a_jax.training.results import draw_overlays, evaluation_settings, write_run_results
from s2a_jax.training.setup import Setup, batches, make_setup
from s2a_jax.training.state import TrainState, create_state
from s2a_jax.training.step_log import StepLog

_AGREE = 10  # steps after which processes tell each other about signals


def train(config: Any, workdir: Workdir, console: Console, *, profile: bool = False) -> int:
    """Trains or resumes, and evaluates the best or the last network at the end.

    Args:
        config: a resolved configuration.
        workdir: the folder of the run.
        console: for tables and sentences.
        profile: whether to write a trace of ten steps to the workdir.

    Returns:
        The exit code: 0, or 128 + the number of the signal that stopped the run.

    Raises:
        UserError: a configuration, data set or workdir that cannot be used, or the data set has
            changed since the run began.
        NonFiniteLossError: training has diverged.
    """
    with processes.together():
        workdir.check(config)  # before the data set is read
        evaluation_settings(config.eval)  # a mistake there should not wait for the end of the run
        resumes = workdir.has_checkpoint()
        start = None if resumes else read_start(config.model)  # before the network is traced
        setup = make_setup(config)
        initial = None
        if not resumes:
            initial = read_initial(
                config.model,
                start,
                setup.evaluator.description,
                setup.training.abstract,
                OptimizerConfig(**config.optimizer).frozen,
            )
    with _alone(workdir):
        return _train(config, setup, initial, workdir, console, profile)


def _train(
    config: Any,
    setup: Setup,
    initial: Initial | None,
    workdir: Workdir,
    console: Console,
    profile: bool,
) -> int:
    """Does the work of `train` in a workdir that no other run writes to.

    `initial` is None where a checkpoint holds the state.
    """
    training = setup.training
    with processes.together():
        if processes.is_first():
            cases = setup.dataset.fingerprints()
            if workdir.claim(config, defaults_of(config)):
                _check_data(config, workdir, cases, console)
            write_record(workdir, cases)  # an accepted change becomes the data of this run
    for note in setup.dataset.notes:
        console.print(note)
    with contextlib.closing(Checkpoints(workdir.checkpoints, console.print)) as checkpoints:
        start = checkpoints.latest_step or 0
        if checkpoints.latest_step is None:
            state = create_state(training.init, training.abstract, initial.values)
            if initial.note:
                console.print(initial.note)
        else:
            state = checkpoints.restore(checkpoints.latest_step, training.abstract)
        if start < training.total_steps:
            if not start and processes.is_first():  # an attempt that saved nothing may have left it
                workdir.environment.unlink(missing_ok=True)
            with _recorded(workdir, console), Interrupt(_promise()) as interrupt:
                run = _Run(config, setup, checkpoints, workdir, console)
                stopped_by = run.train(state, start, interrupt, profile)
            if stopped_by is not None:
                console.print(
                    f"Stopped by {stopped_by.name} after step {checkpoints.latest_step} of "
                    f"{training.total_steps}; everything is saved. Run the same command again to "
                    "resume."
                )
                return 128 + stopped_by
        else:
            untraced = "--profile has no step to trace, and " if profile else ""
            console.print(
                f"The run in {workdir.path} is finished; {untraced}evaluating its network."
            )
        write_run_results(config.eval, setup, checkpoints, workdir, console)
    processes.barrier()  # the first one has written everything
    return 0


def evaluate_workdir(config: Any, workdir: Workdir, console: Console) -> int:
    """Evaluates the best or last network of a workdir; `write_run_results` lists what it writes.

    Args:
        config: a resolved configuration.
        workdir: the folder of the run.
        console: for tables and sentences.

    Returns:
        The exit code, 0.

    Raises:
        UserError: a configuration, data set or workdir that cannot be used, the data set has
            changed since the run began, or there is no validated checkpoint yet.
    """
    with processes.together():
        if not workdir.has_checkpoint():
            remedy = "train it first"
            if workdir.weights.is_file():
                weights = shlex.quote(str(workdir.weights))
                remedy = f"python -m s2a_jax evaluate --weights {weights} --data DIR does"
            raise UserError(f"{workdir.path} has no checkpoint to evaluate: {remedy}.")
        workdir.check(config, trains=False)
        evaluation_settings(config.eval)
        setup = make_setup(config, trains=False)
    with (
        _alone(workdir),
        contextlib.closing(Checkpoints(workdir.checkpoints, console.print)) as checkpoints,
    ):
        with processes.together():
            if checkpoints.best is None and config.eval.choose == "best":
                raise UserError(f"{workdir.path} has no validated checkpoint yet: train on.")
            if processes.is_first():
                _check_data(config, workdir, setup.dataset.fingerprints(), console)
        write_run_results(config.eval, setup, checkpoints, workdir, console)
    processes.barrier()
    return 0


def _check_data(config: Any, workdir: Workdir, cases: Mapping[str, str], console: Console) -> None:
    """Raises a UserError if the cases have changed since the run began, unless that is accepted."""
    if note := check_record(workdir, cases, config.data.accept_changes):
        console.print(note, style="bold yellow")


@contextlib.contextmanager
def _alone(workdir: Workdir) -> Iterator[None]:
    """Keeps other runs out; the first process does so for all."""
    with contextlib.ExitStack() as stack:
        with processes.together():
            if processes.is_first():
                stack.enter_context(workdir.alone())
        yield


def _recorded(workdir: Workdir, console: Console) -> contextlib.AbstractContextManager[None]:
    if processes.is_first():
        return recorded(workdir.environment, console.print)
    return contextlib.nullcontext()


def _promise() -> str:
    """What happens after the first signal; one process says so."""
    if not processes.is_first():
        return ""
    when = "the step under way"
    if processes.count() > 1:
        when = f"at most {_AGREE} steps, as the processes agree"
    return f"Stopping after {when}; everything is saved then. Ctrl-C again stops at once."


def agreed_signal(mine: signal.Signals | None, step: int, is_due: bool) -> signal.Signals | None:
    """The signal after which all processes stop at this step; None to go on.

    Args:
        mine: the signal that this process has received.
        step: updates made.
        is_due: whether the processes meet at this step anyway, for a validation.
    """
    if processes.count() == 1:
        return mine
    if not is_due and step % _AGREE:
        return None
    received = processes.gathered("" if mine is None else mine.name)
    return next((signal.Signals[name] for name in received if name), None)


class _Run:
    """Steps, validations and checkpoints of one call of `train`."""

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

    def train(
        self, state: TrainState, start: int, interrupt: Interrupt, profile: bool
    ) -> signal.Signals | None:
        """Makes all steps after `start`, or those until a signal, which is returned."""
        training, every = self.setup.training, self.config.log.every_steps
        stream = batches(training, start)
        batch = next(stream)
        self.announce(batch, start)
        update = processes.compiled_together(training.step)
        writer, ends = NoWriter(start), contextlib.ExitStack()
        if profile and processes.is_first():
            update = Traced(update, start, self.workdir.profile, self.console)
            ends.callback(update.close)
        if processes.is_first():
            writer = MetricWriter(self.workdir.metrics, self.workdir.events, start)
        if writer.dropped:
            self.console.print(
                f"{self.workdir.metrics} had {counted(writer.dropped, 'line')} that could not be "
                "read; dropped."
            )
        batch_size = self.config.train.batch_size
        log = StepLog(self.setup, self.checkpoints, writer, self.console, start, batch_size, every)
        progress, bar = self.make_bar(start)
        with contextlib.closing(writer), ends, progress:
            for step in range(start + 1, training.total_steps + 1):
                state, metrics = update(state, batch)
                log.add(metrics)
                epoch, within = divmod(step, training.steps_per_epoch)
                if step % every == 0:
                    progress.update(bar, numbers=log.fetch(step, late=every) or "", epoch=epoch)
                progress.update(bar, completed=step)
                if step == start + 1:
                    jax.block_until_ready(state.step)
                    log.restart_clock(step)  # compilation does not count
                is_last = step == training.total_steps
                is_due = is_last or (within == 0 and epoch % self.config.eval.every_epochs == 0)
                stopped_by = agreed_signal(interrupt.signal, step, is_due)
                if is_due:
                    log.fetch(step, is_validated=True)
                    self.validate(state, step, epoch, writer, log)
                elif stopped_by is not None:
                    log.fetch(step)
                    self.save(state, step, score=None)
                if stopped_by is not None:
                    return stopped_by
                if not is_last:
                    batch = next(stream)
        return None

    def announce(self, batch: dict[str, jax.Array], start: int) -> None:
        """Prints what is trained where, and a warning if it will take long."""
        training, console = self.setup.training, self.console
        if start:
            console.print(f"Resuming from step {start} of {training.total_steps}.")
        parameters = sum(leaf.size for leaf in jax.tree.leaves(training.abstract.params))
        console.print(
            f"{self.config.model.name} {self.config.model.variant}: {parameters / 1e6:.2f} M "
            f"parameters; {counted(training.epochs, 'epoch')} of "
            f"{counted(training.steps_per_epoch, 'step')}, batch "
            f"{self.config.train.batch_size}, on {training.mesh.size} "
            f"{jax.devices()[0].device_kind} device(s)."
        )
        is_first = processes.is_first()
        left = training.total_steps - start
        if is_first and (warning := warn_if_slow(training, batch, left)):
            console.print(warning, style="bold yellow")
        console.print("Compiling the first step ...")

    def make_bar(self, start: int) -> tuple[Progress, Any]:
        """A progress bar, shown on terminals only, and its task."""
        training = self.setup.training
        progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        epoch = start // training.steps_per_epoch
        total = training.total_steps
        return progress, progress.add_task(
            "", total=total, completed=start, epoch=epoch, numbers=""
        )

    def validate(
        self, state: TrainState, step: int, epoch: int, writer: MetricWriter, log: StepLog
    ) -> None:
        """Evaluates on the validation cases, saves, and draws if this is the best so far."""
        best, variables, val = self.checkpoints.best, state.variables(), self.setup.dataset.val
        evaluation = count_cases(self.setup.evaluator, variables, val)
        score = evaluation.score()
        values = {f"val_{task}_dice": evaluation.mean(task, "dice") for task in evaluation.tasks()}
        writer.write(step, values | {"val_score": score})
        self.save(state, step, score)
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        speed = f"{log.images_per_second:.1f} img/s"
        if log.eyes:
            speed += f", {log.eyes['eyes_per_second']:.1f} eyes/s can be made"
        is_best = best is None or score >= best[1]
        self.console.print(
            f"epoch {epoch:4d}/{self.setup.training.epochs}  step {step}  {numbers}"
            f"  ({speed}){'  best so far' if is_best else ''}"
        )
        if is_best:
            draw_overlays(
                self.setup.evaluator,
                variables,
                val,
                self.workdir.overlays,
                number=self.config.eval.overlays,
                threshold=self.config.eval.threshold,
            )
        log.restart_clock(step)  # evaluation does not count

    def save(self, state: TrainState, step: int, score: float | None) -> None:
        """Starts to write a checkpoint."""
        meta = self.setup.evaluator.description._asdict()
        self.checkpoints.save(step, state, meta, score)
