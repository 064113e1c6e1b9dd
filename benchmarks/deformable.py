"""Time of Joint-Seg's deformable 3x3 convolution and of a plain one.

    python -m benchmarks.deformable [--batch 1] [--repeats 5]

Measures forward passes, without and with gradients, at the four sizes that the full network has at
304x304. Prints milliseconds (the fastest repeat) and their ratio.
"""

import time
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.command_line import parser, positive
from s2a_jax.models.deformable import DeformableConv3x3
from s2a_jax.models.layers import Conv
from s2a_jax.signals import leave, run_program

SIZES = ((38, 128), (76, 64), (152, 32), (304, 16))  # (side in pixels, channels)


def main() -> None:
    """Measure, and print the table."""
    flags = parser("benchmarks.deformable", __doc__)
    flags.add_argument("--batch", type=positive, default=1, help="batch size; default 1")
    flags.add_argument(
        "--repeats", type=positive, default=5, help="repeats of each call; default 5"
    )
    options = flags.parse_args()
    print(f"{jax.devices()[0].device_kind}, batch {options.batch}, float32, milliseconds")
    print("  side channels   plain deformable ratio   plain+grad deformable+grad ratio")
    for side, channels in SIZES:
        x = jax.random.normal(jax.random.key(0), (options.batch, side, side, channels))
        times = []
        for with_gradient in (False, True):
            for module in (
                Conv(channels, 3, padding=1, use_bias=False),
                DeformableConv3x3(channels),
            ):
                times.append(1e3 * measure(module, x, with_gradient, options.repeats))
        plain, moved, plain_grad, moved_grad = times
        print(
            f"{side:6d} {channels:8d} {plain:7.2f} {moved:10.2f} {moved / plain:5.1f}"
            f" {plain_grad:12.2f} {moved_grad:15.2f} {moved_grad / plain_grad:5.1f}"
        )


def measure(module: nn.Module, x: Array, with_gradient: bool, repeats: int) -> float:
    """Seconds of the fastest of `repeats` calls, after compilation."""
    variables = module.init(jax.random.key(1), x)
    # Offsets of about a pixel, as in a trained network; with zero weights, reads would be regular.
    variables = jax.tree.map(
        lambda leaf: 0.1 * jax.random.normal(jax.random.key(2), leaf.shape), variables
    )
    forward: Callable[..., Any] = module.apply
    if with_gradient:

        def forward(variables: Any, x: Array) -> Any:
            return jax.grad(lambda v, x: jnp.sum(module.apply(v, x) ** 2), (0, 1))(variables, x)

    compiled = jax.jit(forward)
    jax.block_until_ready(compiled(variables, x))
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(compiled(variables, x))
        best = min(best, time.perf_counter() - start)
    return best


if __name__ == "__main__":
    leave(run_program(main))
