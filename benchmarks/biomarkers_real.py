"""Biomarkers of OCTA-500's expert masks: the table in docs/biomarkers.md.

    python -m benchmarks.biomarkers_real --real DIR

DIR is a copy of OCTA-500 with both subsets. Measures the expert masks of its training and
validation cases, without axial lengths, and prints mean ± standard deviation (range) over cases.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks.command_line import parser, positive
from s2a_jax.biomarkers.measure import is_biomarker, measure
from s2a_jax.console import make_console
from s2a_jax.data.cases import Case
from s2a_jax.data.selection import select_cases
from s2a_jax.machine import cores
from s2a_jax.signals import leave, run_program

SUBSETS = ("3M", "6M")


def main() -> None:
    """Print the table in Markdown, and the FAZ of each case that has one."""
    flags = parser("benchmarks.biomarkers_real", __doc__)
    flags.add_argument("--real", type=Path, required=True, metavar="DIR", help="folder of OCTA-500")
    flags.add_argument(
        "--limit", type=positive, help="measure at most this many cases of each split"
    )
    options = flags.parse_args()
    found = {subset: measured(options.real, subset, options.limit) for subset in SUBSETS}
    counts = (f"{subset} ({len(rows)} eyes)" for subset, rows in found.items())
    print(f"| column | {' | '.join(counts)} |\n|---|---|---|")
    for name in found["3M"][0]:
        cells = [summary([row[name] for row in rows]) for rows in found.values()]
        if is_biomarker(name) and "_etdrs_" not in name and any(cells):
            print(f"| `{name}` | {' | '.join(cells)} |")
    for subset, rows in found.items():
        zones = [row for row in rows if row["faz_area_mm2"] > 0]
        text = (f"{row['faz_area_mm2']:.3f} ({row['faz_circularity']:.2f})" for row in zones)
        print(f"{subset}: FAZ area, mm^2 (circularity) of {len(zones)} eyes: {', '.join(text)}")


def measured(root: Path, subset: str, limit: int | None) -> list[dict[str, float]]:
    """Measure all training and validation cases."""
    cases, pitches = [], []
    for split in ("train", "val"):
        selection = select_cases(root, split, "octa500", subset, limit=limit)
        cases += selection.cases
        pitches += selection.um_per_px
    console = make_console(stderr=True)
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
        rows = pool.map(measure_case, cases, pitches)
        return list(track(rows, subset, len(cases), console=console))


def measure_case(case: Case, um_per_px: float) -> dict[str, float]:
    """Measure one case."""
    return measure(case.rv, case.faz, um_per_px=um_per_px)


def summary(values: list[float]) -> str:
    """Format mean ± standard deviation (range); empty if a value is NaN."""
    mean, spread, low, high = np.mean(values), np.std(values, ddof=1), min(values), max(values)
    if np.isnan(mean):
        return ""
    digits = int(np.clip(2 - np.floor(np.log10(abs(mean) + 1e-12)), 0, 3))
    return f"{mean:.{digits}f} ± {spread:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    leave(run_program(main))
