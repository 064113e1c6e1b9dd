"""The table of eyes: laterality, axial length and pixel pitch or field of each eye."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted, first_few, fold_name, nfc
from s2a_jax.inputs.spreadsheet import SEPARATORS, Sheet, read_sheet

COLUMNS = ("laterality", "axial_length_mm", "um_per_px", "field_mm")
_NUMBERS = COLUMNS[1:]
_ALSO = {"laterality": "eye"}
"""Another name of a column, where that one is missing."""

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_CLOSE = 0.85  # similarity of a column's name to that of a missing one


@dataclass(frozen=True)
class EyeRow:
    """One row; None where the cell is empty or the column is missing.

    Attributes:
        laterality: text of the cell.
        axial_length_mm: axial length, mm.
        um_per_px: pixel pitch, um.
        field_mm: side of the square field of view, mm, which gives the pitch too; one of them is
            None.
    """

    laterality: str | None = None
    axial_length_mm: float | None = None
    um_per_px: float | None = None
    field_mm: float | None = None


@dataclass(frozen=True)
class EyeTable:
    """A table of eyes.

    Attributes:
        path: the file.
        rows: id in the Unicode form NFC -> row.
        notes: sentences to print about how the file was read.
    """

    path: Path
    rows: dict[str, EyeRow]
    notes: tuple[str, ...] = ()


class _Cell(NamedTuple):
    """A cell that should hold a number."""

    text: str
    column: str
    id: str

    @property
    def place(self) -> str:
        return f"{self.text!r} as {self.column} of {self.id!r}"


def read_eyes(path: str | Path) -> EyeTable:
    """Reads a table with a column `id` and any of `COLUMNS`; `eye` is laterality too.

    Column names are compared without case, spaces, underscores and hyphens. Other columns are
    ignored, which a note says, unless one of these is missing and another has almost its name.

    Args:
        path: as for `read_sheet`. Either all numbers have decimal points or all have decimal commas
            (24,5). `id` is the image's file name; see `match_rows`.

    Raises:
        UserError: the file cannot be read, the column id or all others are missing or misspelt,
            there is no row, a row has no id, more cells than columns or both um_per_px and
            field_mm, an id occurs twice, or a number is malformed, or ambiguous as 1.234,5 is, and
            1,234 between commas.
    """
    path = Path(path)
    name = f"--eyes={path}"
    sheet = read_sheet(path, name)
    places = _places(sheet, name)
    if not sheet.rows:
        raise UserError(f"{name} has no row below its header; add the eyes, or leave it out.")
    texts: dict[str, dict[str, str]] = {}
    for line, row in sheet.rows:
        cells = {column: row[i] if i < len(row) else "" for column, i in places.items()}
        id_ = nfc(cells.pop("id"))
        if len(row) > len(sheet.header):
            raise UserError(
                f"{name}: the row of {id_!r} has more cells than there are columns; the separator "
                f"is {sheet.separator!r}, so a number like 24,5 is written "
                f"{'24.5' if sheet.separator == ',' else 'as it is'}."
            )
        if not id_:
            raise UserError(f"{name}: line {line} has no id; add it, or remove the row.")
        if id_ in texts:
            raise UserError(f"{name} has two rows with the id {id_!r}; keep one of them.")
        texts[id_] = cells
        if cells.get("um_per_px") and cells.get("field_mm"):
            raise UserError(
                f"{name}: {id_!r} has both um_per_px and field_mm; leave one of the cells empty."
            )
    numbers = [column for column in places if column in _NUMBERS]
    cells = (_Cell(row[column], column, id_) for id_, row in texts.items() for column in numbers)
    _check_numbers([cell for cell in cells if cell.text], sheet.separator, name)
    rows = {
        id_: EyeRow(
            laterality=row.get("laterality") or None,
            **{column: _number(row.get(column)) for column in _NUMBERS},
        )
        for id_, row in texts.items()
    }
    special = [id_ for id_ in rows if not id_.isascii()]
    notes = []
    if special and not sheet.is_utf:
        notes.append(
            f"{path} is not in UTF-8 and was read as Windows-1252: check the ids "
            f"{first_few(special)}."
        )
    used = places.values()
    if ignored := [cell for i, cell in enumerate(sheet.header) if cell and i not in used]:
        notes.append(f"{path}: ignored {counted(len(ignored), 'column')}: {first_few(ignored)}.")
    return EyeTable(path, rows, tuple(notes))


def match_rows(
    table: EyeTable, files: Mapping[str, Sequence[str]]
) -> tuple[dict[str, EyeRow], tuple[str, ...]]:
    """Finds the row of each image.

    An id is the name of an image's file without its extension. It may also have the extension. If
    it fits one image only, it may differ in upper and lower case, and a number may lack its leading
    zeros, which spreadsheets drop.

    Args:
        table: the table.
        files: id of an image -> names of its files, both in the form NFC.

    Returns:
        rows: id of an image -> its row; images without a row are missing.
        notes: sentences to print: how the file was read, what was matched how, and what has no
            match.

    Raises:
        UserError: no row has a file, two rows have the same one, or one fits several images.
    """
    by_file = {file: id_ for id_, names in files.items() for file in names}
    by_lower: dict[str, set[str]] = {}
    by_number: dict[str, set[str]] = {}
    for id_, names in files.items():
        for name in (id_, *names):
            by_lower.setdefault(name.lower(), set()).add(id_)
        if id_.isascii() and id_.isdecimal():
            by_number.setdefault(id_.lstrip("0") or "0", set()).add(id_)
    matches: dict[str, str] = {}  # id of an image -> id of its row
    with_extension, other_case, without_zeros, unmatched = [], [], [], []
    for id_ in table.rows:
        if id_ in files:
            match = id_
        elif id_ in by_file:
            match = by_file[id_]
            with_extension.append(id_)
        elif rivals := by_lower.get(id_.lower()):
            match = _only(rivals, id_, "if upper and lower case do not count", table.path)
            other_case.append(f"{id_} for {match}")
        elif rivals := by_number.get(id_):
            match = _only(rivals, id_, "without the zeros that spreadsheets drop", table.path)
            without_zeros.append(f"{id_} for {match}")
        else:
            unmatched.append(id_)
            continue
        if match in matches:
            raise UserError(
                f"--eyes={table.path} has two rows for {match}: {matches[match]!r} and {id_!r}; "
                "keep one of them."
            )
        matches[match] = id_
    if not matches:
        below = ""
        if any("/" in id_ for id_ in table.rows) and not any("/" in id_ for id_ in files):
            below = "; ids with folders need analyze --recursive on the folder above them"
        raise UserError(
            f"No id of --eyes={table.path} ({first_few(list(table.rows))}) is the name of a file "
            f"({first_few(list(files))}); an id is the file's name without extension{below}."
        )
    notes = list(table.notes)
    for ids, how in (
        (with_extension, "with the file's extension"),
        (other_case, "without regard to upper and lower case"),
        (without_zeros, "without leading zeros, as spreadsheets save numbers"),
    ):
        if ids:
            count = counted(len(ids), "id")
            notes.append(f"{count} of {table.path} matched {how}: {first_few(ids)}.")
    if unmatched:
        rows = counted(len(unmatched), "row")
        notes.append(f"{rows} of {table.path} without a file: {first_few(unmatched)}.")
    if lacking := [id_ for id_ in files if id_ not in matches]:
        images = counted(len(lacking), "file")
        notes.append(f"{images} without a row in {table.path}: {first_few(lacking)}.")
    return {id_: table.rows[row] for id_, row in matches.items()}, tuple(notes)


def _only(rivals: set[str], id_: str, how: str, path: Path) -> str:
    """The only image that an id fits; raises a UserError if there are several."""
    if len(rivals) > 1:
        raise UserError(
            f"--eyes={path}: the id {id_} may be {' or '.join(sorted(rivals))}, {how}; write ids "
            "as the files are named."
        )
    (match,) = rivals
    return match


def _places(sheet: Sheet, name: str) -> dict[str, int]:
    """Column -> its place in a row."""
    known = {fold_name(column): column for column in ("id", *COLUMNS)}
    header = [fold_name(cell) for cell in sheet.header]
    also = {other: column for column, other in _ALSO.items() if column not in header}
    places: dict[str, int] = {}
    others = {}
    for i, (cell, folded) in enumerate(zip(sheet.header, header, strict=True)):
        column = known.get(folded) or also.get(folded)
        if column is None:
            others[folded] = cell
        elif column in places:
            raise UserError(f"{name} has two columns {column}; keep one of them.")
        else:
            places[column] = i
    if "id" not in places or len(places) < 2:
        raise UserError(
            f"{name}, read with {sheet.separator!r} as separator, has the columns "
            f"{', '.join(filter(None, sheet.header)) or 'none'}; expected id and any of "
            f"{', '.join(COLUMNS)}, separated by {_either(SEPARATORS.values())}."
        )
    for folded, column in known.items():
        # um_per_px_raw is another quantity, not a misspelling.
        candidates = [other for other in others if column not in places and folded not in other]
        if close := difflib.get_close_matches(folded, candidates, 1, cutoff=_CLOSE):
            raise UserError(f"{name} has the column {others[close[0]]}; write {column} for it.")
    return places


def _either(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"


def _check_numbers(cells: Sequence[_Cell], separator: str, name: str) -> None:
    """Raises a UserError unless every cell is a number that can be read in one way only."""
    for cell in cells:
        if "." in cell.text and "," in cell.text:
            raise UserError(f"{name} has {cell.place}; write the number without thousands marks.")
        if not _NUMBER.fullmatch(cell.text):
            raise UserError(f"{name} has {cell.place}; expected a number or nothing.")
    points = [cell for cell in cells if "." in cell.text]
    commas = [cell for cell in cells if "," in cell.text]
    if points and commas:
        raise UserError(
            f"{name} has {commas[0].place}, and {points[0].place}; write all numbers with decimal "
            "points, or all with decimal commas."
        )
    # Spreadsheets separate cells by commas where the comma is no decimal mark. With other
    # separators it is one, and thousands would be out of the range of every column.
    may_be_thousands = all(_MAYBE_THOUSANDS.fullmatch(cell.text) for cell in commas)
    if commas and may_be_thousands and separator == ",":
        first = commas[0].text
        raise UserError(
            f"{name} has {commas[0].place}, which may be {first.replace(',', '.')} or "
            f"{first.replace(',', '')}, since commas separate the cells; write decimal points."
        )


def _number(text: str | None) -> float | None:
    return float(text.replace(",", ".")) if text else None
