"""Prediction by this package and by PyTorch, in turn in one run.

    python -m benchmarks.forward --variant base --batch 1 --dtype float32,bfloat16

Prints for each side: the median time, images per second, operations (of our program as written,
counted for both sides), their rate and its share of the rate of a large matrix product, memory
(ours: arguments, results and temporary arrays as compiled; PyTorch: the GPU's peak), the time to
compile, and how many times as long the fastest PyTorch side takes. Needs the extra `parity`, except
with --torch none.
"""

from benchmarks.our_side import forward_program
from benchmarks.versus import flags, parse, run
from s2a_jax.signals import leave, run_program


def main() -> None:
    """Measure, and print the table."""
    options = parse(flags("benchmarks.forward", __doc__))
    run(options, lambda *shape: {"ours": forward_program(*shape)}, "forward")


if __name__ == "__main__":
    leave(run_program(main))
