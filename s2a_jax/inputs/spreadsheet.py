"""Tables of text as spreadsheets save them: encoding, separator and cells."""

import codecs
import csv
import io
import re
from pathlib import Path
from typing import NamedTuple

from s2a_jax.errors import UserError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_DECLARATION = re.compile(r'"?sep=([,;\t])"?[,;\t]*(\r\n?|\n)', re.IGNORECASE)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx, .ods and .numbers are ZIP files; .xls
_SAVE = "save it as CSV (in Excel: Save As, CSV UTF-8)"


class Sheet(NamedTuple):
    """The cells of a table, without spaces around them and without empty rows.

    Attributes:
        header: cells of the first row.
        rows: line number and cells of each further row.
        separator: one of `SEPARATORS`.
        is_utf: whether the file is in UTF-8 or UTF-16; otherwise it was read as Windows-1252.
    """

    header: list[str]
    rows: list[tuple[int, list[str]]]
    separator: str
    is_utf: bool


def read_sheet(path: str | Path, name: str) -> Sheet:
    """Reads a CSV file, or what Excel calls "Unicode text".

    Args:
        path: UTF-8, UTF-16 with a byte order mark, or Windows-1252; separated by commas, semicolons
            or tabs, as a first line `sep=;` says, or else by the one that splits the header into
            most cells. Cells may be quoted.
        name: name of the file in messages.

    Raises:
        UserError: the file cannot be read, is a workbook, or has a quotation mark without its pair.
    """
    try:
        text, is_utf = _decode(Path(path).read_bytes(), name)
        declared = _DECLARATION.match(text)
        separator = declared[1] if declared else _separator(text)
        if declared:
            text = "\n" + text[declared.end() :]  # keeps the numbers of lines
        # Not strict, a quotation mark without its pair would swallow the rows below it.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        cells = ((reader.line_num, [cell.strip() for cell in row]) for row in reader)
        rows = [(line, row) for line, row in cells if any(row)]
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        place = f" (line {reader.line_num})" if isinstance(error, csv.Error) else ""
        raise UserError(f"{name} cannot be read as a CSV file: {reason}{place}.") from error
    header = rows[0][1] if rows else []
    return Sheet(header, rows[1:], separator, is_utf)


def _decode(content: bytes, name: str) -> tuple[str, bool]:
    """The text, and whether it is in a Unicode encoding."""
    if content.startswith(_WORKBOOKS):
        raise UserError(f"{name} is a workbook of a spreadsheet program, not a CSV file; {_SAVE}.")
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text, is_utf = content.decode("utf-16" if is_utf16 else "utf-8-sig"), True
    except UnicodeDecodeError:
        # Windows-1252 leaves five bytes undefined.
        text, is_utf = content.decode("cp1252", errors="replace"), False
    if "\0" in text or (not is_utf and (is_utf16 or "\ufffd" in text)):
        raise UserError(f"{name} is not in UTF-8, UTF-16 or Windows-1252; {_SAVE}.")
    return text, is_utf


def _separator(text: str) -> str:
    """The separator that splits the first row with text into most cells."""
    header = next((line for line in text.splitlines() if line.strip(" ,;\t")), "")
    return max(SEPARATORS, key=lambda one: len(next(csv.reader([header], delimiter=one), [])))
