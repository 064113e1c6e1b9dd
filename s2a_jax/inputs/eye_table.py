"""The table of eyes: laterality, axial length and pixel pitch of each eye."""

import csv
import difflib
from dataclasses import dataclass
from pathlib import Path

from s2a_jax.errors import UserError

COLUMNS = ("laterality", "axial_length_mm", "um_per_px")


@dataclass(frozen=True)
class EyeRow:
    """One row; None where the cell is empty or the column is missing.

    Attributes:
        laterality: text of the cell.
        axial_length_mm: axial length, mm.
        um_per_px: pixel pitch, um.
    """

    laterality: str | None = None
    axial_length_mm: float | None = None
    um_per_px: float | None = None


def read_eyes(path: str | Path) -> dict[str, EyeRow]:
    """Reads a CSV with a column `id` and any of laterality, axial_length_mm, um_per_px.

    Other columns are ignored, unless one of these is missing and another has almost its name.

    Args:
        path: UTF-8 with the separator comma, or semicolon, which spreadsheets write in many
            countries. With semicolons all numbers may have decimal commas (24,5). `id` is the
            image's file name without extension.

    Raises:
        UserError: the file cannot be read, the column id or all others are missing or misspelt,
            there is no row, an id occurs twice, a row has more cells than columns, a number is
            malformed, or decimal commas are ambiguous.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            separator = ";" if ";" in header and "," not in header else ","
            file.seek(0)
            reader = csv.DictReader(file, delimiter=separator)
            rows = list(reader)
            columns = reader.fieldnames or []
    except UnicodeDecodeError as error:
        raise UserError(
            f"--eyes={path} is not in UTF-8; save it as a CSV file in UTF-8."
        ) from error
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--eyes={path} cannot be read as a CSV file: {reason}.") from error
    if "id" not in columns or not set(columns) & set(COLUMNS):
        raise UserError(
            f"--eyes={path}, read with {separator!r} as separator, has the columns "
            f"{', '.join(columns) or 'none'}; expected id and any of {', '.join(COLUMNS)}, "
            "separated by commas or semicolons."
        )
    others = [column for column in columns if column not in COLUMNS]
    for name in (name for name in COLUMNS if name not in columns):
        # um_per_px_raw is another quantity, not a misspelling.
        candidates = [column for column in others if name not in column]
        if close := difflib.get_close_matches(name, candidates, 1, cutoff=0.9):
            raise UserError(f"--eyes={path} has the column {close[0]}; write {name} for it.")
    if not rows:
        raise UserError(
            f"--eyes={path} has no row below its header; add the eyes, or leave it out."
        )
    eyes: dict[str, EyeRow] = {}
    numbers = _Numbers(path, separator)
    for row in rows:
        id_ = (row["id"] or "").strip()
        if None in row:
            raise UserError(
                f"--eyes={path}: the row of {id_!r} has more cells than there are columns; the "
                f"separator is {separator!r}, so a number like 24,5 is written "
                f"{'24.5' if separator == ',' else 'as it is'}."
            )
        if id_ in eyes:
            raise UserError(f"--eyes={path} has two rows with the id {id_!r}; keep one of them.")
        cells = {name: (row.get(name) or "").strip() or None for name in COLUMNS}
        eyes[id_] = EyeRow(
            laterality=cells["laterality"],
            axial_length_mm=numbers.read(cells["axial_length_mm"], id_, "axial_length_mm"),
            um_per_px=numbers.read(cells["um_per_px"], id_, "um_per_px"),
        )
    return eyes


class _Numbers:
    """Reads the numbers of one file, which have decimal points or decimal commas, but not both."""

    def __init__(self, path: str | Path, separator: str):
        self.path, self.separator = path, separator
        self.marks: dict[str, str] = {}  # "." or "," -> the first cell with it

    def read(self, cell: str | None, id_: str, column: str) -> float | None:
        if cell is None:
            return None
        where = f"--eyes={self.path} has {cell!r} as {column} of {id_!r}"
        for mark in {".", ","} & set(cell):
            self.marks.setdefault(mark, cell)
        if "," in self.marks and (self.separator == "," or len(self.marks) > 1):
            other = next((f" and {one!r}" for one in self.marks.values() if one != cell), "")
            raise UserError(
                f"{where}{other}, with the separator {self.separator!r}; write decimal points, or "
                "decimal commas in all numbers and semicolons as separators."
            )
        try:
            return float(cell.replace(",", "."))
        except ValueError:
            raise UserError(f"{where}; expected a number or nothing.") from None
