"""Dice against the number of labelled eyes, from random values and from the shipped network.

    python -m benchmarks.finetune_curve --octa500 DIR --out runs/curve

Trains `configs/finetune.py` on `--counts` training cases of OCTA-500, drawn by seeds, `--jobs` runs
at a time, and scores the val split with the network of the last step; 0 eyes is the shipped network
as it is. From random values the learning rate is the variant's own. Every run has the same budget
of updates. Runs of the first seed come first. Writes OUT/curve.csv, one row a run, and
OUT/curve.png. Prints the time left. Run the same command again after Ctrl-C to resume.
"""

import argparse
import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from benchmarks.command_line import parser, positive
from s2a_jax.cli import run_command
from s2a_jax.comparison.plan import Run
from s2a_jax.comparison.results import TASK_NAMES, read_result
from s2a_jax.comparison.run import train_all
from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.console import make_console
from s2a_jax.files import written_whole
from s2a_jax.machine import share_compiled_programs
from s2a_jax.runs.workdir import Workdir
from s2a_jax.signals import leave, run_program
from s2a_jax.training.plan import planned

SHIPPED = "sim_to_real"
STARTS: dict[str, dict[str, Any]] = {
    "random": {"model.start_from": None, "optimizer.learning_rate": None},
    SHIPPED: {"model.start_from": SHIPPED},
}
"""Name of a start -> fields that it changes in `configs/finetune.py`."""

_COLOURS = {"random": "#7f8c8d", SHIPPED: "#c0392b"}


class Row(NamedTuple):
    """One run: its start, training cases, seed, mean Dice on val by task (None without masks)."""

    start: str
    eyes: int
    seed: int
    dice: dict[str, float | None]
    minutes: float | None


def main() -> int:
    """Train what is missing, and write the table and the chart of what is finished.

    Returns:
        The exit code: 0, 1 if a run failed, that of the shipped network's evaluation if it failed,
        or 128 + the number of a signal.
    """
    flags = parser("benchmarks.finetune_curve", __doc__)
    flags.add_argument("--octa500", required=True, type=Path, help="folder of OCTA-500")
    flags.add_argument("--subset", default="3M", help="3M or 6M; default 3M")
    flags.add_argument("--out", type=Path, default=Path("runs/curve"),
                       help="output folder; default runs/curve")  # fmt: skip
    flags.add_argument("--counts", type=_counts, default=(2, 5, 10, 20, 50, 140),
                       help="numbers of training cases; default 2,5,10,20,50,140")  # fmt: skip
    flags.add_argument("--draws", type=positive, default=3,
                       help="seeds for each number below --few; default 3")  # fmt: skip
    flags.add_argument("--few", type=positive, default=50,
                       help="from this number of cases on one seed; default 50")  # fmt: skip
    flags.add_argument("--updates", type=positive, default=480,
                       help="budget of each run; default 480")  # fmt: skip
    flags.add_argument("--jobs", type=positive, default=1,
                       help="runs at a time, for a GPU; default 1")  # fmt: skip
    options = flags.parse_args()
    share_compiled_programs()  # by the draws of one number of cases
    # The first evaluation is made here: the trainings need room on the same GPU.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    console = make_console(soft_wrap=True)
    runs = make_runs(options)
    if not (options.out / SHIPPED / "val.csv").is_file():
        if code := _evaluate_shipped(options):
            return code  # the command has said why
    code, failed = train_all([run for run, _ in runs], options.out / "logs", console, options.jobs)
    shipped = read_result(SHIPPED, 0, options.out / SHIPPED).dice["val"]
    rows = [Row(SHIPPED, 0, 0, _means(shipped), None)]
    for run, eyes in runs:
        if (run.workdir.results / "val.csv").is_file():
            result = read_result(run.name, run.seed, run.workdir.path)
            rows.append(Row(run.name, eyes, run.seed, _means(result.dice["val"]), result.minutes))
    write_table(options.out / "curve.csv", rows)
    draw(options.out / "curve.png", rows, f"OCTA-500 {options.subset}, val")
    console.print(f"{len(rows)} rows: {options.out / 'curve.csv'}, {options.out / 'curve.png'}")
    return code or (1 if failed else 0)


