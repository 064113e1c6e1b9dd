"""Latency of every way to run one trained network, in turn in one run.

    python -m benchmarks.inference --weights sim_to_real --size 304 --batch 1

jit (as `predict` runs it), StableHLO, ONNX Runtime, OpenVINO in float32 and bfloat16, and PyTorch
in its modes in both. The network is exported first, and checked. Each way runs in a
process of its own, since their threads would disturb each other; only one computes at a time.

Prints the median and the shortest time of a call, the time until the first result, and the greatest
difference of a probability and the smallest Dice of the masks to jit's on synthetic eyes. Needs the
extras `export` and `openvino`.
"""

import argparse
import functools
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import parser, positive
from benchmarks.versus import TORCH_MODES
from s2a_jax.errors import UserError
from s2a_jax.machine import cores
from s2a_jax.signals import leave, run_program

Maps = dict[str, np.ndarray]
Call = Callable[[np.ndarray], Maps]

OURS = ("jit", "stablehlo", "onnx", "openvino", "openvino-bf16")
PATHS = (*OURS, *(f"torch {mode} {dtype}" for mode in TORCH_MODES for dtype in ("f32", "bf16")))
"""Ways to run a network."""

_DEFAULT = (*OURS, "torch eager f32", "torch eager bf16", "torch compile f32", "torch compile bf16")


def main() -> None:
    """Measure, and print the table.

    Raises:
        UserError: a flag or file that cannot be used.
    """
    made = parser("benchmarks.inference", __doc__)
    made.add_argument("--weights", default="sim_to_real", help="as for predict")
    made.add_argument("--size", type=positive, default=304, help="side in pixels; default 304")
    made.add_argument("--batch", type=positive, default=1, help="images of a call; default 1")
    made.add_argument("--rounds", type=positive, default=10, help="calls of each; default 10")
    made.add_argument("--eyes", type=positive, default=4, help="synthetic eyes for Dice; default 4")
    made.add_argument(
        "--paths",
        default=",".join(_DEFAULT),
        help=f"some of {', '.join(PATHS)}; default: {', '.join(_DEFAULT)}; jit is always there",
    )
    options = made.parse_args()
    paths = ["jit", *(path for path in options.paths.split(",") if path != "jit")]
    if unknown := set(paths) - set(PATHS):
        raise UserError(f"--paths={unknown.pop()}: expected some of {', '.join(PATHS)}.")
    if options.size % 16:
        raise UserError(f"--size={options.size}: expected a multiple of 16.")
    with tempfile.TemporaryDirectory() as folder:
        _print(paths, options, _export(paths, options.weights, Path(folder)))


def _export(paths: list[str], weights: str, folder: Path) -> dict[str, str]:
    """Exports the network for the paths that need it.  -> path -> its weights."""
    from s2a_jax.cli import run_command
    from s2a_jax.inference.runtimes import RUNTIMES
    from s2a_jax.inference.segmenter import Segmenter

    Segmenter.load_from_checkpoint(weights).save(folder / "x.safetensors")
    files = dict.fromkeys(paths, str(folder / "x.safetensors"))
    for path in RUNTIMES.keys() & set(paths):
        file = folder / f"x{RUNTIMES[path][0]}"
        if not file.exists():
            run_command(["export", "--weights", weights, "--to", str(file)])
        files[path] = str(file)
    return files


