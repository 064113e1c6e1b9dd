"""Tables of eyes as spreadsheets save them, and which row belongs to which image."""

import csv
import io
import unicodedata

import pytest

from s2a_jax.errors import UserError
from s2a_jax.inputs.eye_table import EyeRow, EyeTable, match_rows, read_eyes

CELLS = (
    ("ID ", " Laterality", "Axial length mm", "UM_PER_PX", "", "remark"),
    ("", " ", "", "", "", ""),
    ("001", "OD", "24.5", "9.868", "", 'said: "well, 1;2"'),
    ("", "", "", "", "", ""),
    (" müller", "", "", " 12", "", ""),
)
ROWS = {"001": EyeRow("OD", 24.5, 9.868), "müller": EyeRow(None, None, 12.0)}


def table(tmp_path, content, encoding="utf-8"):
    path = tmp_path / "eyes.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("declared", ["", "sep={}", '"SEP={}"'])
@pytest.mark.parametrize(
    ("separator", "mark"),
    [(",", "."), (",", ","), (";", "."), (";", ","), ("\t", ","), ("\t", ".")],
)
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "windows-1252"]
)
def test_what_a_spreadsheet_saves(tmp_path, encoding, separator, mark, declared, quoting):
    text = io.StringIO()
    if declared:
        text.write(declared.format(separator) + "\r\n")
    rows = [[cell.replace(".", mark) for cell in row] for row in CELLS]
    csv.writer(text, delimiter=separator, quoting=quoting).writerows(rows)
    order_mark = "\ufeff" if "16" in encoding else ""
    path = table(tmp_path, order_mark + text.getvalue(), encoding)
    eyes = read_eyes(path)
    assert eyes.rows == ROWS
    note = f"{path} is not in UTF-8 and was read as Windows-1252: check the ids müller."
    ignored = f"{path}: ignored 1 column: remark."
    assert eyes.notes == ((note, ignored) if encoding == "windows-1252" else (ignored,))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(tmp_path, end):
    text = end.join(("sep=;", "id;um_per_px", "a;9,5", ""))
    assert read_eyes(table(tmp_path, text)).rows == {"a": EyeRow(um_per_px=9.5)}


def test_windows_1252_is_said_only_where_it_matters(tmp_path):
    path = table(tmp_path, "id,laterality,remark\na,OD,schön\n", "windows-1252")
    assert read_eyes(path).notes == (f"{path}: ignored 1 column: remark.",)


@pytest.mark.parametrize(
    ("header", "expected", "ignored"),
    [
        ("ID,Eye,um per px,Field mm", EyeRow("OS", None, 9.5), ""),
        ("id,eye,um_per_px_raw,FIELD-MM", EyeRow("OS", None, None, 3.0), "um_per_px_raw"),
        ("id,site,laterality,eye", EyeRow("9.5"), "site, eye"),
    ],
)
def test_names_of_columns(tmp_path, header, expected, ignored):
    pitch, field = ("9.5", "") if "um per px" in header else ("9.5", "3")
    path = table(tmp_path, f"{header}\na,OS,{pitch},{field}\n")
    eyes = read_eyes(path)
    assert eyes.rows == {"a": expected}
    count = len(ignored.split(", "))
    note = f"{path}: ignored {count} column{'s' * (count > 1)}: {ignored}."
    assert eyes.notes == ((note,) if ignored else ())


@pytest.mark.parametrize(
    ("text", "pitch"),
    [
        ("id;um_per_px\na;9,868\n", 9.868),  # a comma is no thousands mark beside semicolons
        ("id\tum_per_px\na\t9,868\n", 9.868),
        ('id,um_per_px\na,"9,868"\nb,"9,8"\n', 9.868),  # as b shows
        ('id,um_per_px\na,"0,868"\n', 0.868),
        ("id,um_per_px\na,1.2e1\n", 12.0),
        ("id,um_per_px\na,.5\n", 0.5),
    ],
)
def test_numbers(tmp_path, text, pitch):
    assert read_eyes(table(tmp_path, text)).rows["a"].um_per_px == pitch


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id;axial_length_mm\na;24.5\nb;24,5\n", "'24,5' as axial_length_mm of 'b', and '24.5'"),
        ("id,axial_length_mm\na,24,5\n", "the separator is ','"),
        ("id;um_per_px\na;1.234,5\n", "'1.234,5' as um_per_px of 'a'; write .* thousands"),
        ("id;um_per_px\na;1,234.5\n", "'1,234.5' as um_per_px of 'a'; write .* thousands"),
        ('id,um_per_px\na,"1,234"\n', "may be 1.234 or 1234"),
        ("id;um_per_px\na;1,234,567\n", "'1,234,567' as um_per_px of 'a'; expected a number"),
        ("id,um_per_px\na,1_0\n", "'1_0' as um_per_px"),
        ("id,um_per_px\na,nan\n", "'nan' as um_per_px"),
        ("id,um_per_px\na,١٢\n", "as um_per_px of 'a'; expected a number"),
        ("id,axial_length_mm\na,24 mm\n", "'24 mm' as axial_length_mm of 'a'; expected a number"),
        ("id,um_per_px,field_mm\na,9.9,3\n", "'a' has both um_per_px and field_mm; leave one"),
        ("id,field_mm\na,three\n", "'three' as field_mm of 'a'; expected a number"),
        ("id,laterality\na,OD\na,OS\n", "two rows with the id 'a'"),
        ("id,laterality\nm\u00fc,OD\nmu\u0308,OS\n", "two rows with the id 'm\u00fc'"),
        ("id,laterality,ID\na,OD,b\n", "two columns id"),
        ("id,laterality\na,OD\n\n,OS\n", "line 4 has no id"),
        ("sep=;\nid;laterality\n;OS\n", "line 3 has no id"),
        ('id,laterality\n"a,OD\nb,OS\n', "cannot be read as a CSV file: unexpected end of data"),
        ("eye;laterality\na;OD\n", "with ';' as separator, has the columns eye, laterality; exp"),
        ("id,laterality,axial_lenght_mm\na,OD,24.5\n", "axial_lenght_mm; write axial_length_mm"),
        ("id,laterality,Axial Length\na,OD,24.5\n", "Axial Length; write axial_length_mm for it"),
        ("id,laterality,µm per px\na,OD,9.8\n", "µm per px; write um_per_px for it"),
        ("id,laterality\n", "no row below its header"),
        ("", "has the columns none"),
        (b"PK\x03\x04 and so on", "is a workbook .* save it as CSV"),
        (b"\xd0\xcf\x11\xe0 and so on", "is a workbook"),
        ("id,laterality\na,OD\n".encode("utf-16-le"), "is not in UTF-8, UTF-16 or Windows-1252"),
        (b"\xff\xfei\x00d", "is not in UTF-8, UTF-16 or Windows-1252"),
        (b"id,laterality\n\x81,OD\n", "is not in UTF-8, UTF-16 or Windows-1252"),
    ],
)
def test_refused(tmp_path, text, message):
    path = table(tmp_path, text)
    with pytest.raises(UserError, match=message) as refusal:
        read_eyes(path)
    assert str(refusal.value).startswith(f"--eyes={path}")


