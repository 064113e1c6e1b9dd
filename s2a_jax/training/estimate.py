"""How long a run will take on a CPU, before it starts, and what it waits for."""

import time
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2a_jax.training.setup import Setup

_LONG = 2 * 3600  # seconds; a run that takes longer deserves a warning
_MUCH_WAITING = 0.2  # of the time


def warn_if_slow(setup: Setup, batch: dict[str, Any], steps: int) -> str | None:
    """A sentence about the run's length if it is long and there is no accelerator.

    The operations of a step are counted from its program, and a convolution with its gradients is
    timed on this machine; the true time is commonly within a factor of two.

    Args:
        setup: the run.
        batch: one batch, for its shapes.
        steps: updates still to make.
    """
    if jax.default_backend() != "cpu":
        return None
    cost = setup.train_step.lower(setup.abstract, batch).cost_analysis()
    rate = _operations_per_second()
    seconds = steps * cost["flops"] / rate
    if seconds < _LONG:
        return None
    hours = seconds / 3600
    duration = f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
    return (
        f"No accelerator: {steps} steps of {cost['flops'] / 1e9:.0f} GFLOP will take about "
        f"{duration} at the {rate / 1e9:.0f} GFLOP/s measured here. "
        "--config.model.variant=small is meant for a CPU."
    )


def warn_of_waiting(eyes_per_second: float = 0.0, waiting_for_eyes: float = 0.0) -> str | None:
    """A sentence if the network waits for synthetic eyes much of the time.

    Args:
        eyes_per_second: that can be made.
        waiting_for_eyes: share of the time.
    """
    if waiting_for_eyes < _MUCH_WAITING:
        return None
    return (
        f"Steps wait for synthetic eyes {waiting_for_eyes:.0%} of the time: "
        f"{eyes_per_second:.1f} a second can be made here. More cores help, or a fixed set: "
        "--config.data.synthetic.stream=False."
    )


def _operations_per_second() -> float:
    """Floating-point operations per second of a 3x3 convolution and its gradients, measured."""
    side, channels = 76, 64
    x = jnp.ones((2, side, side, channels))
    kernel = jnp.ones((3, 3, channels, channels))

    @jax.jit
    @jax.grad
    def gradients(operands: tuple[Array, Array]) -> Array:
        y = lax.conv_general_dilated(
            *operands, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jnp.sum(y**2)

    jax.block_until_ready(gradients((x, kernel)))
    repeats = 3
    start = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(gradients((x, kernel)))
    operations = 3 * 2 * x.size * 9 * channels  # forward, and a gradient for each operand
    return repeats * operations / (time.perf_counter() - start)
