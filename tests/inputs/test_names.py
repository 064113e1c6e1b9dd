"""Names of files: Unicode forms, names that are not UTF-8, and counts in sentences."""

import csv
import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import s2a_jax
from s2a_jax.cli import run as main
from s2a_jax.data.cases import read_case
from s2a_jax.data.folder import list_user_folder
from s2a_jax.data.octa500 import list_octa500
from s2a_jax.data.prepared.load import find_prepared
from s2a_jax.data.selection import select_cases
from s2a_jax.errors import UserError
from s2a_jax.files import text_cell
from s2a_jax.inputs.eye_table import EyeRow, match_rows, read_eyes
from s2a_jax.inputs.image_files import list_images, list_mask_pairs
from s2a_jax.inputs.names import counted, file_name_of, first_few, id_key, images_in
from tests.inputs.files import write_dicom

NFC = unicodedata.normalize("NFC", "mü")
NFD = unicodedata.normalize("NFD", "mü")
LATIN = os.fsdecode(b"m\xfc")
"""As a Latin-1 system names a file."""
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
MASK = np.where(np.hypot(*np.mgrid[-16:16, -16:16]) < 6, 100, np.where(PIXELS > 200, 255, 0))


def fill(folder, *names, pixels=PIXELS):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        try:
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
        except OSError:
            pytest.skip("this file system has no such names")
    if len(list(folder.iterdir())) < len(names):
        pytest.skip("this file system has one Unicode form only")
    return folder


def test_names_are_listed_in_nfc_and_opened_by_their_path(tmp_path):
    files = images_in(fill(tmp_path, f"{NFD}_RV.png", "notes.txt.bmp"), "_rv")
    assert files == {NFC: tmp_path / f"{NFD}_RV.png"}
    assert files[NFC].is_file()


@pytest.mark.parametrize("listed", [images_in, lambda folder: list_images([folder])])
def test_one_name_in_two_forms_is_refused(tmp_path, listed):
    folder = fill(tmp_path, f"{NFC}.png", f"{NFD}.png")
    with pytest.raises(UserError, match=r"the same name in two Unicode forms, NFC and NFD"):
        listed(folder)
    (folder / f"{NFD}.png").rename(folder / f"{NFC}.tif")
    with pytest.raises(UserError) as refusal:
        listed(folder)
    assert "Unicode" not in str(refusal.value)


def test_masks_and_predicted_pictures_find_their_image(tmp_path):
    rv, faz = fill(tmp_path / "rv", f"{NFC}.png"), fill(tmp_path / "faz", f"{NFD}.png")
    for given in ((rv, faz), (rv / f"{NFC}.png", faz / f"{NFD}.png")):
        (pair,) = list_mask_pairs(*given)
        assert (pair.id, pair.rv, pair.faz) == (NFC, rv / f"{NFC}.png", faz / f"{NFD}.png")
    (faz / f"{NFC}_rv.png").touch()  # as `predict` names it
    (image,) = list_images([faz])
    assert (image.id, image.image) == (NFC, faz / f"{NFD}.png")
    (slabs,) = list_images([Path(f"{rv},{faz}")])
    assert slabs.images == (rv / f"{NFC}.png", faz / f"{NFD}.png")


UID = "1.2.840.113619.2.1"


def test_an_id_ends_at_the_extension_of_an_image(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in (UID, UID[:-1] + "2"):
        write_dicom(folder / name, PIXELS)
    fill(folder, "eye.OME.tif", "b.TIFF", "a.b.png")
    write_dicom(folder / "c.DCM", PIXELS)
    (folder / "._c.dcm").touch()
    ids = [UID, UID[:-1] + "2", "a.b", "b", "c", "eye"]
    assert [files.id for files in list_images([folder])] == ids
    assert [files.id for files in list_images(sorted(folder.glob("[!.]*")))] == ids
    assert list(images_in(folder)) == ids[2:]
    for name, id_ in ((UID, UID), ("eye.OME.tif", "eye")):
        (mask,) = list_mask_pairs(folder / name, None)
        assert mask.id == id_
    eyes = tmp_path / "eyes.csv"
    eyes.write_text(f"id,um_per_px\n{UID},10\neye,11\neye.b,12\n")
    rows, _ = match_rows(read_eyes(eyes), {id_: () for id_ in ids})
    assert rows == {UID: EyeRow(um_per_px=10), "eye": EyeRow(um_per_px=11)}


def test_dicom_files_of_one_study_are_predicted_apart(tmp_path):
    for last in "12":
        write_dicom(tmp_path / f"1.2.{last}", PIXELS)
    (tmp_path / "out").mkdir()
    given = ["--weights", "sim_to_real", "--out", str(tmp_path / "out")]
    assert main(["predict", *given, *(str(tmp_path / f"1.2.{last}") for last in "12")]) == 0
    assert {path.name for path in (tmp_path / "out").glob("*_rv.png")} == {
        "1.2.1_rv.png",
        "1.2.2_rv.png",
    }


@pytest.mark.parametrize("kinds", [("images", "masks"), ("image", "label_RV", "label_FAZ")])
@pytest.mark.parametrize("split", ["train/", ""])
def test_dicom_in_data_sets(tmp_path, kinds, split):
    faz = (MASK == 100).astype(np.uint8)
    for kind in kinds:
        pixels = {"masks": faz * np.uint8(100), kinds[0]: PIXELS}.get(kind, faz)
        (tmp_path / split / kind).mkdir(parents=True)
        for i in range(20):
            name = f"1.2.{i}{('.dcm', '.DICOM')[i % 2]}"
            write_dicom(tmp_path / split / kind / name, pixels)
    listing = list_user_folder(tmp_path)
    assert {case.id for case in listing.cases} == {f"1.2.{i}" for i in range(20)}
    case = read_case(listing.cases[0])
    np.testing.assert_array_equal(case.image, PIXELS / np.float32(255))
    np.testing.assert_array_equal(case.faz, MASK == 100)


@pytest.mark.parametrize("listed", [images_in, lambda folder: list_images([folder])])
def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch, listed):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may read every folder
    with pytest.raises(UserError, match=rf"{tmp_path} cannot be opened; change its access rights"):
        listed(tmp_path)


