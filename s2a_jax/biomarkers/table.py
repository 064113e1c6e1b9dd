"""Tables of measured eyes: the CSV file and a summary on the console."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from s2a_jax.biomarkers.measure import is_biomarker
from s2a_jax.console import make_console
from s2a_jax.files import text_cell, written_whole

Row = Mapping[str, str | float]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Writes a CSV file with a column for every name in the rows; NaN becomes an empty cell.

    Text goes through `text_cell`.

    Raises:
        UserError: the file cannot be written.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with written_whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name, "")) for name in columns] for row in rows)


def print_summary(rows: Sequence[Row]) -> None:
    """Prints count, mean, standard deviation and range of each biomarker over the eyes."""
    table = Table("biomarker", title="1 eye" if len(rows) == 1 else f"{len(rows)} eyes")
    for heading in ("eyes", "mean ± sd", "range"):
        table.add_column(heading, justify="right")
    for name in dict.fromkeys(name for row in rows for name in row):
        cells = [row.get(name, np.nan) for row in rows]
        if not is_biomarker(name) or any(isinstance(cell, str) for cell in cells):
            continue
        values = np.array(cells)[~np.isnan(cells)]
        if values.size:
            spread = f" ± {values.std(ddof=1):.3g}" if values.size > 1 else ""
            table.add_row(
                name,
                str(values.size),
                f"{values.mean():.4g}{spread}",
                f"{values.min():.4g} to {values.max():.4g}",
            )
    # Wide enough for the names where the output is not a terminal.
    console = make_console()
    make_console(width=None if console.is_terminal else 100).print(table)


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return text_cell(value)
    return "" if np.isnan(value) else f"{value:.6g}"