def _print(paths: list[str], options: argparse.Namespace, files: dict[str, str]) -> None:
    eyes = _eyes(options.eyes, options.size)
    pixels = np.resize(eyes, (options.batch, *eyes.shape[1:]))  # the eyes again and again
    with _processes(paths, files) as workers:
        seconds: dict[str, list[float]] = {path: [] for path in paths}
        first = {path: workers[path](pixels)[0] for path in paths}
        for path in paths:
            workers[path](pixels)
        load = os.getloadavg()[0]
        for _ in range(options.rounds):
            for path in paths:
                seconds[path].append(workers[path](pixels)[0])
        maps = {path: [workers[path](eye[None])[1] for eye in eyes] for path in paths}
    print(
        f"{platform.processor() or platform.machine()}, {cores()} cores, load {load:.2f}; "
        f"{options.weights}, {options.batch} x {options.size} px, {options.rounds} rounds; "
        f"{options.eyes} synthetic eyes"
    )
    print(f"{'path':32} median ms  shortest  first s  difference  Dice RV  Dice FAZ")
    for path in paths:
        pairs = [*zip(maps[path], maps["jit"], strict=True)]
        difference = max(float(np.abs(a[task] - b[task]).max()) for a, b in pairs for task in b)
        dice = [min(_dice(a[task], b[task]) for a, b in pairs) for task in ("rv", "faz")]
        print(
            f"{path:32} {statistics.median(seconds[path]) * 1e3:9.1f} "
            f"{min(seconds[path]) * 1e3:9.1f} {first[path]:8.1f} {difference:11.1e} "
            f"{dice[0]:8.4f} {dice[1]:9.4f}"
        )


def _eyes(count: int, size: int) -> np.ndarray:
    """Synthetic eyes, float32 [N, S, S] in [0, 1]."""
    from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
    from s2a_jax.inputs.images import to_unit_float

    eyes = [synthesize_eye((3, number), EyeParameters(size=size)) for number in range(count)]
    return np.stack([to_unit_float(eye.image) for eye in eyes])


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a >= 0.5, b >= 0.5
    total = int(a.sum() + b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


@contextmanager
def _processes(
    paths: list[str], files: dict[str, str]
) -> Iterator[dict[str, Callable[[np.ndarray], tuple[float, Maps]]]]:
    """A process for each path.

    Yields:
        Path -> a function of pixels that returns the seconds of the call, and the probabilities.
    """
    context = multiprocessing.get_context("spawn")
    started, calls = [], {}
    for path in paths:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(path, files[path], theirs), daemon=True)
        process.start()
        theirs.close()
        started.append((process, ours))
        calls[path] = functools.partial(_ask, ours)
    yield calls
    for process, connection in started:
        connection.send(None)
        process.join()


def _ask(connection: Connection, pixels: np.ndarray) -> tuple[float, Maps]:
    connection.send(pixels)
    return connection.recv()


def _serve(path: str, weights: str, connection: Connection) -> None:
    """Answers with the seconds of a call, and its result, until None comes."""
    call: Call | None = None
    while (pixels := connection.recv()) is not None:
        start = time.perf_counter()
        call = call or (_torch(path, weights) if path.startswith("torch") else _ours(path, weights))
        result = call(pixels)
        connection.send((time.perf_counter() - start, result))


def _ours(path: str, weights: str) -> Call:
    import jax

    from s2a_jax.inference.runtimes import open_exported
    from s2a_jax.inference.segmenter import Segmenter

    if path != "jit":
        return open_exported(Path(weights), path).compute
    model = Segmenter.load_from_checkpoint(weights)
    return lambda pixels: jax.device_get(model._predict(model.variables, pixels))


def _torch(path: str, weights: str) -> Call:
    import torch

    from parity.export import probabilities
    from s2a_jax.convert.weights import read_weights

    _, mode, dtype = path.split()
    description, variables = read_weights(Path(weights))
    module = probabilities(description, variables)
    layout: Any = torch.contiguous_format
    if "channels_last" in mode:
        layout = torch.channels_last
        module = module.to(memory_format=layout)
    run = torch.compile(module) if mode.startswith("compile") else module

    def call(pixels: np.ndarray) -> Maps:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"),
        ):
            found = run(torch.from_numpy(pixels))
        return dict(zip(description.tasks, (p.float().numpy() for p in found), strict=True))

    return call


if __name__ == "__main__":
    leave(run_program(main))
