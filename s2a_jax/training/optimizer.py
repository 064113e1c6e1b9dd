"""Learning-rate schedules and optimizers by name."""

import dataclasses
from collections.abc import Container
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from s2a_jax.errors import UserError

ENCODER = "encoder"
"""Name of the encoder among a network's modules; a network may have none."""


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The `optimizer` section of a configuration.

    Attributes:
        name: `adam`, `adamw` or `sgd` (plain, without momentum).
        learning_rate: peak learning rate.
        schedule: `poly_epoch`, the reference's: after each epoch from 0 on, the rate becomes
            lr * (1 - epoch / epochs) ** power, so epochs 0 and 1 both have the full rate; or
            `cosine`, a linear warm-up and then a half cosine to 0, step by step.
        power: exponent of `poly_epoch`.
        warmup_fraction: share of all steps that `cosine` warms up for, in [0, 1).
        b1, b2, eps: constants of Adam.
        weight_decay: decoupled weight decay of `adamw`.
        clip_norm: largest global norm of the gradient; 0 is off.
        encoder_rate: factor of the learning rate for the parameters below `encoder`; with 0 they
            stay as they are: see `frozen`.
    """

    name: str = "adam"
    learning_rate: float = 0.01
    schedule: str = "poly_epoch"
    power: float = 0.9
    warmup_fraction: float = 0.03
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 1e-4
    clip_norm: float = 0.0
    encoder_rate: float = 1.0

    @property
    def frozen(self) -> tuple[str, ...]:
        """Top-level modules whose parameters stay; the optimizer does not see them."""
        return () if self.encoder_rate else (ENCODER,)


def make_schedule(config: OptimizerConfig, steps_per_epoch: int, epochs: int) -> optax.Schedule:
    """The learning rate as a function of the step.

    Raises:
        UserError: an unknown `schedule`.
    """
    total = steps_per_epoch * epochs
    match config.schedule:
        case "poly_epoch":

            def poly_epoch(step: Array) -> Array:
                finished = step // steps_per_epoch - 1  # the epoch whose end set the rate
                # The clip keeps epoch 0 at the full rate, and steps past the last epoch from NaN.
                remaining = jnp.clip(1 - finished / epochs, 0, 1)
                return config.learning_rate * remaining**config.power

            return poly_epoch
        case "cosine":
            warmup = max(1, round(config.warmup_fraction * total))
            return optax.warmup_cosine_decay_schedule(
                0.0, config.learning_rate, warmup, max(total, warmup + 1)
            )
        case _:
            raise UserError(
                f"config.optimizer.schedule={config.schedule!r}: expected 'poly_epoch' or 'cosine'."
            )


def make_optimizer(
    config: OptimizerConfig, schedule: optax.Schedule
) -> optax.GradientTransformation:
    """The optimizer with the name `config.name`.

    Raises:
        UserError: an unknown `name`.
    """
    match config.name:
        case "adam":
            update = optax.adam(schedule, config.b1, config.b2, config.eps)
        case "adamw":
            update = optax.adamw(
                schedule, config.b1, config.b2, config.eps, weight_decay=config.weight_decay
            )
        case "sgd":
            update = optax.sgd(schedule)
        case _:
            raise UserError(
                f"config.optimizer.name={config.name!r}: expected 'adam', 'adamw' or 'sgd'."
            )
    if config.encoder_rate not in (0, 1):
        update = optax.chain(update, _scaled_encoder(config.encoder_rate))
    if config.clip_norm:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), update)
    return update


def check_encoder_rate(rate: float, model: Any, modules: Container[str]) -> None:
    """Checks that there is an encoder to slow down, and that a frozen one has learned something.

    Args:
        rate: `encoder_rate`.
        model: the `model` section of a configuration.
        modules: the network's top-level modules.

    Raises:
        UserError: there is none, or a frozen one would keep its random values.
    """
    field = f"config.optimizer.encoder_rate={rate:g}"
    if rate != 1 and ENCODER not in modules:
        raise UserError(
            f"{field}: {model.name} has no part that is its encoder (s2anet, transunet and unet "
            "have one); leave it at 1."
        )
    if rate == 0 and not (model.start_from or model.pretrained):
        raise UserError(
            f"{field} would keep the encoder's random initial values; set config.model.start_from "
            "or config.model.pretrained as well."
        )


def _scaled_encoder(factor: float) -> optax.GradientTransformation:
    """Multiplies the updates below `encoder`."""

    def scale(updates: dict[str, Any], _: Any) -> dict[str, Any]:
        return {
            name: jax.tree.map(lambda u: factor * u, part) if name == ENCODER else part
            for name, part in updates.items()
        }

    return optax.stateless(scale)
