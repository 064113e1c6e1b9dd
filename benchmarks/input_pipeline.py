"""Images per second of each part of a training run: does the host keep the device busy?

    python -m benchmarks.input_pipeline --size 304 --batch 8

Prints the rate at which the host delivers batches of cached cases, at which the device augments
(geometry alone, and with all photometry), and at which the training step consumes images.
"""

import argparse
import functools
import time
from collections.abc import Callable

import jax
import numpy as np

from benchmarks.command_line import parser, positive
from s2a_jax.data.cases import CaseSet
from s2a_jax.data.pipeline import TrainStream
from s2a_jax.machine import cores
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.objectives.joint import Objective
from s2a_jax.signals import leave, run_program
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.optimizer import OptimizerConfig, make_optimizer, make_schedule
from s2a_jax.training.setup import check_crop
from s2a_jax.training.sharding import make_mesh, put_batch
from s2a_jax.training.state import abstract_state, create_state
from s2a_jax.training.step import train_step, unpack


def main() -> None:
    """Measure, and print the table."""
    flags = parser("benchmarks.input_pipeline", __doc__)
    flags.add_argument("--variant", default="small", help="variant of S2A-Net; default small")
    flags.add_argument(
        "--size", type=positive, default=304, help="side of a case in pixels; default 304"
    )
    flags.add_argument(
        "--crop", type=positive, default=192, help="side of a crop in pixels; default 192"
    )
    flags.add_argument("--batch", type=positive, default=8, help="batch size; default 8")
    flags.add_argument(
        "--cases", type=positive, default=140, help="number of cases in memory; default 140"
    )
    flags.add_argument(
        "--steps",
        type=positive,
        default=200,
        help="batches of the host; a twentieth of them on the device; default 200",
    )
    options = flags.parse_args()

    check_crop(options.crop, options.size)
    rng = np.random.default_rng(0)
    shape = (options.cases, options.size, options.size)
    labels = np.ones(options.cases, bool)
    cases = CaseSet(
        ids=tuple(map(str, range(options.cases))),
        images=rng.integers(0, 256, shape, np.uint8),
        rv=rng.integers(0, 2, shape, np.uint8),
        faz=rng.integers(0, 2, shape, np.uint8),
        has_rv=labels,
        has_faz=labels,
        native_sizes=np.full((options.cases, 2), options.size, np.int32),
    )
    stream = TrainStream(cases, {"all": (range(options.cases), 1.0)}, options.batch, seed=0)
    batches = stream.starting_at(0)
    few = max(2, options.steps // 20)
    mesh = make_mesh()
    batch = put_batch(next(batches), mesh)
    geometry = Augmentation(crop=options.crop)
    everything = Augmentation(
        crop=options.crop, gamma=0.5, contrast=0.3, noise=0.3, motion_stripes=0.3,
        local_shadow=0.5, blur=1.0,
    )  # fmt: skip
    rows = [
        ("host: cached cases to batches", options.steps, lambda: next(batches)),
        ("host: and onto the device", options.steps, lambda: put_batch(next(batches), mesh)),
        ("device: geometry", few, _augmenter(geometry, batch)),
        ("device: geometry and photometry", few, _augmenter(everything, batch)),
        (f"device: step of {options.variant}", few, _step(options, everything, batch, mesh)),
    ]
    rates = [options.batch / _seconds(call, count) for _, count, call in rows]
    print(
        f"{jax.devices()[0].device_kind} x {mesh.size}, {cores()} cores; cases "
        f"{options.size} px, crops {options.crop} px, batch {options.batch}"
    )
    for (name, _, _), rate in zip(rows, rates, strict=True):
        print(f"{name:34s} {rate:9.1f} images/s  {rate / rates[-1]:8.1f} x the step")


def _augmenter(augmentation: Augmentation, batch: dict) -> Callable[[], object]:
    images, masks = unpack(batch)
    augment = jax.jit(augmentation)
    return lambda: augment(jax.random.key(0), images, masks)


def _step(
    options: argparse.Namespace, augmentation: Augmentation, batch: dict, mesh: jax.sharding.Mesh
) -> Callable[[], object]:
    fields = network_fields(
        {"name": "s2anet", "variant": options.variant, "dtype": "float32"}, options.crop
    )
    module, config = build_network("s2anet", fields), OptimizerConfig()
    optimizer = make_optimizer(config, make_schedule(config, 1, 100))
    init, abstract = abstract_state(module, optimizer, options.crop, mesh, seed=0, ema=False)
    state = create_state(init, abstract, {})
    step = jax.jit(
        functools.partial(
            train_step, module=module, optimizer=optimizer, objective=Objective(bce_weight=1.0),
            augmentation=augmentation, steps_per_epoch=1, epochs=100,
        )
    )  # fmt: skip
    return lambda: step(state, batch)


def _seconds(call: Callable[[], object], count: int) -> float:
    """Mean seconds of a call, after a first one that compiles."""
    jax.block_until_ready(call())
    start = time.perf_counter()
    for _ in range(count):
        result = call()
    jax.block_until_ready(result)
    return (time.perf_counter() - start) / count


if __name__ == "__main__":
    leave(run_program(main))
