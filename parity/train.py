"""Train PyTorch and JAX from the same weights on the same batches, and compare the losses.

    python -m parity.train --network s2anet --steps 50 [--out DIR]

Trains in float32 without augmentation and dropout. Each step counts as an epoch, so that DWB and
the polynomial decay run their whole course. Prints the losses of each step, and writes losses.csv
(step by step) and losses.png.
"""

import argparse
import copy
import csv
import functools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parity import images
from parity.command import make_folder, need_torch
from s2a_jax.console import make_console
from s2a_jax.errors import UserError
from s2a_jax.signals import leave, run_program

if TYPE_CHECKING:
    import torch

    from parity.sides import Sides

NUMBERS = ("loss", "loss_rv", "loss_faz", "alpha")


def main() -> None:
    """Run both trainings, print the losses and write them.

    Raises:
        UserError: a flag or file that cannot be used.
    """
    need_torch()
    from parity import sides

    parser = argparse.ArgumentParser(
        prog="python -m parity.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sides.add_arguments(parser)
    images.add_arguments(parser, count=8)
    parser.add_argument("--steps", type=int, default=50, help="updates of each side; default 50")
    parser.add_argument("--batch", type=int, default=2, help="batch size; default 2")
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=1e-4,
        help="initial learning rate of Adam; default 1e-4",
    )
    parser.add_argument(
        "--control",
        action="store_true",
        help="also train PyTorch from weights changed by one part in ten million, to show how far "
        "two runs diverge by rounding alone",
    )
    parser.add_argument("--out", type=Path, default=Path("parity_train"), help="output folder")
    options = parser.parse_args()
    if options.steps < 1 or options.batch < 1:
        raise UserError("--steps and --batch: expected at least 1.")
    cases = images.load(options)
    shapes = {case.image.shape for case in cases}
    if len(shapes) > 1:
        raise UserError(f"The images have different sizes {sorted(shapes)}: give --size.")
    if incomplete := [case.name for case in cases if len(case.truth) < 2]:
        raise UserError(
            f"{incomplete[0]} lacks a mask: give --rv and --faz with masks for all images."
        )
    ((height, width),) = shapes
    pair = sides.build(options, np.stack([case.image for case in cases[: options.batch]]))
    make_folder(options.out)

    console = make_console(width=None if sys.stdout.isatty() else 110)
    console.print(
        f"{options.network}: {options.steps} steps of Adam, learning rate {options.learning_rate}, "
        f"batches of {options.batch} from {len(cases)} images of {height}x{width}."
    )
    schedule = options.learning_rate, options.steps
    runs = {"PyTorch": train_torch(pair.network, pair.torch, *schedule)}
    if options.control:
        moved = copy.deepcopy(pair.torch)
        move_weights(moved, options.seed)
        runs["control"] = train_torch(pair.network, moved, *schedule)
    runs["JAX"] = train_jax(pair, *schedule)
    losses: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    for steps in runs.values():
        next(steps)
    start = time.monotonic()
    with (options.out / "losses.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *(f"{name}_{n}" for name in runs for n in NUMBERS)])
        for step, batch in enumerate(_batches(cases, options.batch, options.steps, options.seed)):
            for name, steps in runs.items():
                losses[name].append(steps.send(batch))
            writer.writerow([step, *np.concatenate([found[-1] for found in losses.values()])])
            file.flush()
            left = (time.monotonic() - start) / (step + 1) * (options.steps - step - 1)
            gap = np.abs(losses["PyTorch"][-1] - losses["JAX"][-1]).max()
            console.print(
                f"step {step:3d}  "
                + "  ".join(f"{name} {found[-1][0]:.6f}" for name, found in losses.items())
                + f"  largest difference {gap:.1e}  ({left / 60:.0f} min left)"
            )
    curves = {name: np.array(found) for name, found in losses.items()}
    for other in list(runs)[1:]:
        gaps = np.abs(curves["PyTorch"] - curves[other]).max(axis=0)
        text = ", ".join(f"{name} {gap:.1e}" for name, gap in zip(NUMBERS, gaps, strict=True))
        console.print(f"largest differences of {other} from PyTorch: {text}")
    plot(curves["PyTorch"], curves["JAX"], options.out / "losses.png")
    console.print(f"{options.out / 'losses.csv'}, {options.out / 'losses.png'}")


def move_weights(module: "torch.nn.Module", seed: int) -> None:
    """Multiply each parameter by 1 plus noise of 1e-7, about the last bit of a float32."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= 1 + 1e-7 * torch.randn(parameter.shape, generator=generator)


def train_torch(
    network: str, module: "torch.nn.Module", rate: float, steps: int
) -> Iterator[np.ndarray]:
    """Train with PyTorch: send a batch, get `NUMBERS` from before its update."""
    import torch

    from parity.losses import joint_loss
    from parity.sides import inputs

    module.train()
    optimizer = torch.optim.Adam(module.parameters(), lr=rate, eps=1e-8)
    batch = yield
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps) ** 0.9
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        logits = module(*inputs(network, tensors["image"]))
        target = {task: tensors[task][:, None].float() for task in ("rv", "faz")}
        parts = joint_loss(logits, target, epoch=step, total_epochs=steps)
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
        batch = yield np.array([parts[name].item() for name in NUMBERS])


def train_jax(pair: "Sides", rate: float, steps: int) -> Iterator[np.ndarray]:
    """Train with the step of this package; a generator like `train_torch`."""
    import jax

    from s2a_jax.objectives.joint import Objective
    from s2a_jax.training.optimizer import OptimizerConfig, make_optimizer
    from s2a_jax.training.state import TrainState
    from s2a_jax.training.step import train_step

    config = OptimizerConfig(name="adam", eps=1e-8)
    optimizer = make_optimizer(config, lambda step: rate * (1 - step / steps) ** 0.9)
    variables = jax.device_put(pair.variables)
    state = TrainState(
        step=jax.numpy.zeros((), jax.numpy.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(variables["params"]),
        ema_params={},
        key=jax.random.key_data(jax.random.key(0)),
    )
    step_fn = jax.jit(
        functools.partial(
            train_step,
            module=pair.module,
            optimizer=optimizer,
            objective=Objective(),
            augmentation=None,
            steps_per_epoch=1,
            epochs=steps,
        ),
        donate_argnums=0,
    )
    batch = yield
    for _ in range(steps):
        present = np.ones(len(batch["image"]), np.float32)
        state, metrics = step_fn(state, batch | {"has_rv": present, "has_faz": present})
        batch = yield np.array([float(metrics[name]) for name in NUMBERS])


def _batches(
    cases: list[images.Case], size: int, steps: int, seed: int
) -> Iterator[dict[str, np.ndarray]]:
    """Random batches: image float32 [B, H, W], rv and faz uint8 [B, H, W]."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        chosen = [cases[i] for i in rng.choice(len(cases), size, replace=size > len(cases))]
        batch = {"image": np.stack([case.image for case in chosen]).astype(np.float32)}
        for task in ("rv", "faz"):
            batch[task] = np.stack([case.truth[task] for case in chosen]).astype(np.uint8)
        yield batch


def plot(theirs: np.ndarray, ours: np.ndarray, path: Path) -> None:
    """Plot the losses of both sides, each [steps, len(NUMBERS)], and their difference below."""
    import matplotlib

    matplotlib.use("Agg")  # a file, never a window
    from matplotlib import pyplot

    figure, (losses, difference) = pyplot.subplots(2, 1, sharex=True, figsize=(7, 6))
    for i, name in enumerate(NUMBERS):
        (line,) = losses.plot(theirs[:, i], linewidth=4, alpha=0.35, label=f"{name}, PyTorch")
        losses.plot(ours[:, i], linewidth=1, color=line.get_color(), label=f"{name}, JAX")
        gap = np.maximum(np.abs(theirs[:, i] - ours[:, i]), 1e-9)
        difference.semilogy(gap, color=line.get_color(), label=name)
    losses.set_ylabel("value")
    losses.legend(fontsize="x-small", ncols=4)
    difference.set_ylabel("absolute difference")
    difference.set_xlabel("step")
    difference.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    leave(run_program(main))
