"""From a resolved configuration to the functions and arrays that a run consists of."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh

from s2a_jax.config.ranges import check_ranges
from s2a_jax.convert.imagenet import encoder_shapes, pretrained_encoder
from s2a_jax.data.cases import CaseSet
from s2a_jax.data.dataset import Dataset, data_slabs, image_size, load_dataset
from s2a_jax.data.pipeline import TrainStream, evaluation_batches
from s2a_jax.errors import UserError
from s2a_jax.evaluation.counts import Evaluation, count_pixels, evaluate
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.objectives.balancing import BALANCES
from s2a_jax.objectives.joint import Objective
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.optimizer import OptimizerConfig, make_optimizer, make_schedule
from s2a_jax.training.sharding import (
    batch_sharding,
    check_divisible,
    make_mesh,
    put_batch,
    replicated,
)
from s2a_jax.training.state import TrainState, abstract_state
from s2a_jax.training.step import predict_step, train_step, unpack


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """One run's parts, all made from the configuration.

    Attributes:
        dataset: decoded cases.
        mesh: the devices.
        network: name of the network.
        fields: its hyper-parameters, as JSON values.
        module: the network.
        steps_per_epoch: updates in an epoch.
        epochs: epochs in the run.
        schedule: learning rate by step.
        init: makes the first state, without arguments.
        abstract: shapes and shardings of the state.
        train_step: jitted (state, batch) -> (state, metrics); the old state's memory is reused.
        stream: training batches.
        count: jitted (variables, batch) -> pixel counts.
        predict: jitted (variables, images of `step.predict_step`) -> probabilities.
        predict_batch: the same for an evaluation batch that lies on all devices.
        eval_batch_size: cases in an evaluation batch.
    """

    dataset: Dataset
    mesh: Mesh
    network: str
    fields: dict[str, Any]
    module: nn.Module
    steps_per_epoch: int
    epochs: int
    schedule: optax.Schedule
    init: Callable[[], TrainState]
    abstract: TrainState
    train_step: Callable[..., tuple[TrainState, dict[str, Array]]]
    stream: TrainStream
    count: Callable[..., dict[str, dict[str, Array]]]
    predict: Callable[..., dict[str, Array]]
    predict_batch: Callable[..., dict[str, Array]]
    eval_batch_size: int

    @property
    def total_steps(self) -> int:
        """Updates in the run."""
        return self.steps_per_epoch * self.epochs

    def batches(self, step: int) -> Iterator[dict[str, Array]]:
        """Training batches from `step` on, on the devices."""
        return (put_batch(batch, self.mesh) for batch in self.stream.starting_at(step))

    def evaluate(self, variables: Any, cases: CaseSet) -> Evaluation:
        """Counts pixels of all `cases`."""
        batches = evaluation_batches(
            cases, self.eval_batch_size, jax.process_index(), jax.process_count()
        )
        placed = ((part, put_batch(batch, self.mesh)) for part, batch in batches)
        present = {"rv": cases.has_rv, "faz": cases.has_faz}
        return evaluate(placed, functools.partial(self.count, variables), cases.ids, present)


def make_setup(config: Any) -> Setup:
    """Builds everything; reads the data set.

    Args:
        config: a configuration in which no recipe's field is None.

    Raises:
        UserError: a field, folder or file that cannot be used.
    """
    check_ranges(config)
    mesh = make_mesh(config.mesh.data, config.mesh.fsdp)
    batch_size, eval_batch_size = config.train.batch_size, config.eval.batch_size or mesh.size
    check_divisible(batch_size, mesh, "config.train.batch_size")
    check_divisible(eval_batch_size, mesh, "config.eval.batch_size")
    size = image_size(config.data)
    augmentation = Augmentation(**config.augment)
    side = check_crop(augmentation.crop, size)
    objective = Objective(**config.objective)
    if objective.balance not in BALANCES:
        raise UserError(
            f"config.objective.balance={objective.balance!r}: expected one of "
            f"{', '.join(BALANCES)}."
        )
    slabs = data_slabs(config.data)
    fields = network_fields(config.model, side, slabs)
    module = build_network(config.model.name, fields)
    dataset = load_dataset(config.data)
    if not len(dataset.val):
        raise UserError("The data set has no validation cases to choose the best network by.")

    steps_per_epoch = dataset.steps_per_epoch(batch_size)
    optimizer_config = OptimizerConfig(**config.optimizer)
    schedule = make_schedule(optimizer_config, steps_per_epoch, config.train.epochs)
    optimizer = make_optimizer(optimizer_config, schedule)
    ema_decay = config.train.ema_decay
    init, abstract = abstract_state(
        module,
        optimizer,
        side,
        mesh,
        seed=config.seed,
        ema=ema_decay > 0,
        channels=len(slabs) or 1,
        objective=objective,
    )
    step = functools.partial(
        train_step,
        module=module,
        optimizer=optimizer,
        objective=objective,
        augmentation=augmentation,
        steps_per_epoch=steps_per_epoch,
        epochs=config.train.epochs,
        ema_decay=ema_decay,
    )

    def count(variables: Any, batch: dict[str, Array]) -> dict[str, dict[str, Array]]:
        probability = predict_step(variables, batch["image"], module=module)
        _, masks = unpack(batch)
        truth = {"rv": masks[..., 0], "faz": masks[..., 1]}
        return count_pixels(probability, truth, config.eval.threshold)

    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    over_batch, everywhere = batch_sharding(mesh), replicated(mesh)
    return Setup(
        dataset=dataset,
        mesh=mesh,
        network=config.model.name,
        fields=fields,
        module=module,
        steps_per_epoch=steps_per_epoch,
        epochs=config.train.epochs,
        schedule=schedule,
        init=init,
        abstract=abstract,
        # jit with in_shardings and out_shardings is today's pjit.
        train_step=jax.jit(
            step,
            in_shardings=(shardings, over_batch),
            out_shardings=(shardings, everywhere),
            donate_argnums=0,
        ),
        stream=TrainStream(
            dataset.train,
            dataset.sources,
            batch_size,
            config.seed,
            jax.process_index(),
            jax.process_count(),
            dataset.eyes,
        ),
        count=jax.jit(count, in_shardings=(None, over_batch), out_shardings=everywhere),
        predict=jax.jit(functools.partial(predict_step, module=module)),
        predict_batch=jax.jit(
            functools.partial(predict_step, module=module),
            in_shardings=(None, over_batch),
            out_shardings=everywhere,
        ),
        eval_batch_size=eval_batch_size,
    )


def network_fields_of(config: Any) -> dict[str, Any]:
    """Every field of the configured network, without reading the data set.

    Raises:
        UserError: a field that cannot be used.
    """
    side = check_crop(config.augment.crop, image_size(config.data))
    return network_fields(config.model, side, data_slabs(config.data))


def check_crop(crop: int, size: int) -> int:
    """Side of what the network is trained on; raises a UserError if `crop` cannot be."""
    side = crop or size
    if not 16 <= side <= size or side % 16:
        raise UserError(
            f"config.augment.crop={side}: expected 0 or a multiple of 16 up to the images' {size}."
        )
    return side


def check_batch(batch_size: int, dataset: Dataset) -> None:
    """Raises a UserError if a batch is larger than all training cases, of all sources together."""
    cases = sum(len(part) for part, _ in dataset.sources.values())  # streamed eyes are no arrays
    if batch_size > cases:
        raise UserError(
            f"config.train.batch_size={batch_size} is more than the {cases} training cases of a "
            "pass; choose a smaller one."
        )


def read_pretrained(file: str | None, setup: Setup) -> dict[str, np.ndarray]:
    """The encoder's parameters that `config.model.pretrained` names; nothing if it is not set.

    Returns:
        Path below `params/encoder` -> array.

    Raises:
        UserError: the network has no such encoder, or the file does not fit.
    """
    if not file:
        return {}
    if "hidden" not in setup.fields:
        raise UserError(
            f"config.model.pretrained: {setup.network} has no hybrid encoder; s2anet and transunet "
            "have."
        )
    if len(setup.dataset.slabs) not in (0, 3):
        raise UserError(
            "config.model.pretrained: ImageNet's weights have three input channels; name one slab "
            "or three in config.data.slab."
        )
    shapes = encoder_shapes(setup.abstract.params)
    fields = setup.fields
    return pretrained_encoder(Path(file).expanduser(), shapes, fields["grid"], fields["num_heads"])
