"""From a resolved configuration to the data, functions and shapes that a run consists of."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import optax
from jax import Array
from jax.sharding import Mesh

from s2a_jax import processes
from s2a_jax.config.ranges import check_ranges
from s2a_jax.convert.weights import Description
from s2a_jax.data.load import RunData, data_slabs, image_size, load_run_data
from s2a_jax.data.pipeline import TrainStream
from s2a_jax.data.survey import Share
from s2a_jax.errors import UserError
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.objectives.balancing import BALANCES
from s2a_jax.objectives.joint import Objective
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.evaluator import Evaluator, make_evaluator
from s2a_jax.training.forward import check_remat
from s2a_jax.training.optimizer import (
    OptimizerConfig,
    check_encoder_rate,
    make_optimizer,
    make_schedule,
)
from s2a_jax.training.sharding import (
    batch_sharding,
    check_divisible,
    make_mesh,
    put_batch,
    replicated,
)
from s2a_jax.training.state import TrainState, abstract_state
from s2a_jax.training.step import train_step


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """What the training steps of a run need.

    Attributes:
        mesh: the devices.
        init: makes the first state, without arguments.
        abstract: shapes and shardings of the state.
        step: jitted (state, batch) -> (state, metrics); reuses the memory of the old state.
        stream: training batches.
        schedule: learning rate by step.
        steps_per_epoch: updates in an epoch.
        epochs: epochs in the run.
    """

    mesh: Mesh
    init: Callable[[], TrainState]
    abstract: TrainState
    step: Callable[..., tuple[TrainState, dict[str, Array]]]
    stream: TrainStream
    schedule: optax.Schedule
    steps_per_epoch: int
    epochs: int

    @property
    def total_steps(self) -> int:
        """Updates in the run."""
        return self.steps_per_epoch * self.epochs


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """One run's parts.

    Attributes:
        dataset: the cases.
        training: what the training steps need.
        evaluator: what evaluations of the network need.
    """

    dataset: RunData
    training: Training
    evaluator: Evaluator


def make_setup(config: Any, *, trains: bool = True) -> Setup:
    """Checks a configuration, reads the data set and makes all parts of the run.

    Args:
        config: a resolved configuration.
        trains: whether there will be steps, which need a full batch of training cases.

    Raises:
        UserError: a field, folder or file that cannot be used.
    """
    check_ranges(config)
    mesh = make_mesh(config.mesh.data, config.mesh.fsdp)
    eval_batch_size = config.eval.batch_size or mesh.size
    check_divisible(
        config.train.batch_size, mesh, "config.train.batch_size", config.train.accumulate
    )
    check_divisible(eval_batch_size, mesh, "config.eval.batch_size")
    check_remat(config.train.remat)
    augmentation = Augmentation(**config.augment)
    objective = Objective(**config.objective)
    if objective.balance not in BALANCES:
        raise UserError(
            f"config.objective.balance={objective.balance!r}: expected one of "
            f"{', '.join(BALANCES)}."
        )
    fields = network_fields_of(config)
    module = build_network(config.model.name, fields)
    dataset = load_run_data(
        config.data,
        Share(processes.index(), processes.count(), processes.exchanged),
        config.seed,
        config.eval.um_per_px,
    )
    if not len(dataset.val):
        raise UserError("The data set has no validation cases to choose the best network by.")
    if trains:
        check_batch(config.train.batch_size, dataset)  # before the network is traced
    training = _make_training(config, module, augmentation, objective, dataset, mesh)
    evaluator = make_evaluator(
        module,
        Description(
            config.model.name, fields, dataset.slab, dataset.pitches_um, dataset.trained_tasks()
        ),
        dataset.slabs,
        mesh,
        batch_size=eval_batch_size,
        threshold=config.eval.threshold,
    )
    return Setup(dataset, training, evaluator)


def _make_training(
    config: Any,
    module: nn.Module,
    augmentation: Augmentation,
    objective: Objective,
    dataset: RunData,
    mesh: Mesh,
) -> Training:
    batch_size, epochs = config.train.batch_size, config.train.epochs
    steps_per_epoch = dataset.steps_per_epoch(batch_size)
    optimizer_config = OptimizerConfig(**config.optimizer)
    schedule = make_schedule(optimizer_config, steps_per_epoch, epochs)
    optimizer = make_optimizer(optimizer_config, schedule)
    init, abstract = abstract_state(
        module,
        optimizer,
        check_crop(augmentation.crop, dataset.size),
        mesh,
        seed=config.seed,
        ema=config.train.ema_decay > 0,
        channels=len(dataset.slabs) or 1,
        objective=objective,
        frozen=optimizer_config.frozen,
    )
    check_encoder_rate(optimizer_config.encoder_rate, config.model, abstract.params)
    step = functools.partial(
        train_step,
        module=module,
        optimizer=optimizer,
        objective=objective,
        augmentation=augmentation,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        ema_decay=config.train.ema_decay,
        mesh=mesh,
        remat=config.train.remat,
        accumulate=config.train.accumulate,
        frozen=optimizer_config.frozen,
    )
    return Training(
        mesh=mesh,
        init=init,
        abstract=abstract,
        step=jit_step(step, abstract, mesh),
        stream=TrainStream(
            dataset.train,
            dataset.sources,
            batch_size,
            config.seed,
            processes.index(),
            processes.count(),
            dataset.eyes,
        ),
        schedule=schedule,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
    )


def jit_step(step: Callable[..., Any], abstract: TrainState, mesh: Mesh) -> Callable[..., Any]:
    """One program for all devices, which reuses the memory of the old state.

    Args:
        step: (state, batch) -> (state, metrics).
        abstract: shapes and shardings of the state.
        mesh: the devices.
    """
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    # jit with in_shardings and out_shardings is today's pjit.
    return jax.jit(
        step,
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )


def batches(training: Training, step: int) -> Iterator[dict[str, Array]]:
    """Training batches `step`, `step + 1`, ..., on the devices."""
    return (put_batch(batch, training.mesh) for batch in training.stream.starting_at(step))


def network_fields_of(config: Any) -> dict[str, Any]:
    """Every field of the configured network; does not read the data set.

    Raises:
        UserError: a field that cannot be used.
    """
    side = check_crop(config.augment.crop, image_size(config.data))
    return network_fields(config.model, side, data_slabs(config.data))


def check_crop(crop: int, size: int) -> int:
    """Side in pixels of the images that the network is trained on.

    Args:
        crop: side of a random crop; 0: whole images.
        size: side of the whole images.

    Raises:
        UserError: there is no such crop.
    """
    side = crop or size
    if not 16 <= side <= size or side % 16:
        raise UserError(
            f"config.augment.crop={side}: expected 0 or a multiple of 16 up to the images' {size}."
        )
    return side


def check_batch(batch_size: int, dataset: RunData) -> None:
    """Raises a UserError if a batch is larger than all training cases of all sources together."""
    cases = sum(len(part) for part, _ in dataset.sources.values())  # streamed eyes are no arrays
    if batch_size > cases:
        raise UserError(
            f"config.train.batch_size={batch_size} is more than the {cases} training cases of a "
            "pass; choose a smaller one."
        )
