"""Scheduled weights of the two tasks: the sinusoidal dynamic weight balancing (DWB).

Each balancer maps the progress of training and the two losses to alpha, the vessels' weight; the
avascular zone has 1 - alpha. `progress` = epoch / total epochs in [0, 1) is a traced scalar, so
one compiled step serves all epochs.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax.numpy as jnp
from jax import Array

Balancer = Callable[[Array, Array], Array]
"""(progress, ratio) -> alpha, where ratio = (L_rv - L_faz) / (L_rv + L_faz), in [-1, 1]."""


def dwb(progress: Array, ratio: Array) -> Array:
    """0.1 + 0.8 sin(pi t / 2) + 0.1 ratio: from the avascular zone to the vessels."""
    return 0.1 + 0.8 * jnp.sin(progress * jnp.pi / 2) + 0.1 * ratio


def dwb_half_sine(progress: Array, ratio: Array) -> Array:
    """0.5 + 0.4 sin(pi t - pi / 2) + 0.1 ratio: the older form, slow at both ends."""
    return 0.5 + 0.4 * jnp.sin(jnp.pi * progress - jnp.pi / 2) + 0.1 * ratio


BALANCERS: Mapping[str, Balancer] = MappingProxyType({"dwb": dwb, "dwb_half_sine": dwb_half_sine})
"""Name -> scheduled balancer."""

BALANCES = (*BALANCERS, "fixed", "uncertainty", "dwa")
"""Values of `config.objective.balance`."""


def loss_ratio(loss_rv: Array, loss_faz: Array, both_present: Array) -> Array:
    """(L_rv - L_faz) / (L_rv + L_faz), in [-1, 1].

    Args:
        loss_rv: loss of the vessels, >= 0.
        loss_faz: loss of the avascular zone, >= 0.
        both_present: whether the batch has masks for both tasks; otherwise the losses cannot be
            compared.

    Returns:
        The ratio; 0 if it is undefined, because a task has no mask or both losses are 0.
    """
    total = loss_rv + loss_faz
    defined = both_present & (total > 0)
    # The inner where keeps the gradient finite if the outer one discards the value.
    return jnp.where(defined, (loss_rv - loss_faz) / jnp.where(defined, total, 1), 0)
