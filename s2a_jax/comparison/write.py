"""From finished runs to everything that the comparison prints and writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from s2a_jax.comparison.figures import draw_curves, draw_dice, write_sheets
from s2a_jax.comparison.gather import SPLITS, common_cases, read_result
from s2a_jax.comparison.plan import Run
from s2a_jax.comparison.statistics import compare
from s2a_jax.comparison.tables import (
    console_tables,
    notes,
    published_table,
    write_cases,
    write_tables,
)
from s2a_jax.errors import UserError
from s2a_jax.evaluation.published import published_for, sources


def write_comparison(
    folder: Path,
    runs: Sequence[Run],
    added: Sequence[tuple[str, Path]],
    reference: str,
    data: Mapping[str, Any],
    console: Console,
) -> None:
    """Prints the tables; writes compare.csv, table.csv, table.md, dice.png, curves.png, cases/.

    Args:
        folder: where all of it goes.
        runs: finished runs of the plan.
        added: name and workdir of other finished runs; those of one name are its seeds.
        reference: the name that all others are tested against.
        data: the data section of the configuration.
        console: for tables and sentences.

    Raises:
        UserError: results are missing, or the runs were evaluated on different cases.
    """
    results = [read_result(run.name, run.seed, run.workdir.path) for run in runs]
    for name, path in added:
        seed = max((result.seed for result in results if result.name == name), default=-1) + 1
        results.append(read_result(name, seed, path))
    if reference not in {result.name for result in results}:
        raise UserError(f"No run of the reference {reference} is finished: there is no comparison.")
    cases = common_cases(results)
    rows = compare(results, cases, reference)
    published = published_for(data["name"], data["subset"])
    without = f"There are no published numbers for config.data.name={data['name']}"
    without += f", subset {data['subset']}." if data["name"] in ("octa500", "rose") else "."

    folder.mkdir(parents=True, exist_ok=True)
    write_cases(folder / "compare.csv", results, cases)
    write_tables(folder, rows, published, without)
    draw_dice(folder / "dice.png", results, cases)
    draw_curves(folder / "curves.png", results)
    sheets = write_sheets(folder / "cases", results)

    for split in SPLITS:
        if split not in cases:
            console.print(f"Not every run has results on {split} cases: left out.")
    for table in console_tables(rows):
        console.print(table)
    for sentence in notes(rows):
        console.print(sentence)
    if published:
        console.print(published_table(published))
        for sentence in sources(published):
            console.print(sentence, markup=False)
    else:
        console.print(without)
    pictures = f"dice.png, curves.png{f', cases/ ({len(sheets)})' if sheets else ''}"
    console.print(f"{folder}: table.md, table.csv, compare.csv, {pictures}")