@pytest.mark.parametrize("form", [NFC, NFD])
def test_slab_folders(tmp_path, form):
    names = [f"{i}.png" for i in range(9)]
    fill(tmp_path / "images" / NFD, *names)
    fill(tmp_path / "images" / "deep", *names)
    fill(tmp_path / "masks", *names, pixels=MASK)
    cases = list_user_folder(tmp_path, f"{form},deep").cases
    assert {case.image.parent.name for case in cases} == {NFD}


def test_a_folder_is_prepared_and_measured(tmp_path):
    raw = tmp_path / "raw"
    names = [f"{i}{form}.png" for i in range(5) for form in (NFC, NFD)]
    fill(raw / "images", *names)
    fill(raw / "masks", *(f"{i}{form}.png" for i in range(5) for form in (NFD, NFC)), pixels=MASK)
    for i in range(5):  # one image and one mask of each name are left, in different forms
        (raw / "images" / f"{i}{(NFC, NFD)[i % 2]}.png").unlink()
        (raw / "masks" / f"{i}{(NFD, NFC)[i % 2]}.png").unlink()
    ids = {f"{i}{NFC}" for i in range(5)}
    assert main(["prepare", "folder", "--from", str(raw), "--to", str(tmp_path / "to")]) == 0
    stored = find_prepared(tmp_path / "to")
    assert {*select_cases(stored, "all").ids} == ids
    assert json.loads((stored / "report.json").read_text())["splits"]["train"]["rv"]["masks"]

    table, out = tmp_path / "eyes.csv", tmp_path / "out.csv"
    rows = "".join(f"{i}{(NFD, NFC)[i % 2]},OS,{10 + i}\n" for i in range(5))
    table.write_text(f"id,laterality,um_per_px\n{rows}", encoding="utf-8")
    given = ["--masks", str(raw / "masks"), "--eyes", str(table)]
    assert main(["measure", *given, "--out", str(out)]) == 0
    with out.open(newline="", encoding="utf-8") as file:
        measured = {
            row["id"]: (row["laterality"], row["um_per_px"]) for row in csv.DictReader(file)
        }
    assert measured == {f"{i}{NFC}": ("OS", str(10 + i)) for i in range(5)}


@pytest.mark.parametrize(
    "command",
    [
        "measure --rv {folder} --um-per-px 10 --out {out}.csv",
        "measure --rv {good} --um-per-px 10 --out {out}{latin}.csv",
        "measure --weights sim_to_real {folder} --um-per-px 10 --out {out}.csv",
        "predict --weights sim_to_real --out {out} {folder}",
        "predict --weights sim_to_real --out {out}{latin} {good}",
        "prepare folder --from {root} --to {out}",
        "prepare folder --from {good} --to {out}{latin}",
        "evaluate --weights sim_to_real --data {root} --out {out}",
        "train --config octa500:smoke --config.data.root={root} --config.data.size=64 "
        "--config.train.batch_size=8 --workdir {out}",
        "train --config octa500:smoke --config.data.root={root} --workdir {out}{latin}",
    ],
)
def test_a_name_that_is_not_utf8_is_refused_at_once(tmp_path, capsys, command):
    root = tmp_path / "data"
    for split in ("train", "test"):
        folder = fill(root / split / "images", f"a{LATIN}.png", "b.png")
        fill(root / split / "masks", "b.png", pixels=MASK)
    good = fill(tmp_path / "good", "b.png", pixels=(PIXELS > 128) * 255)
    known = {"folder": folder, "good": good, "root": root, "out": tmp_path / "out", "latin": LATIN}
    assert main([part.format(**known) for part in command.split()]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert r"m\xfc" in printed.err and "not valid UTF-8; rename it." in printed.err
    assert printed.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "good"]


