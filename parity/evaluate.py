"""Compare the inference of PyTorch and JAX, stage by stage.

    python -m parity.evaluate --network s2anet [--weights x.pth] --images DIR [--out DIR]

Prints, for each stage, the largest and the mean absolute difference over all images, then the Dice
of both sides' masks against each other and, where true masks are given, against those.
"""

import argparse
import csv
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rich.box
from rich.progress import track
from rich.table import Table

from parity import images
from parity.command import make_folder, need_torch
from s2a_jax.console import make_console
from s2a_jax.files import text_cell
from s2a_jax.signals import leave, run_program

if TYPE_CHECKING:
    from parity.stages import Difference


_HEADER = (
    "stage",
    "largest_difference",
    "mean_difference",
    "largest_value",
    "torch_float32_to_float64",
    "jax_float32_to_float64",
)


def main() -> None:
    """Run the comparison and print its tables.

    Raises:
        UserError: a flag or file that cannot be used.
    """
    need_torch()
    from parity import sides, stages

    parser = argparse.ArgumentParser(
        prog="python -m parity.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sides.add_arguments(parser)
    images.add_arguments(parser, count=4)
    parser.add_argument(
        "--rounding",
        action="store_true",
        help="also run PyTorch in float64, to show how far each side's float32 is from it",
    )
    parser.add_argument("--out", type=Path, help="write stages.csv and masks.csv to this folder")
    options = parser.parse_args()
    cases = images.load(options)
    height, width = cases[0].image.shape
    pair = sides.build(options, cases[0].image[None])
    if options.out is not None:
        make_folder(options.out)

    by_stage: dict[str, list[Difference]] = {}
    rows = []
    console = make_console(width=None if sys.stdout.isatty() else 110)
    errors = make_console(stderr=True)
    for case in track(cases, "Comparing", console=errors, disable=not errors.is_terminal):
        differences, probability = stages.compare(pair, case.image, rounding=options.rounding)
        for difference in differences:
            by_stage.setdefault(difference.label, []).append(difference)
        rows += [_mask_row(case, task, probability) for task in ("rv", "faz")]
    totals = [_total(found) for found in by_stage.values()]
    size = f"{height}x{width}"
    console.print(_stage_table(totals, f"{options.network}, {len(cases)} images, {size}"))
    console.print(_mask_table(rows))
    if options.out is not None:
        _write_csv(options.out / "stages.csv", _HEADER, totals)
        _write_csv(options.out / "masks.csv", tuple(rows[0]), [tuple(r.values()) for r in rows])
        console.print(f"Tables: {options.out}")


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two bool masks, 2 |A and B| / (|A| + |B|); 1 if both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def _total(found: "list[Difference]") -> "Difference":
    """Summary of one stage over all images."""
    return found[0]._replace(
        largest=max(d.largest for d in found),
        mean=float(np.mean([d.mean for d in found])),
        scale=max(d.scale for d in found),
        torch_rounding=max(d.torch_rounding for d in found),
        jax_rounding=max(d.jax_rounding for d in found),
    )


def _mask_row(case: images.Case, task: str, probability: dict[str, np.ndarray]) -> dict[str, Any]:
    """Row of masks.csv for one image and task; Dice against the truth is empty without one."""
    theirs, ours = probability[f"torch_{task}"] >= 0.5, probability[f"jax_{task}"] >= 0.5
    truth = case.truth.get(task)
    return {
        "image": case.name,
        "task": task,
        "pixels_that_differ": int((theirs != ours).sum()),
        "dice_torch_jax": dice(theirs, ours),
        "dice_torch_truth": "" if truth is None else dice(theirs, truth),
        "dice_jax_truth": "" if truth is None else dice(ours, truth),
    }


def _stage_table(totals: "list[Difference]", title: str) -> Table:
    table = Table(title=title, title_justify="left", box=rich.box.SIMPLE)
    names = ["stage", "largest difference", "mean difference", "largest value"]
    rounding = not math.isnan(totals[0].torch_rounding)
    if rounding:
        names += ["PyTorch's rounding", "JAX's rounding"]
    for name in names:
        left = name == "stage"
        table.add_column(name, justify="left" if left else "right", no_wrap=left)
    for total in totals:
        cells = [f"{total.largest:.1e}", f"{total.mean:.1e}", f"{total.scale:.3g}"]
        if rounding:
            cells += [f"{total.torch_rounding:.1e}", f"{total.jax_rounding:.1e}"]
        table.add_row(total.label, *cells)
    return table


def _mask_table(rows: list[dict[str, Any]]) -> Table:
    title = "Dice of the masks at threshold 0.5, mean over the images"
    table = Table(title=title, title_justify="left", box=rich.box.SIMPLE)
    names = ("PyTorch and JAX", "PyTorch and truth", "JAX and truth", "pixels that differ")
    for name in ("task", *names):
        table.add_column(name, justify="left" if name == "task" else "right")
    for task in ("rv", "faz"):
        chosen = [row for row in rows if row["task"] == task]
        cells = []
        for key in ("dice_torch_jax", "dice_torch_truth", "dice_jax_truth"):
            values = [row[key] for row in chosen if row[key] != ""]
            cells.append(f"{np.mean(values):.6f}" if values else "no masks")
        differing = sum(row["pixels_that_differ"] for row in chosen)
        table.add_row(task.upper(), *cells, str(differing))
    return table


def _write_csv(path: Path, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(
            [text_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
        )


if __name__ == "__main__":
    leave(run_program(main))