def make_runs(options: argparse.Namespace) -> list[tuple[Run, int]]:
    """All runs with their numbers of cases: every one of the first seed, then of the second, ..."""
    configs = {}
    for eyes in options.counts:
        for start, changes in STARTS.items():
            config = load_config("finetune")
            fields = {
                "data.name": "octa500", "data.root": str(options.octa500),
                "data.subset": options.subset, "data.train_cases": eyes,
                "train.updates": options.updates,
            }  # fmt: skip
            config.update_from_flattened_dict(fields | changes)
            configs[start, eyes] = resolve(planned(config)[0])
    runs = []
    for seed in range(options.draws):
        for (start, eyes), config in configs.items():
            if seed and eyes >= options.few:
                continue
            own = config.copy_and_resolve_references()
            own.seed = seed
            workdir = Workdir(options.out / f"{start}-{eyes}-seed{seed}")
            workdir.check(own)
            runs.append((Run(start, seed, own, workdir), eyes))
    return runs


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write one CSV row a run; an empty cell where val has no such mask."""
    with written_whole(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("start", "eyes", "seed", *(f"{t}_dice" for t in TASK_NAMES), "minutes"))
        for row in rows:
            numbers = [*(row.dice[task] for task in TASK_NAMES), row.minutes]
            cells = ("" if number is None else f"{number:.4f}" for number in numbers)
            writer.writerow((row.start, row.eyes, row.seed, *cells))


def draw(path: Path, rows: Sequence[Row], title: str) -> None:
    """Draw every run as a dot, and the means over the seeds as lines, by task and start."""
    tasks = [task for task in TASK_NAMES if any(row.dice[task] is not None for row in rows)]
    figure = Figure(figsize=(5.5 * len(tasks), 4), layout="constrained")
    for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        for start, colour in _COLOURS.items():
            points: dict[int, list[float]] = {}
            for row in rows:
                if row.start == start and row.dice[task] is not None:
                    points.setdefault(row.eyes, []).append(row.dice[task])
            for eyes, dice in points.items():
                axes.plot([eyes] * len(dice), dice, "o", color=colour, alpha=0.4, markersize=4)
            means = [(eyes, float(np.mean(dice))) for eyes, dice in sorted(points.items())]
            if means:
                label = {"random": "from random values"}.get(start, f"from {start}")
                axes.plot(*zip(*means, strict=True), color=colour, label=label)
        axes.set_xscale("symlog", linthresh=2)
        ticks = sorted({row.eyes for row in rows})
        axes.set_xticks(ticks, [str(eyes) for eyes in ticks], minor=False)
        axes.minorticks_off()
        axes.set(xlabel="labelled eyes", ylabel="mean Dice", title=f"{title}: {TASK_NAMES[task]}")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    with written_whole(path) as partial:
        figure.savefig(partial, dpi=150)


def _evaluate_shipped(options: argparse.Namespace) -> int:
    options.out.mkdir(parents=True, exist_ok=True)
    return run_command(
        ["evaluate", "--weights", SHIPPED, "--data", str(options.octa500), "--name", "octa500",
         "--subset", options.subset, "--split", "val", "--out", str(options.out / SHIPPED)]
    )  # fmt: skip


def _means(dice: dict[str, dict[str, float]]) -> dict[str, float | None]:
    """Task -> mean over its cases; None without any."""
    return {
        task: float(np.mean(list(dice[task].values()))) if dice.get(task) else None
        for task in TASK_NAMES
    }


def _counts(text: str) -> tuple[int, ...]:
    """Parse numbers of at least 1 with commas between."""
    return tuple(sorted({positive(part) for part in text.split(",")}))


if __name__ == "__main__":
    leave(run_program(main))
