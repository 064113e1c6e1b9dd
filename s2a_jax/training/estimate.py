"""Warnings about slow runs: the length of a run on a CPU, and waiting for synthetic eyes."""

import time
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s2a_jax.models.convolution import convolve
from s2a_jax.training.operations import count_operations
from s2a_jax.training.setup import Training

_LONG = 2 * 3600  # seconds; a longer run deserves a warning
_MUCH_WAITING = 0.2  # share of the time


def warn_if_slow(training: Training, batch: dict[str, Any], steps: int) -> str | None:
    """Estimates the length of a run without an accelerator; returns a sentence if it is long.

    The operations of a step are counted in its program, and a convolution with its gradients is
    timed on this machine. The true time is commonly within a factor of two.

    Args:
        training: the run.
        batch: any batch; only its shapes matter.
        steps: updates still to make.
    """
    if jax.default_backend() != "cpu":
        return None
    operations = count_operations(training.step.trace(training.abstract, batch))
    rate = _operations_per_second()
    seconds = steps * operations / rate
    if seconds < _LONG:
        return None
    hours = seconds / 3600
    duration = f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
    return (
        f"No accelerator: {steps} steps of {operations / 1e9:.0f} GFLOP will take about "
        f"{duration} at the {rate / 1e9:.0f} GFLOP/s measured here. "
        "--config.model.variant=small is meant for a CPU."
    )


def warn_of_waiting(eyes_per_second: float, waiting_for_eyes: float) -> str | None:
    """Returns a sentence if steps wait for synthetic eyes much of the time.

    Args:
        eyes_per_second: how many this machine can make.
        waiting_for_eyes: share of the time, in [0, 1].
    """
    if waiting_for_eyes < _MUCH_WAITING:
        return None
    return (
        f"Steps wait for synthetic eyes {waiting_for_eyes:.0%} of the time: "
        f"{eyes_per_second:.1f} a second can be made here. More cores help, or a fixed set: "
        "--config.data.synthetic.stream=False."
    )


def _operations_per_second() -> float:
    """Measures floating-point operations per second of a 3x3 convolution and its gradients."""
    side, channels = 76, 64
    x = jnp.ones((2, side, side, channels))
    kernel = jnp.ones((3, 3, channels, channels))

    @jax.jit
    @jax.grad
    def gradients(operands: tuple[Array, Array]) -> Array:
        return jnp.sum(convolve(*operands, padding=(1, 1)) ** 2)

    jax.block_until_ready(gradients((x, kernel)))
    repeats = 3
    start = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(gradients((x, kernel)))
    operations = 3 * 2 * x.size * 9 * channels  # forward, and a gradient for each operand
    return repeats * operations / (time.perf_counter() - start)
