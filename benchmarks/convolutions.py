"""The forms of a convolution that `s2a_jax.models.convolution` chooses from, in turn in one run.

    python -m benchmarks.convolutions --batch 2 --dtype float32

At each level of the decoders of `base` at 304x304, milliseconds: of a convolution after doubling
with both gradients, plain, folded, and folded with matrices; and of a kernel's gradient by XLA and
by products.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.alternate import alternate
from benchmarks.command_line import parser, positive
from s2a_jax.models import convolution, doubling
from s2a_jax.signals import leave, run_program

LEVELS = ((19, 512, 1024, 256), (38, 256, 512, 128), (76, 128, 192, 64), (152, 64, 64, 16))
"""Side before doubling, channels that are doubled, channels with the skip, channels after."""

_DOUBLED = {
    "plain": doubling._plain,
    "folded": doubling._folded,
    "matrices": doubling._folded_with_matrices,
}


def main() -> None:
    """Measure, and print the table."""
    flags = parser("benchmarks.convolutions", __doc__)
    flags.add_argument("--batch", type=positive, default=2, help="batch size; default 2")
    flags.add_argument("--dtype", default="float32", help="float32 (default) or bfloat16")
    flags.add_argument("--rounds", type=positive, default=5, help="measurements; default 5")
    options = flags.parse_args()
    print(f"{jax.devices()[0].device_kind}, batch {options.batch}, {options.dtype}, milliseconds")
    print(
        "side doubled   C   F  "
        + "".join(f"{name:>10}" for name in _DOUBLED)
        + "   kernel's gradient: XLA  products"
    )
    for side, doubled, channels, features in LEVELS:
        x, kernel, gradient = _arrays(options, side, doubled, features, 2)
        calls = {
            name: _call(_with_gradients(form), x, kernel, gradient)
            for name, form in _DOUBLED.items()
        }
        wide, _, gradient = _arrays(options, 2 * side, channels, features, 1)
        calls["XLA"] = _call(
            lambda x, gradient, features=features: jax.vjp(
                functools.partial(convolution.xla_convolution, x),
                jnp.zeros((3, 3, x.shape[-1], features), x.dtype),
            )[1](gradient),
            wide,
            gradient,
        )
        calls["products"] = _call(
            lambda x, gradient: convolution.kernel_gradient(x, gradient, (3, 3)), wide, gradient
        )
        seconds = alternate(calls, options.rounds)
        times = [f"{1e3 * spent:10.2f}" for spent in seconds.values()]
        print(
            f"{side:4d} {doubled:7d} {channels:4d} {features:3d}  {''.join(times[:3])}"
            f"{times[3]:>25}{times[4]}",
            flush=True,
        )


def _arrays(
    options: Any, side: int, channels: int, features: int, scale: int
) -> tuple[Array, Array, Array]:
    """Random maps, kernel and gradient of the result."""
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = (
        (options.batch, side, side, channels),
        (3, 3, channels, features),
        (options.batch, scale * side, scale * side, features),
    )
    return tuple(
        jax.random.normal(key, shape).astype(options.dtype)
        for key, shape in zip(keys, shapes, strict=True)
    )


def _with_gradients(form: Callable[..., Array]) -> Callable[..., Any]:
    def compute(x: Array, kernel: Array, gradient: Array) -> Any:
        result, transpose = jax.vjp(form, x, kernel)
        return result, transpose(gradient)

    return compute


def _call(function: Callable[..., Any], *arguments: Array) -> Callable[[], None]:
    compiled = jax.jit(function).lower(*arguments).compile()
    return lambda: jax.block_until_ready(compiled(*arguments))


if __name__ == "__main__":
    leave(run_program(main))