def test_other_files_with_such_names_do_no_harm(tmp_path):
    folder = fill(tmp_path, f"{NFC}.png")
    (folder / f"{LATIN}.txt").touch()
    (folder / LATIN).mkdir()
    assert list(images_in(folder)) == [NFC]
    assert [files.id for files in list_images([folder])] == [NFC]


def test_a_terminal_without_a_letter_ends_nothing(tmp_path):
    masks = fill(tmp_path / "masks", "日本.png", pixels=(PIXELS > 128) * 255)
    done = subprocess.run(
        [sys.executable, "-m", "s2a_jax", "measure", "--rv", masks, "--um-per-px", "10",
         "--eyes", tmp_path / "eyes.csv", "--out", tmp_path / "out.csv"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parents[2], capture_output=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr  # no table yet
    (tmp_path / "eyes.csv").write_text("id,um_per_px\n日本.png,11\n", encoding="utf-8")
    done = subprocess.run(done.args, env=os.environ | {"PYTHONIOENCODING": "ascii"},
                          cwd=Path(__file__).parents[2], capture_output=True)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"extension: \u65e5\u672c.png." in done.stdout
    assert "日本" in (tmp_path / "out.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("digits", "place"), [("²", 2), ("①", 2), ("٣", 0), ("１０３０１", 1), ("9" * 200, 2)]
)
def test_digits_that_are_no_numbers_crash_nothing(tmp_path, digits, place):
    in_order = ["10", "b"]
    in_order.insert(place, digits)
    assert sorted(["b", digits, "10"], key=id_key) == in_order
    for kind in ("Projection Maps/OCTA(ILM_OPL)", "Label/GT_LargeVessel"):
        fill(tmp_path / "OCTA_3mm" / kind, "10301.png", f"{digits}.png", pixels=MASK)
    with pytest.raises(UserError, match=f"does not have: {digits};"):
        list_octa500(tmp_path, "3M")


def test_counts_agree_with_their_nouns():
    assert [counted(n, "case") for n in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]
    assert counted(1, "case has", "cases have") == "1 case has"
    assert counted(3, "case has", "cases have") == "3 cases have"
    assert first_few(list("abcdef")) == "a, b, c, d, e and 1 other"
    assert first_few(list("abcdefg")) == "a, b, c, d, e and 2 others"


TRICKY = ("../../x", "/etc/passwd", "..", ".", "", "a/b", "a+b", "a%2Fb", "a\\b", "CON", "nul.txt",
          "a\x00b", "line\nbreak", "\u202etxt.exe", "eye.", "eye ", "b\u00e4r", "x" * 300,
          "x" * 299 + "y", "\udcff", "'=1", "C:evil", ".hidden", "a//b")  # fmt: skip


def test_a_file_name_of_an_id_stays_in_its_folder(tmp_path):
    rng = np.random.default_rng(0)
    alphabet = [*"ab./\\+%:*=~ \n\x00\u202e\u00e4\u6f22", "..", "/../", "con"]
    drawn = {"".join(rng.choice(alphabet, rng.integers(0, 9))) for _ in range(3000)}
    ids = sorted({*TRICKY, *drawn})
    names = [file_name_of(id_) for id_ in ids]
    assert len(set(names)) == len(ids)
    for id_, name in zip(ids, names, strict=True):
        path = tmp_path / name
        assert path.parent == tmp_path and path.resolve().parent == tmp_path.resolve(), id_
        assert len(name.encode()) <= 200 and name.isprintable() and name[0] != "."
        assert not re.match(r"(?i)(con|nul)(\.|$)", name) and name[-1] not in ". ", id_
        assert not set(name) & set('/\\:*?"<>|')
    for name in ("10301", "b\u00e4r 1", "a_b-c.d", "Eye (2)", "~x"):
        assert file_name_of(name) == name
    assert file_name_of("site/eye") == "site+eye"
    path = tmp_path / f"{file_name_of(TRICKY[0])}.png"
    path.touch()
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_cells_that_are_no_formulas(start):
    assert text_cell(f"{start}1+cmd|' /C calc'!A0") == f"'{start}1+cmd|' /C calc'!A0"
    assert text_cell(f"eye{start}") == f"eye{start}"


def test_every_writer_of_tables_escapes_formulas():
    package = Path(s2a_jax.__file__).parent
    writers = [path for path in package.rglob("*.py") if "csv.writer(" in path.read_text()]
    assert len(writers) >= 4
    assert not [path for path in writers if "text_cell(" not in path.read_text()]
