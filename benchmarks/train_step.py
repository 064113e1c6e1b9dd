"""One update by this package and by PyTorch, in turn in one run.

    python -m benchmarks.train_step --variant base --batch 2 --dtype float32,bfloat16

Both compute the joint loss with DWB and update by Adam, without augmentation; both with dropout.
Prints the columns of benchmarks.forward, and the loss of our first step. --plain adds our step
compiled without a mesh. Needs the extra `parity`, except with --torch none.
"""

from typing import Any

from benchmarks.our_side import Program, train_program
from benchmarks.versus import flags, parse, run
from s2a_jax.signals import leave, run_program
from s2a_jax.training.setup import check_crop


def main() -> None:
    """Measure, and print the table."""
    made = flags("benchmarks.train_step", __doc__)
    made.add_argument("--remat", default="none", help="as config.train.remat; default none")
    made.add_argument("--plain", action="store_true", help="time plain jit without a mesh as well")
    options = parse(made)
    check_crop(options.size, options.size)

    def make(
        network: str, fields: dict[str, Any], shape: tuple[int, int, int]
    ) -> dict[str, Program]:
        programs = {"ours": train_program(network, fields, shape, remat=options.remat)}
        if options.plain:
            programs["ours without mesh"] = train_program(
                network, fields, shape, remat=options.remat, with_mesh=False
            )
        return programs

    run(options, make, "train_step")


if __name__ == "__main__":
    leave(run_program(main))
