"""What a comparison prints and writes: tables, CSV, Markdown and pictures."""

import csv
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.box
from rich.console import Console
from rich.table import Table

from s2a_jax.comparison.figures import draw_curves, draw_dice, write_sheets
from s2a_jax.comparison.folds import pooled
from s2a_jax.comparison.plan import Run
from s2a_jax.comparison.results import (
    OUT_OF_FOLD,
    SPLITS,
    TASK_NAMES,
    Result,
    common_cases,
    read_result,
)
from s2a_jax.comparison.statistics import Row, compare
from s2a_jax.data.sets import DATA_SETS
from s2a_jax.errors import UserError
from s2a_jax.evaluation.published import Published, citation_number, citations, published_for
from s2a_jax.files import text_cell, writing
from s2a_jax.statistics.significance import FEWEST_CASES

_HEADER = ("network", "M", "min", "Dice ± sd", "95 % interval", "seed sd", "difference", "p",
           "effect", "seeds")  # fmt: skip

_NONE = "–"  # a single case has no spread


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
        folder: where the files go; made if it is not there.
        runs: finished runs of the plan.
        added: name and folder of other finished runs; runs with one name are its seeds.
        reference: name that all others are tested against.
        data: the data section of the configuration.
        console: for tables and sentences.

    Raises:
        UserError: results are missing, or the runs were evaluated on different cases.
    """
    each = [read_result(run.name, run.seed, run.workdir.path, run.fold) for run in runs]
    for name, path in added:
        seed = max((result.seed for result in each if result.name == name), default=-1) + 1
        each.append(read_result(name, seed, path))
    results, left_out = each, []
    if runs and runs[0].fold is not None:
        results, left_out = pooled(each, runs[0].config.data.folds)
    if reference not in {result.name for result in results}:
        why = f"No run of the reference {reference} is finished; train it first."
        raise UserError(" ".join((*left_out, why)))
    cases = common_cases(results)
    rows = compare(results, cases, reference)
    published = published_for(data["name"], data["subset"])
    without = f"There are no published numbers for config.data.name={data['name']}"
    data_set = DATA_SETS.get(data["name"])
    without += f", subset {data['subset']}." if data_set and data_set.has_subsets else "."

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_cases(folder / "compare.csv", results, cases)
        write_tables(folder, rows, published, without)
        draw_dice(folder / "dice.png", results, cases)
        draw_curves(folder / "curves.png", each)
        sheets = write_sheets(folder / "cases", each)

    for sentence in left_out:
        console.print(sentence)
    for split in SPLITS:
        if split not in cases and OUT_OF_FOLD not in cases:
            console.print(f"Not every run has results on {split} cases: left out.")
    for table in console_tables(rows):
        console.print(table)
    for sentence in notes(rows):
        console.print(sentence)
    if published:
        console.print(published_table(published))
        for sentence in citations(published):
            console.print(sentence)
    else:
        console.print(without)
    pictures = f"dice.png, curves.png{f', cases/ ({len(sheets)})' if sheets else ''}"
    console.print(f"{folder}: table.md, table.csv, compare.csv, {pictures}")


def cells(row: Row) -> tuple[str, ...]:
    """The cells of one row, in the order of the columns."""
    if row.difference is None:
        tested = ("reference", "", "")
    else:
        few = f"n < {FEWEST_CASES}"
        p = few if row.p is None else "< 0.001" if row.p < 0.001 else f"{row.p:.3f}"
        effect = _NONE if row.effect is None else f"{row.effect:+.2f}"
        tested = (f"{row.difference:+.4f}", p, effect)
    return (
        row.name,
        "" if row.parameters is None else f"{row.parameters / 1e6:.2f}",
        "" if row.minutes is None else f"{row.minutes:.1f}",
        f"{row.mean:.4f} ± " + (_NONE if row.sd is None else f"{row.sd:.4f}"),
        _NONE if row.low is None else f"{row.low:.4f} to {row.high:.4f}",
        "" if row.seed_sd is None else f"{row.seed_sd:.4f}",
        *tested,
        str(row.seeds),
    )


def console_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """One table for each split and task."""
    for title, group in _groups(rows):
        table = Table(title=title, title_justify="left", box=rich.box.SIMPLE, padding=(0, 1, 0, 0))
        for name in _HEADER:
            table.add_column(name, justify="left" if name == "network" else "right", no_wrap=True)
        for row in group:
            table.add_row(*cells(row))
        yield table


def published_table(published: tuple[Published, ...]) -> Table:
    """Published Dice in percent; numbers in brackets refer to `citations`."""
    table = Table(
        title="Published Dice in %, under other protocols: not to be compared with the rows above",
        title_justify="left",
        box=rich.box.SIMPLE,
    )
    for name in ("method", "RV", "FAZ", "source"):
        table.add_column(name, justify="left" if name == "method" else "right", no_wrap=True)
    for one in published:
        table.add_row(*_published_cells(one, published))
    return table


def notes(rows: Sequence[Row]) -> list[str]:
    """Sentences that explain the columns."""
    several = len({row.name for row in rows}) > 2
    folds = [
        "Out of fold: all train and val cases, each scored by the run that held out its fold (and, "
        "with config.eval.choose=best, chose its checkpoint by that fold); min is the time of one "
        "fold."
    ]
    return [
        *(folds if any(row.split == OUT_OF_FOLD for row in rows) else ()),
        "M: millions of parameters; min: minutes of training steps, without compilation and "
        "evaluation. A case's Dice is its mean over the seeds; mean, sd and the bootstrap interval "
        "are over cases, seed sd over the seeds' means.",
        "Against the reference: mean difference, p of the paired Wilcoxon signed-rank test"
        + (", corrected by Holm for the number of networks" if several else "")
        + ", matched-pairs rank-biserial correlation (positive: better than the reference).",
    ]


def write_tables(
    folder: Path, rows: Sequence[Row], published: tuple[Published, ...], without: str
) -> None:
    """Writes table.csv (every field of every row) and table.md (the tables as Markdown).

    Args:
        folder: must exist.
        rows: rows of all splits and tasks.
        published: published results to state below them.
        without: sentence to state where nothing is published.
    """
    names = [field.name for field in dataclasses.fields(Row)]
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([_cell(getattr(row, name)) for name in names] for row in rows)
    parts = []
    for title, group in _groups(rows):
        parts.append(f"**{title}**\n\n" + _markdown(_HEADER, [cells(row) for row in group]))
    parts += notes(rows)
    if published:
        table = [_published_cells(one, published) for one in published]
        parts.append(
            "Published Dice in %, under other protocols, so not to be compared with the rows above:"
        )
        parts.append(_markdown(("method", "RV", "FAZ", "source"), table))
        parts.append("\n".join(f"- {sentence}" for sentence in citations(published)))
    else:
        parts.append(without)
    (folder / "table.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def write_cases(
    path: Path,
    results: Sequence[Result],
    cases: Mapping[str, Mapping[str, Sequence[str]]],
) -> None:
    """Writes one row per run, split and case: Dice of both tasks, empty without a mask.

    `fold` is the one that held out the case, in a cross-validation.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("network", "seed", "split", "fold", "id", "rv_dice", "faz_dice"))
        for result in results:
            for split, tasks in cases.items():
                dice = result.dice[split]
                for case in sorted({case for ids in tasks.values() for case in ids}):
                    values = (dice.get(task, {}).get(case) for task in ("rv", "faz"))
                    fold = result.fold_of.get(case)
                    row = (result.name, result.seed, split, fold, case, *values)
                    writer.writerow(map(_cell, row))


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    keys = dict.fromkeys((row.split, row.task) for row in rows)
    for split, task in keys:
        group = [row for row in rows if (row.split, row.task) == (split, task)]
        n = group[0].cases
        yield f"{split}, {TASK_NAMES[task]}: {n} case{'s' if n > 1 else ''}", group


def _published_cells(one: Published, published: tuple[Published, ...]) -> tuple[str, ...]:
    rv, faz = ("" if value is None else f"{value:.2f}" for value in (one.rv, one.faz))
    return one.method, rv, faz, f"[{citation_number(one, published)}]"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, str):
        return text_cell(value)
    return f"{value:.6g}" if isinstance(value, float) else value
