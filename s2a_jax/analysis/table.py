"""What is written about all eyes of a command: table, summary and contact sheets."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from s2a_jax.analysis.contact_sheet import Tile, write_sheets
from s2a_jax.analysis.html import EyeEntry, page
from s2a_jax.biomarkers.table import Row, write_rows
from s2a_jax.files import written_whole
from s2a_jax.inference.journal import Finished
from s2a_jax.inputs.names import counted, file_name_of

SUMMARY = "summary.html"


def eye_rows(finished: Iterable[Finished]) -> list[Row]:
    """Rows of the table with the same columns: the id first, the notes last."""
    rows = []
    for one in finished:
        values = {name: np.nan if v is None else v for name, v in one.row["row"].items()}
        rows.append({"id": one.id, **values, "notes": " ".join(one.row["sentences"])})
    columns = [*dict.fromkeys(name for row in rows for name in row if name != "notes"), "notes"]
    return [{name: row.get(name, np.nan) for name in columns} for row in rows]


def write_table(path: Path, finished: Iterable[Finished]) -> list[Row]:
    """Writes one row per eye; returns the rows.

    Raises:
        UserError: the file cannot be written.
    """
    rows = eye_rows(finished)
    write_rows(path, rows)
    return rows


def write_summary(
    folder: Path, finished: Sequence[Finished], failed: Iterable[tuple[str, str]]
) -> None:
    """Writes summary.html and the contact sheets beside the eyes' overlays.

    Args:
        folder: of the results.
        finished: the eyes.
        failed: id and reason of images without a result.

    Raises:
        UserError: a file cannot be written, or an overlay was removed meanwhile.
    """
    tiles, entries = [], []
    for one, row in zip(finished, eye_rows(finished), strict=True):
        overlay = f"{file_name_of(one.id)}_overlay.png"
        tiles.append(Tile(folder / overlay, one.id, row["quality"]))
        entries.append(EyeEntry(one.id, quote(overlay), row, tuple(one.row["sentences"])))
    write_sheets(folder, tiles)
    with written_whole(folder / SUMMARY) as partial:
        title = f"{counted(len(entries), 'eye')} analyzed"
        partial.write_text(page(entries, title=title, failed=failed), encoding="utf-8")