def test_a_folder_or_nothing(tmp_path):
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "no.csv", "No such file")):
        with pytest.raises(UserError, match=f"--eyes={path} cannot be read as a CSV .*{reason}"):
            read_eyes(path)


def eyes_of(*ids):
    rows = {id_: EyeRow(um_per_px=float(i)) for i, id_ in enumerate(ids)}
    return EyeTable("t.csv", rows, ("read somehow",))


FILES = {
    "001": ("001.png",),
    "010": ("010_rv.png", "010_faz.png"),
    "10": ("10.TIF",),
    "0000": ("0000.png",),
    unicodedata.normalize("NFC", "müller"): ("müller.png",),
    "a.b": ("a.b.png",),
}


def test_ids_find_their_files():
    rows, notes = match_rows(eyes_of("1", "10", "010_RV.png", "müller.png", "a.b", "x", "0"), FILES)
    found = {id_: row.um_per_px for id_, row in rows.items()}
    assert found == {"001": 0, "10": 1, "010": 2, "müller": 3, "a.b": 4, "0000": 6}
    assert notes == (
        "read somehow",
        "1 id of t.csv matched with the file's extension: müller.png.",
        "1 id of t.csv matched without regard to upper and lower case: 010_RV.png for 010.",
        "2 ids of t.csv matched without leading zeros, as spreadsheets save numbers: 1 for 001, "
        "0 for 0000.",
        "1 row of t.csv without a file: x.",
    )
    _, notes = match_rows(eyes_of("001", "010", "10"), FILES)
    assert notes[1:] == ("3 files without a row in t.csv: 0000, müller, a.b.",)


@pytest.mark.parametrize("last", ["", ".png"])
def test_the_exact_name_comes_before_upper_and_lower_case(last):
    files = {id_: (f"{id_}.png",) for id_ in ("eye", "EYE", "b")}
    rows, _ = match_rows(eyes_of(f"EYE{last}", f"eye{last}", f"B{last}"), files)
    assert {id_: row.um_per_px for id_, row in rows.items()} == {"EYE": 0, "eye": 1, "b": 2}
    with pytest.raises(UserError, match=rf"the id Eye{last} may be EYE or eye, if upper and"):
        match_rows(eyes_of("b", f"Eye{last}"), files)


@pytest.mark.parametrize(
    ("ids", "files", "message"),
    [
        (["1"], ["001", "01"], r"the id 1 may be 001 or 01,"),
        (["001", "1"], ["001"], r"two rows for 001: '001' and '1'"),
        (["a.png", "a"], ["a"], r"two rows for a: 'a\.png' and 'a'"),
        (["01"], ["001"], r"No id of --eyes=t\.csv \(01\) is the name of a file \(001\)"),
        (["1a"], ["001a"], "No id"),  # spreadsheets drop no zeros of words
        (["²"], ["002"], "No id"),
    ],
)
def test_ids_that_match_nothing_or_too_much(ids, files, message):
    with pytest.raises(UserError, match=message):
        match_rows(eyes_of(*ids), {id_: (f"{id_}.png",) for id_ in files})


def test_ids_with_folders_need_the_folder_above():
    with pytest.raises(UserError, match="need analyze --recursive on the folder above"):
        match_rows(eyes_of("3mm/10301"), {"10301": ("10301.png",)})
    for id_, files in (("x", {"a": ("a.png",)}), ("s/x", {"s/a": ("s/a.png",)})):
        with pytest.raises(UserError) as refusal:
            match_rows(eyes_of(id_), files)
        assert "--recursive" not in str(refusal.value)
