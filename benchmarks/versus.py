"""Flags and table of the benchmarks that time this package and PyTorch in one run."""

import argparse
import functools
import os
import platform
import resource
from collections.abc import Callable, Sequence
from typing import Any

import jax

from benchmarks.alternate import alternate, matrix_rate
from benchmarks.command_line import parser, positive
from benchmarks.our_side import Program
from s2a_jax.errors import UserError
from s2a_jax.machine import cores
from s2a_jax.models.build import network_fields

TORCH_MODES = ("eager", "channels_last", "compile", "compile+channels_last")
"""How PyTorch runs a network: `torch.compile` or not, and the layout of images in memory."""


def flags(module: str, doc: str) -> argparse.ArgumentParser:
    """A parser with the flags that both benchmarks have."""
    made = parser(module, doc)
    made.add_argument("--network", default="s2anet", help="default s2anet")
    made.add_argument("--variant", default="base", help="base (default), small or tiny")
    made.add_argument("--size", type=positive, default=304, help="side in pixels; default 304")
    made.add_argument("--batch", type=_several(int), default=[1], help="such as 1 or 4,8,16")
    made.add_argument(
        "--dtype",
        type=_several(str),
        default=["float32"],
        help="float32 (default), bfloat16, or both with a comma",
    )
    made.add_argument(
        "--torch",
        type=_several(str),
        default=["eager"],
        help=f"ways to run PyTorch: none, or some of {', '.join(TORCH_MODES)}; default eager",
    )
    made.add_argument(
        "--device", choices=("cpu", "gpu", "tpu"), help="default: what JAX finds; torch: cpu or gpu"
    )
    made.add_argument(
        "--rounds", type=positive, default=5, help="measurements of each side; default 5"
    )
    return made


def parse(made: argparse.ArgumentParser) -> argparse.Namespace:
    """Parsed flags; JAX uses the device that they name.

    Raises:
        UserError: a flag that cannot be used.
    """
    options = made.parse_args()
    if options.torch == ["none"]:
        options.torch = []
    for name, allowed in (("torch", TORCH_MODES), ("dtype", ("float32", "bfloat16"))):
        if unknown := set(getattr(options, name)) - set(allowed):
            raise UserError(f"--{name}={unknown.pop()}: expected some of {', '.join(allowed)}.")
    # PyTorch needs room on the same GPU.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if options.device:
        jax.config.update("jax_platforms", {"gpu": "cuda"}.get(options.device, options.device))
    return options


def run(
    options: argparse.Namespace,
    make: Callable[..., dict[str, Program]],
    torch_call: str,
) -> None:
    """Times both sides at every batch size and type, and prints a row for each.

    Args:
        options: from `parse`.
        make: (network, fields, shape) -> name of a program of ours -> the program.
        torch_call: the method of `TorchSide` that makes the other side's call.
    """
    print(_machine(options))
    for dtype in options.dtype:
        rate = matrix_rate(dtype, options.rounds)
        print(f"\n{dtype}; a large product of {dtype} matrices: {rate / 1e12:.2f} TFLOP/s")
        print(
            "batch  side                        ms  images/s  GFLOP/image  TFLOP/s  of product"
            "  memory GiB  compile s  torch/ours"
        )
        for batch in options.batch:
            _print_rows(options, make, torch_call, dtype, batch, rate)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\npeak memory of the process: {peak:.2f} GiB")


def _print_rows(
    options: argparse.Namespace,
    make: Callable[..., dict[str, Program]],
    torch_call: str,
    dtype: str,
    batch: int,
    rate: float,
) -> None:
    variant = {"name": options.network, "variant": options.variant, "dtype": dtype}
    fields = network_fields(variant, options.size)
    shape = (batch, options.size, options.size)
    programs = make(options.network, fields, shape)
    calls = {name: program.call for name, program in programs.items()}
    sides: dict[str, Any] = {}
    if options.torch:
        from benchmarks.torch_side import TorchSide

        device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        for mode in options.torch:
            side = TorchSide(options.network, fields, shape, mode=mode, dtype=dtype, device=device)
            sides[f"torch {mode}"] = side
            calls[f"torch {mode}"] = getattr(side, torch_call)()
    seconds = alternate(calls, options.rounds)
    fastest = min((seconds[name] for name in sides), default=None)
    flops = next(iter(programs.values())).flops
    for name, program in programs.items():
        ratio = "-" if fastest is None else f"{fastest / seconds[name]:.2f}"
        print(
            _row(batch, name, seconds[name], program.flops, rate, program.memory)
            + f" {program.compile_seconds:10.1f} {ratio:>11}"
            + ("" if program.loss is None else f"  loss {program.loss:.5f}")
        )
    for name, side in sides.items():
        print(_row(batch, name, seconds[name], flops, rate, side.peak_memory()))


def _row(
    batch: int, name: str, seconds: float, flops: float, rate: float, memory: int | None
) -> str:
    size = "-" if memory is None else f"{memory / 2**30:.2f}"
    return (
        f"{batch:5d}  {name:<22} {1e3 * seconds:9.1f} {batch / seconds:9.1f}"
        f" {flops / batch / 1e9:12.1f} {flops / seconds / 1e12:8.2f} {flops / seconds / rate:10.0%}"
        f" {size:>12}"
    )


def _machine(options: argparse.Namespace) -> str:
    parts = [
        f"{options.network} {options.variant}, {options.size}x{options.size}",
        f"{len(jax.devices())} x {jax.devices()[0].device_kind}, {cores()} cores",
        f"jax {jax.__version__}",
    ]
    if options.torch:
        from benchmarks.torch_side import threads, versions

        parts += [versions(), f"{threads()} threads"]
    return ", ".join([*parts, f"Python {platform.python_version()}"])


def _several(kind: Callable[[str], Any]) -> Callable[[str], Sequence[Any]]:
    @functools.wraps(kind)  # argparse names the type in its message
    def parse_list(text: str) -> Sequence[Any]:
        return [kind(part) for part in text.split(",")]

    return parse_list
