"""The table of eyes: what is known of each beside its image."""

import csv
from dataclasses import dataclass
from pathlib import Path

from s2a_jax.errors import UserError

COLUMNS = ("laterality", "axial_length_mm", "um_per_px")


@dataclass(frozen=True)
class EyeRow:
    """One row; None where its cell is empty or the column is missing.

    Attributes:
        laterality: as it is written there.
        axial_length_mm: mm.
        um_per_px: pixel pitch, um.
    """

    laterality: str | None = None
    axial_length_mm: float | None = None
    um_per_px: float | None = None


def read_eyes(path: str | Path) -> dict[str, EyeRow]:
    """Reads a CSV with a column `id` and any of laterality, axial_length_mm, um_per_px.

    Other columns are not looked at.

    Args:
        path: UTF-8, comma-separated; `id` is the image's file name without extension.

    Raises:
        UserError: no such file, no column id or none of the others, an id twice, no number where
            one is expected.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--eyes={path} cannot be read as a CSV file ({error}).") from error
    if "id" not in columns or not set(columns) & set(COLUMNS):
        raise UserError(
            f"--eyes={path} has the columns {', '.join(columns) or 'none'}; expected id and any of "
            f"{', '.join(COLUMNS)}, separated by commas."
        )
    eyes: dict[str, EyeRow] = {}
    for row in rows:
        id_ = (row["id"] or "").strip()
        if id_ in eyes:
            raise UserError(f"--eyes={path} has two rows with the id {id_!r}; keep one of them.")
        cells = {name: (row.get(name) or "").strip() or None for name in COLUMNS}
        eyes[id_] = EyeRow(
            laterality=cells["laterality"],
            axial_length_mm=_number(cells["axial_length_mm"], path, id_, "axial_length_mm"),
            um_per_px=_number(cells["um_per_px"], path, id_, "um_per_px"),
        )
    return eyes


def _number(cell: str | None, path: str | Path, id_: str, column: str) -> float | None:
    if cell is None:
        return None
    try:
        return float(cell)
    except ValueError:
        raise UserError(
            f"--eyes={path} has {cell!r} as {column} of {id_!r}; expected a number or nothing."
        ) from None
