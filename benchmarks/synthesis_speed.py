"""Synthetic eyes a second, by the clock.

    python -m benchmarks.synthesis_speed --processes 2

times `--count` eyes of a 3 mm scan at 304 px and of a 6 mm scan at 400 px, as `stream_eyes` makes
them ahead, after the first ones of every process. Other work on the machine makes it slower.
"""

import sys
import time

from benchmarks.command_line import parser, positive
from parity.command import run
from s2a_jax.data.synthesis import EyeParameters, stream_eyes
from s2a_jax.machine import cores

_SCANS = (EyeParameters(size=304, field_mm=3.0), EyeParameters(size=400, field_mm=6.0))


def main() -> None:
    """Prints a line for each kind of scan."""
    flags = parser("benchmarks.synthesis_speed", __doc__)
    flags.add_argument("--processes", type=positive, default=cores(), help="default: all cores")
    flags.add_argument("--count", type=positive, default=60, help="eyes timed; default 60")
    options = flags.parse_args()
    for scan in _SCANS:
        eyes = stream_eyes(0, scan, processes=options.processes)
        # Two a process lie ready when the first is taken: let the clock start in the steady state.
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
    sys.exit(run(main))
