"""Time to measure all biomarkers of an eye, and the error of vessel calibres and lengths.

    python -m benchmarks.biomarkers [--eyes 6] [--size 400] [--field 6]

Prints milliseconds per eye (wall clock and CPU) and the share of each part; then how well the
vessels' length and mean calibre agree with the axes and radii that the eyes were drawn from.
"""

import functools
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

import s2a_jax.biomarkers.measure as biomarkers
import s2a_jax.biomarkers.vessels as vessels
from benchmarks.command_line import parser, positive, several
from s2a_jax.biomarkers.skeleton import trace_skeleton
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.errors import UserError
from s2a_jax.signals import leave, run_program
from s2a_jax.statistics.agreement import bland_altman, icc

PARTS = {
    "skeleton and graph": (vessels, "trace_skeleton"),
    "walls": (vessels, "outlines"),
    "calibres": (vessels, "_calibres"),
    "fractal dimensions": (biomarkers, "box_counting_dimension"),
    "FAZ": (biomarkers, "measure_faz"),
    "FD-300": (biomarkers, "_ring_density"),
    "ETDRS sectors": (biomarkers, "_sector_values"),
}
"""Part -> module and name by which its caller finds the function."""


def main() -> None:
    """Print both tables."""
    flags = parser("benchmarks.biomarkers", __doc__)
    flags.add_argument(
        "--eyes", type=several, default=6, help="number of synthetic eyes; default 6"
    )
    flags.add_argument("--size", type=positive, default=400, help="side in pixels; default 400")
    flags.add_argument("--field", type=float, default=6.0, help="side in mm; default 6")
    options = flags.parse_args()
    if not options.field > 0:
        raise UserError(f"--field={options.field}: expected more than 0 mm.")
    parameters = EyeParameters(size=options.size, field_mm=options.field)
    eyes = [synthesize_eye((11, index), parameters) for index in range(options.eyes)]
    um = 1000 * options.field / options.size
    biomarkers.measure(eyes[0].rv, eyes[0].faz, um_per_px=um)  # loads what the first call loads
    seconds = defaultdict(float)
    for name, (module, function) in PARTS.items():
        setattr(module, function, timed(getattr(module, function), name, seconds))
    wall, processor = time.perf_counter(), time.process_time()
    found = [biomarkers.measure(eye.rv, eye.faz, um_per_px=um) for eye in eyes]
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(
        f"{len(eyes)} eyes, {options.size}x{options.size}: {1e3 * wall / len(eyes):.0f} ms per "
        f"eye, CPU {1e3 * processor / len(eyes):.0f} ms"
    )
    for name, share in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"  {name:20s} {100 * share / wall:5.1f} %")
    print(f"  {'the rest':20s} {100 * (1 - sum(seconds.values()) / wall):5.1f} %")
    calibre = [2 * eye.radius_um[eye.centreline].mean() for eye in eyes]
    density = [length(eye.centreline) / (options.size * options.field) for eye in eyes]
    print(f"{'':26s} {'true mean':>10s} {'bias':>8s} {'limits of agreement':>20s} {'ICC':>6s}")
    for name, true in (("mean_calibre_um", calibre), ("skeleton_density_per_mm", density)):
        measured = [values[name] for values in found]
        bias, low, high = bland_altman(measured, true)
        print(
            f"{name:26s} {np.mean(true):10.3f} {bias:8.3f} {low:9.3f} to {high:6.3f} "
            f"{icc(measured, true):6.3f}"
        )


def timed(function: Callable[..., Any], name: str, seconds: dict[str, float]) -> Callable[..., Any]:
    """Wrap a function so that its time is added to `seconds[name]`."""

    @functools.wraps(function)
    def measured(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = function(*arguments, **options)
        seconds[name] += time.perf_counter() - start
        return result

    return measured


def length(centreline: np.ndarray) -> float:
    """Length in pixels of a drawn centreline, bool [H, W]."""
    return float(trace_skeleton(centreline, 0).branches.lengths().sum())


if __name__ == "__main__":
    leave(run_program(main))
