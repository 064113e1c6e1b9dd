"""Time and peak memory of a training step of S2A-Net.

    python -m benchmarks.step_memory [--variant base] [--size 304] [--batch 2]

Prints the seconds of each step (the first one includes compilation), and the peak memory of the
process and, on an accelerator, of the device.
"""

import functools
import resource
import time

import jax
import numpy as np

from benchmarks.command_line import parser, positive
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.objectives.joint import Objective
from s2a_jax.signals import leave, run_program
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.optimizer import OptimizerConfig, make_optimizer, make_schedule
from s2a_jax.training.setup import check_crop
from s2a_jax.training.sharding import make_mesh, put_batch
from s2a_jax.training.state import abstract_state, create_state
from s2a_jax.training.step import train_step


def main() -> None:
    """Measure, and print times and memory."""
    flags = parser("benchmarks.step_memory", __doc__)
    flags.add_argument("--variant", default="base", help="variant of S2A-Net; default base")
    flags.add_argument("--size", type=positive, default=304, help="side in pixels; default 304")
    flags.add_argument("--batch", type=positive, default=2, help="batch size; default 2")
    flags.add_argument("--dtype", default="float32", help="float32 (default) or bfloat16")
    flags.add_argument("--steps", type=positive, default=2, help="steps after the first; default 2")
    options = flags.parse_args()

    check_crop(options.size, options.size)
    fields = network_fields(
        {"name": "s2anet", "variant": options.variant, "dtype": options.dtype}, options.size
    )
    module, mesh, config = build_network("s2anet", fields), make_mesh(), OptimizerConfig()
    optimizer = make_optimizer(config, make_schedule(config, 1, 100))
    init, abstract = abstract_state(module, optimizer, options.size, mesh, seed=0, ema=False)
    state = create_state(init, abstract, {})
    rng = np.random.default_rng(0)
    shape = (options.batch, options.size, options.size)
    batch = {
        "image": rng.integers(0, 256, shape, np.uint8),
        "rv": rng.integers(0, 2, shape, np.uint8),
        "faz": rng.integers(0, 2, shape, np.uint8),
        "has_rv": np.ones(options.batch, np.float32),
        "has_faz": np.ones(options.batch, np.float32),
    }
    step = jax.jit(
        functools.partial(
            train_step,
            module=module,
            optimizer=optimizer,
            objective=Objective(),
            augmentation=Augmentation(),
            steps_per_epoch=1,
            epochs=100,
        ),
        donate_argnums=0,
    )
    batch = put_batch(batch, mesh)
    for i in range(options.steps + 1):
        start = time.perf_counter()
        state, metrics = jax.block_until_ready(step(state, batch))
        what = "first step with compilation" if i == 0 else "step"
        print(f"{what}: {time.perf_counter() - start:.2f} s, loss {float(metrics['loss']):.4f}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{options.variant} {shape} {options.dtype} on {jax.devices()[0].device_kind}")
    print(f"peak memory of the process: {memory:.2f} GiB")
    statistics = jax.local_devices()[0].memory_stats() or {}
    if peak := statistics.get("peak_bytes_in_use"):
        print(f"peak memory of the device: {peak / 2**30:.2f} GiB")


if __name__ == "__main__":
    leave(run_program(main))
