"""Balancers with a memory from step to step: learned uncertainty and DWA.

The memory is a dict of small arrays, each [2] (vessels, avascular zone), in the train state. Every
function is pure and is traced once for all epochs.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

DWA_TEMPERATURE = 2.0
"""T of DWA, its authors' value; a larger one gives more equal weights."""


def start_uncertainty() -> dict[str, Array]:
    """Initial log-variances s = log sigma^2 = 0: equal weights."""
    return {"log_variance": jnp.zeros(2)}


def uncertainty_loss(losses: Array, any_present: Array, log_variance: Array) -> Array:
    """Sum of exp(-s) L + s / 2 over the tasks that the batch has masks for.

    Kendall, Gal, Cipolla: Multi-task learning using uncertainty to weigh losses, CVPR 2018, in the
    form for classification, L / sigma^2 + log sigma. The sum may be negative. For a constant loss
    the best variance is 2 L.

    Args:
        losses: [2], each >= 0.
        any_present: bool [2]; the variance of a task without masks has no gradient.
        log_variance: s, [2].
    """
    terms = jnp.exp(-log_variance) * losses + log_variance / 2
    return jnp.sum(jnp.where(any_present, terms, 0))


def uncertainty_alpha(log_variance: Array) -> Array:
    """The vessels' share of both weights exp(-s), in (0, 1)."""
    return jax.nn.softmax(-log_variance)[0]


def start_dwa() -> dict[str, Array]:
    """Initial memory: sum and number of this epoch's losses, and means of the last two epochs."""
    return {name: jnp.zeros(2) for name in ("sum", "count", "last", "before_last")}


def dwa_alpha(memory: Mapping[str, Array]) -> Array:
    """The vessels' share: softmax over the tasks of (L_last / L_before_last) / T.

    Liu, Johns, Davison: End-to-end multi-task learning with attention, CVPR 2019. As there, a
    task's ratio is 1 until two epochs are complete. There the weights sum to the number of tasks,
    here to 1 as with every other balancer.
    """
    known = (memory["last"] > 0) & (memory["before_last"] > 0)
    ratio = jnp.where(known, memory["last"] / jnp.where(known, memory["before_last"], 1), 1)
    return jax.nn.softmax(ratio / DWA_TEMPERATURE)[0]


def dwa_update(
    memory: Mapping[str, Array], losses: Array, any_present: Array, ends_epoch: Array
) -> dict[str, Array]:
    """The memory after one step.

    Args:
        memory: from `start_dwa` or the step before.
        losses: the step's losses, [2].
        any_present: bool [2]; the mean leaves out a task without masks in the batch.
        ends_epoch: bool scalar: whether this is the last step of its epoch. A task without any mask
            in the epoch keeps its means.
    """
    total = memory["sum"] + jnp.where(any_present, losses, 0)
    count = memory["count"] + any_present
    moves = ends_epoch & (count > 0)
    return {
        "sum": jnp.where(ends_epoch, 0, total),
        "count": jnp.where(ends_epoch, 0, count),
        "last": jnp.where(moves, total / jnp.maximum(count, 1), memory["last"]),
        "before_last": jnp.where(moves, memory["last"], memory["before_last"]),
    }
