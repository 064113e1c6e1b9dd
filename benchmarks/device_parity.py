"""The same first update on a CPU and on an accelerator, in float32 and in bfloat16.

    python -m benchmarks.device_parity --variant base --batch 2

Prints the loss and the norm of the gradient on each, and their relative differences from the CPU's
in float32. Initial values, images and dropout are the same. Products are computed in full precision
for `highest`; the accelerator's default for float32 may be TF32 (GPU) or bfloat16 (TPU).
"""

import jax
import numpy as np

from benchmarks.command_line import parser, positive
from benchmarks.our_side import train_program
from s2a_jax.models.build import network_fields
from s2a_jax.signals import leave, run_program
from s2a_jax.training.sharding import make_mesh


def main() -> None:
    """Compute, and print the table."""
    flags = parser("benchmarks.device_parity", __doc__)
    flags.add_argument("--network", default="s2anet", help="default s2anet")
    flags.add_argument("--variant", default="base", help="base (default), small or tiny")
    flags.add_argument("--size", type=positive, default=304, help="side in pixels; default 304")
    flags.add_argument("--batch", type=positive, default=2, help="batch size; default 2")
    options = flags.parse_args()

    accelerator, cpu = jax.devices()[0], jax.devices("cpu")[0]
    rows = [
        (cpu, "float32", "highest"),
        (accelerator, "float32", "highest"),
        (accelerator, "float32", "default"),
        (accelerator, "bfloat16", "default"),
    ]
    print(
        f"{options.network} {options.variant}, {options.size}x{options.size}, jax {jax.__version__}"
    )
    print("device               type      precision      loss  gradient   difference of both")
    expected = None
    for device, dtype, precision in rows:
        variant = {"name": options.network, "variant": options.variant, "dtype": dtype}
        mesh = make_mesh(devices=[device])
        with jax.default_device(device), jax.default_matmul_precision(precision):
            program = train_program(
                options.network,
                network_fields(variant, options.size),
                (options.batch, options.size, options.size),
                mesh=mesh,
            )
        found = np.array([program.loss, program.gradient_norm])
        expected = found if expected is None else expected
        off = np.abs(found / expected - 1)
        print(
            f"{device.device_kind:<20} {dtype:<9} {precision:<10} {found[0]:8.6f} {found[1]:9.6f}"
            f"   {off[0]:.1e} {off[1]:.1e}",
            flush=True,
        )


if __name__ == "__main__":
    leave(run_program(main))
