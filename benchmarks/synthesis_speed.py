"""Synthetic eyes per second, by the clock.

    python -m benchmarks.synthesis_speed --processes 2

Times `--count` eyes of a 3 mm scan at 304 px and of a 6 mm scan at 400 px that `stream_eyes` makes
ahead, after the first eyes of each process. Other work on the machine makes it slower.
"""

import time

from benchmarks.command_line import parser, positive
from s2a_jax.data.synthesis import EyeParameters, stream_eyes
from s2a_jax.machine import cores
from s2a_jax.signals import leave, run_program

_SCANS = (EyeParameters(size=304, field_mm=3.0), EyeParameters(size=400, field_mm=6.0))


def main() -> None:
    """Print a line for each kind of scan."""
    flags = parser("benchmarks.synthesis_speed", __doc__)
    flags.add_argument(
        "--processes",
        type=positive,
        default=cores(),
        help="number of processes; default: all cores",
    )
    flags.add_argument(
        "--count", type=positive, default=60, help="number of eyes timed; default 60"
    )
    options = flags.parse_args()
    for scan in _SCANS:
        eyes = stream_eyes(0, scan, processes=options.processes)
        # Each process has two eyes ready when the first is taken: start the clock in steady state.
        for _ in range(4 * options.processes):
            next(eyes)
        start = time.perf_counter()
        for _ in range(options.count):
            next(eyes)
        rate = options.count / (time.perf_counter() - start)
        eyes.close()
        print(
            f"{scan.field_mm:g} mm, {scan.size} px: {rate:.2f} eyes/s "
            f"in {options.processes} processes"
        )


if __name__ == "__main__":
    leave(run_program(main))
