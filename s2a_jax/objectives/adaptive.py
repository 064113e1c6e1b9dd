"""Balancers that carry something from step to step: learned uncertainty and DWA.

What they carry is a dict of small arrays, each [2] (vessels, avascular zone), that lives in the
train state; every function here is pure and is traced once for all epochs.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

DWA_TEMPERATURE = 2.0
"""T of DWA, as its authors use it; larger is closer to equal weights."""


def start_uncertainty() -> dict[str, Array]:
    """Both tasks' log-variances s = log sigma^2 at 0: equal weights."""
    return {"log_variance": jnp.zeros(2)}


def uncertainty_loss(losses: Array, any_present: Array, log_variance: Array) -> Array:
    """Sum of exp(-s) L + s / 2 over the tasks that the batch has masks for.

    Kendall, Gal, Cipolla: Multi-task learning using uncertainty to weigh losses, CVPR 2018, with
    the form for classification, L / sigma^2 + log sigma. It may be negative. For a constant loss
    the best variance is 2 L.

    Args:
        losses: [2], each >= 0.
        any_present: bool [2]; the variance of a task without masks has no gradient.
        log_variance: [2].
    """
    terms = jnp.exp(-log_variance) * losses + log_variance / 2
    return jnp.sum(jnp.where(any_present, terms, 0))


def uncertainty_alpha(log_variance: Array) -> Array:
    """The vessels' share of both weights exp(-s), in (0, 1)."""
    return jax.nn.softmax(-log_variance)[0]


def start_dwa() -> dict[str, Array]:
    """Nothing seen yet: sums and numbers of losses of this epoch, means of the last two."""
    return {name: jnp.zeros(2) for name in ("sum", "count", "last", "before_last")}


def dwa_alpha(memory: Mapping[str, Array]) -> Array:
    """The vessels' share: softmax over the tasks of (L_last / L_before_last) / T.

    Liu, Johns, Davison: End-to-end multi-task learning with attention, CVPR 2019. A task's ratio is
    1 until two epochs have been seen, as there. Their weights sum to the number of tasks; here to
    1, as with every other balancer.
    """
    known = (memory["last"] > 0) & (memory["before_last"] > 0)
    ratio = jnp.where(known, memory["last"] / jnp.where(known, memory["before_last"], 1), 1)
    return jax.nn.softmax(ratio / DWA_TEMPERATURE)[0]


def dwa_update(
    memory: Mapping[str, Array], losses: Array, any_present: Array, ends_epoch: Array
) -> dict[str, Array]:
    """The memory after one step.

    Args:
        memory: as from `start_dwa`.
        losses: [2]: the step's losses.
        any_present: bool [2]: tasks without masks in the batch are not averaged.
        ends_epoch: bool scalar: whether this is the last step of its epoch. A task without a single
            mask in the epoch keeps its older means.
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
