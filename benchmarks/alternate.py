"""Calls of several programs in turn, so that a slow minute of the machine slows all of them."""

import statistics
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

_SHORTEST = 0.2
"""Seconds that a measurement takes at least: short calls are repeated."""


def alternate(calls: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each call.

    Args:
        calls: name -> a call that returns when its work is done.
        rounds: measurements of each, A B A B ...
    """
    repeats = {}
    for name, call in calls.items():
        call()  # warm: memory, clocks, the choice of algorithms
        repeats[name] = max(1, round(_SHORTEST / _seconds(call)))
    measured: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            measured[name].append(_seconds(call, repeats[name]))
    return {name: statistics.median(times) for name, times in measured.items()}


def matrix_rate(dtype: str, rounds: int) -> float:
    """Operations per second of a large product of random matrices of `dtype` on the device."""
    side = 2048 if jax.default_backend() == "cpu" else 8192
    left, right = (
        jax.random.normal(key, (side, side)).astype(dtype)
        for key in jax.random.split(jax.random.key(0))
    )

    @jax.jit
    def product(left: jax.Array, right: jax.Array) -> jax.Array:
        # Told to accumulate in float32, XLA uses the processor's units for bfloat16.
        return jax.lax.dot(left, right, preferred_element_type=jnp.float32)

    seconds = alternate({"product": lambda: product(left, right).block_until_ready()}, rounds)
    return 2 * side**3 / seconds["product"]


def _seconds(call: Callable[[], None], repeats: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats
