"""A network as evaluation uses it: compiled for batches that lie on all devices."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from jax import Array
from jax.sharding import Mesh

from s2a_jax import processes
from s2a_jax.convert.weights import Description
from s2a_jax.data.cases import Cases
from s2a_jax.data.pipeline import evaluation_batches
from s2a_jax.evaluation.counts import Evaluation, count_pixels, evaluate
from s2a_jax.training.sharding import batch_sharding, put_batch, replicated
from s2a_jax.training.step import predict_step, unpack


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluator:
    """One network without its variables, ready to be evaluated.

    Attributes:
        description: the network's name, its hyper-parameters and its slab.
        slabs: names of the images' channels if a case has several slabs; else ().
        mesh: the devices.
        batch_size: cases in an evaluation batch.
        count: jitted (variables, batch) -> pixel counts at one threshold.
        predict: jitted (variables, images of `step.predict_step`) -> probabilities.
        predict_batch: the same for the images of an evaluation batch; both lie split over all
            devices.
    """

    description: Description
    slabs: tuple[str, ...]
    mesh: Mesh
    batch_size: int
    count: Callable[..., dict[str, dict[str, Array]]]
    predict: Callable[..., dict[str, Array]]
    predict_batch: Callable[..., dict[str, Array]]


def make_evaluator(
    module: nn.Module,
    description: Description,
    slabs: tuple[str, ...],
    mesh: Mesh,
    *,
    batch_size: int,
    threshold: float,
) -> Evaluator:
    """Prepares a network for evaluation; each function is compiled at its first call.

    Args:
        module: the network.
        description: what to store beside its weights.
        slabs: as in `Evaluator`.
        mesh: the devices.
        batch_size: a multiple of their number.
        threshold: probability from which `count` takes a pixel as positive.
    """
    predict = functools.partial(predict_step, module=module, mesh=mesh)

    def count(variables: Any, batch: dict[str, Array]) -> dict[str, dict[str, Array]]:
        probability = predict(variables, batch["image"])
        _, masks = unpack(batch)
        truth = {"rv": masks[..., 0], "faz": masks[..., 1]}
        return count_pixels(probability, truth, threshold)

    split, whole = batch_sharding(mesh), replicated(mesh)
    return Evaluator(
        description,
        slabs,
        mesh,
        batch_size,
        count=processes.compiled_together(
            jax.jit(count, in_shardings=(None, split), out_shardings=whole)
        ),
        predict=processes.compiled_together(jax.jit(predict, out_shardings=whole)),
        predict_batch=processes.compiled_together(
            jax.jit(predict, in_shardings=(None, split), out_shardings=split)
        ),
    )


def count_cases(evaluator: Evaluator, variables: Any, cases: Cases) -> Evaluation:
    """Counts the pixels of all `cases`."""
    batches = evaluation_batches(cases, evaluator.batch_size, processes.index(), processes.count())
    placed = (
        (part, put_batch(batch, evaluator.mesh)) for part, batch in processes.read_together(batches)
    )
    present = {"rv": cases.has_rv, "faz": cases.has_faz}
    return evaluate(placed, functools.partial(evaluator.count, variables), cases.ids, present)
