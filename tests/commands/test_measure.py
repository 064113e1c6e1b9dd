"""`measure` as users call it: masks, tables of eyes, TIFF, DICOM and a network."""

import csv
import math

import numpy as np
import pytest
from PIL import Image

from s2a_jax.biomarkers.measure import measure
from s2a_jax.cli import run as main
from tests.inputs.files import write_dicom
from tests.networks import put_in_place

SIDE = 100
Y, X = np.mgrid[:SIDE, :SIDE]
FAZ = np.hypot(Y - 50, X - 50) <= 15
RV = (np.abs(Y - 20) <= 1) | (np.abs(X - 80) <= 2)


def save(path, mask, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(path, **options)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def masks(tmp_path):
    """Two eyes as `predict` leaves them; the second has no FAZ mask."""
    folder = tmp_path / "masks"
    save(folder / "a_rv.png", RV)
    save(folder / "a_faz.png", FAZ)
    save(folder / "a_overlay.png", FAZ)
    save(folder / "b_rv.png", RV)
    return folder


@pytest.mark.parametrize(("separator", "mark"), [(",", "."), (";", ",")])
def test_a_row_for_each_eye(masks, tmp_path, capsys, separator, mark):
    eyes, out = tmp_path / "eyes.csv", tmp_path / "new" / "out.csv"
    text = "id,laterality,axial_length_mm,um_per_px,name\na,OS,25.5,,x\nb,,,12,y\nc,OD,,,\n"
    eyes.write_text(text.replace(",", separator).replace(".", mark))
    given = ["--rv", str(masks), "--faz", str(masks), "--eyes", str(eyes), "--field-mm", "1"]
    assert main(["measure", *given, "--out", str(out)]) == 0
    first, second = rows_of(out)
    expected = measure(RV, FAZ, um_per_px=10.0, laterality="OS", axial_length_mm=25.5)
    for name, value in expected.items():
        if math.isnan(value):
            assert first[name] == "", name
        else:
            assert float(first[name]) == pytest.approx(value, rel=1e-5), name
    assert [first[k] for k in ("id", "laterality", "axial_length_mm")] == ["a", "OS", "25.5"]
    assert [row["pitch_source"] for row in (first, second)] == ["field-mm", "eyes"]
    assert [row["axial_length_applied"] for row in (first, second)] == ["1", "0"]
    assert (second["faz_area_mm2"], second["um_per_px"]) == ("", "12")
    assert second["vessel_density_etdrs_centre"] != ""
    assert "vessel_density_etdrs_inner_left" in second
    printed = capsys.readouterr().out
    assert "faz_area_mm2" in printed
    assert "1 of 2 eyes without FAZ: b." in printed
    assert "corrected by axial length in 1 of 2 eyes" in printed
    assert "1 row of" in printed and "without a file: c." in printed
    assert [path.name for path in out.parent.iterdir()] == ["out.csv"]


def test_names_of_the_other_eye_are_told(tmp_path, capsys):
    for name in ("p1_OD", "p2_os", "p3-OS", "pod4", "p5_OD_OS"):
        save(tmp_path / f"masks/{name}.png", RV)
    table = tmp_path / "eyes.csv"
    table.write_text("id,laterality\np1_OD,OS\np2_os,left\n")
    flags = ["--rv", str(tmp_path / "masks"), "--field-mm", "1", "--out", str(tmp_path / "o.csv")]
    assert main(["measure", *flags, "--eyes", str(table), "--laterality", "OD"]) == 0
    assert "By name, p1_OD (OS), p3-OS (OD) would be the other eye" in capsys.readouterr().out
    assert [row["laterality"] for row in rows_of(tmp_path / "o.csv")] == ["OS", "OS", *["OD"] * 3]
    assert main(["measure", *flags]) == 0
    assert "the other eye" not in capsys.readouterr().out


def test_the_summary_of_several_eyes(tmp_path, capsys):
    sides = (10, 20, 30)
    for side in sides:
        save(tmp_path / f"masks/{side}_faz.png", np.pad(np.ones((side, side), bool), 20))
    flags = [
        "--faz",
        str(tmp_path / "masks"),
        "--um-per-px",
        "10",
        "--out",
        str(tmp_path / "a.csv"),
    ]
    assert main(["measure", *flags]) == 0
    (line,) = (one for one in capsys.readouterr().out.splitlines() if "faz_area_mm2" in one)
    areas = np.array(sides) ** 2 * 1e-4
    cells = line.replace("│", " ").split()
    assert cells[:4] == ["faz_area_mm2", "3", f"{areas.mean():.4g}", "±"]
    assert cells[4:] == [f"{areas.std(ddof=1):.3g}", "0.01", "to", "0.09"]


def test_a_faz_too_small_for_an_outline_is_a_faz(tmp_path, capsys):
    out = tmp_path / "out.csv"
    save(tmp_path / "dot.png", np.pad(np.ones((1, 1), bool), 20))
    given = ["--faz", str(tmp_path / "dot.png"), "--um-per-px", "10", "--out", str(out)]
    assert main(["measure", *given]) == 0
    (row,) = rows_of(out)
    assert (row["faz_components"], row["faz_area_mm2"]) == ("1", "0.0001")
    assert row["faz_perimeter_mm"] == row["faz_circularity"] == ""
    assert "without FAZ" not in capsys.readouterr().out


def test_combined_masks_with_the_pitch_of_their_tiff_tags(tmp_path):
    label = np.where(RV, 255, np.where(FAZ & ~RV, 100, 0)).astype(np.uint8)
    folder = tmp_path / "masks"
    folder.mkdir()
    Image.fromarray(label).save(folder / "7.tif", resolution_unit=3, resolution=10000 / 11)
    assert main(["measure", "--masks", str(folder), "--out", str(tmp_path / "out.csv")]) == 0
    (row,) = rows_of(tmp_path / "out.csv")
    assert row["pitch_source"] == "TIFF"
    assert float(row["faz_area_mm2"]) == pytest.approx(FAZ.sum() * 0.011**2, rel=1e-3)


def test_combined_masks_beside_others_and_of_an_eye_without_faz(tmp_path, capsys):
    folder, out = tmp_path / "masks", tmp_path / "out.csv"
    save(folder / "a.png", RV)
    save(folder / "b_rv.png", RV)
    save(folder / "c_FAZ.png", FAZ)
    assert main(["measure", "--masks", str(folder), "--field-mm", "1", "--out", str(out)]) == 0
    (row,) = rows_of(out)
    assert row["id"] == "a" and float(row["faz_area_mm2"]) == 0
    said = capsys.readouterr().out
    assert "Left out, by name: 2 masks of vessels or the FAZ alone (b_rv, c_FAZ); --rv" in said
    assert "1 of 1 eye without FAZ" in said
    Image.fromarray(FAZ.astype(np.uint8) * np.uint8(100)).save(folder / "d.png")
    assert main(["measure", "--masks", str(folder), "--field-mm", "1", "--out", str(out)]) == 0
    assert [float(row["faz_area_mm2"]) > 0 for row in rows_of(out)] == [False, True]


def test_two_files_are_one_eye(tmp_path, capsys):
    for name in ("p1", "p2", "q_rv", "q_faz"):
        save(tmp_path / f"{name}.png", FAZ)
    flags = ["--field-mm", "1", "--out", str(tmp_path / "out.csv")]
    for rv, faz, is_told in (("p1", "p2", True), ("q_rv", "q_faz", False), ("q_rv", "p2", True)):
        files = ["--rv", str(tmp_path / f"{rv}.png"), "--faz", str(tmp_path / f"{faz}.png")]
        assert main(["measure", *files, *flags]) == 0
        line = f"{rv}.png and {faz}.png are taken for masks of one eye."
        assert (line in capsys.readouterr().out) == is_told


@pytest.mark.parametrize("flags", [[], ["--um-per-px", "10"]])
@pytest.mark.parametrize("name", ["tall.tif", "tall.png"])
def test_pixels_that_are_not_square_are_resampled_and_a_line_says_so(tmp_path, capsys, name, flags):
    """A disc of 30 pixels on a scan that skips every second row is still a disc."""
    out = tmp_path / "out.csv"
    save(tmp_path / name, FAZ[::2], dpi=(2540, 1270))  # 10 um wide, 20 um high
    code = main(["measure", "--faz", str(tmp_path / name), "--out", str(out), *flags])
    if name == "tall.png" and not flags:
        assert code == 2  # a PNG's density gives the shape of pixels, not their size
        return
    assert code == 0
    (row,) = rows_of(out)
    assert float(row["um_per_px"]) == pytest.approx(10, rel=1e-3)
    assert float(row["faz_area_mm2"]) == pytest.approx(FAZ.sum() * 1e-4, rel=0.03)
    assert float(row["faz_circularity"]) == pytest.approx(1, abs=0.03)
    printed = capsys.readouterr().out
    assert f"{name}: pixels 2 times as high as wide were resampled to square ones" in printed
    source = "--um-per-px" if flags else "the TIFF file's resolution"
    assert f"Pixel pitch: {source} (1 eye)." in printed


def test_a_field_that_does_not_fit_the_resolution_of_the_file(tmp_path, capsys):
    save(tmp_path / "a.png", FAZ, dpi=(100, 200))
    out = ["--out", str(tmp_path / "out.csv")]
    assert main(["measure", "--faz", str(tmp_path / "a.png"), "--field-mm", "3", *out]) == 2
    assert "a.png: pixels 0.5 times as high as wide were resampled" in capsys.readouterr().err


def test_images_and_dicom_through_a_network(tmp_path, capsys, intensity_network):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    images = tmp_path / "images"
    images.mkdir()
    write_dicom(images / "right", pixels, PixelSpacing=[0.012, 0.012], ImageLaterality="R")
    Image.fromarray(pixels).save(images / "left.tif", resolution_unit=3, resolution=10000 / 12)
    out = tmp_path / "out.csv"
    weights = ["--weights", "sim_to_real"]
    assert main(["measure", *weights, str(images), "--out", str(out)]) == 0
    plain, dicom = rows_of(out)
    out.unlink()
    assert main(["measure", *weights, str(images), "--laterality", "OS", "--out", str(out)]) == 1
    assert "Eye right: The file says OD" in capsys.readouterr().err
    assert [row["id"] for row in rows_of(out)] == ["left"]
    assert (dicom["id"], dicom["laterality"], dicom["pitch_source"]) == ("right", "OD", "DICOM")
    for row in (plain, dicom):
        assert float(row["vessel_density"]) == pytest.approx((pixels >= 128).mean(), rel=1e-5)
        assert float(row["um_per_px"]) == pytest.approx(12)


def test_an_eye_that_cannot_be_measured_is_listed_and_the_others_are_measured(
    masks, tmp_path, capsys
):
    out = tmp_path / "out.csv"
    (masks / "c_rv.png").write_bytes((masks / "a_rv.png").read_bytes()[:80])
    given = ["--rv", str(masks), "--faz", str(masks), "--field-mm", "1", "--out", str(out)]
    assert main(["measure", *given]) == 1
    assert [row["id"] for row in rows_of(out)] == ["a", "b"]
    printed = capsys.readouterr()
    assert "2 eyes -> " in printed.out
    first, second = printed.err.splitlines()
    assert first.startswith("1 of 3 eyes cannot be used")
    assert second.startswith("Eye c: ") and "c_rv.png" in second


def test_biomarkers_are_measured_where_the_network_saw_the_eye(tmp_path, capsys, monkeypatch):
    """A disc of 240 pixels at 5.06 um is one of 120 pixels at 10.12 um, in any symmetry."""

    put_in_place(monkeypatch, lambda _, images, *, module: {"rv": 1 - images, "faz": images})
    y, x = np.mgrid[:400, :400]
    disc = np.hypot(y - 199.5, x - 199.5) <= 120
    save(tmp_path / "eye.png", disc)
    out = tmp_path / "out.csv"
    command = ["measure", "--weights", "sim_to_real", "--out", str(out), str(tmp_path / "eye.png")]
    for tta in ([], ["--tta"]):
        assert main([*command, "--field-mm", "2.024", *tta]) == 0
        assert "eye.png: predicted at 10.1 um per pixel" in capsys.readouterr().out
        (row,) = rows_of(out)
        assert float(row["um_per_px"]) == pytest.approx(10.12)
        assert row["pitch_source"] == "field-mm"
        area = np.pi * (120 * 0.00506) ** 2
        assert float(row["faz_area_mm2"]) == pytest.approx(area, rel=0.01)
        assert float(row["vessel_density"]) == pytest.approx(1 - area / 2.024**2, rel=0.01)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--rv {masks} --tta --field-mm 1", "--tta: only networks are averaged"),
        ("--rv {masks}", "--um-per-px or --field-mm"),
        ("--um-per-px 10", "images, such as --weights sim_to_real"),
        ("--um-per-px 10 {masks}", "images, such as --weights sim_to_real"),
        ("--rv {masks} --um-per-px 10 {masks}", "add --weights sim_to_real, or your own"),
        ("--rv {masks} --masks {masks} --um-per-px 10", "Give one of"),
        ("--rv {masks} x.png --um-per-px 10", "--weights"),
        ("--weights {masks} --um-per-px 10", "needs images"),
        ("--rv {masks}/nothing --um-per-px 10", "--rv="),
        ("--rv {masks} --um-per-px 0", "--um-per-px=0: expected 0.5 to 100 um"),
        ("--rv {masks} --um-per-px 0.0001", "--um-per-px=0.0001"),
        ("--rv {masks} --field-mm 3000", "--field-mm=3000: expected 1 to 30 mm"),
        ("--rv {masks} --field-mm -3", "--field-mm=-3"),
        (
            "--rv {masks} --field-mm 30",
            "None of 2 eyes can be used; the first: Eye a: --field-mm gives 300 um per pixel",
        ),
        ("--rv {masks} --field-mm 1 --out {other}/no/such/x.csv", "other/no does not exist"),
        ("--rv {masks} --field-mm 1 --laterality up", "--laterality=up: "),
        ("--rv {masks} --field-mm 1 --axial-length-mm 2.4", "--axial-length-mm or "),
        ("--rv {masks} --eyes {other}/typo.csv --field-mm 1", "No id"),
        ("--rv {masks} --eyes {other}/word.csv --field-mm 1", "'long' as axial_length_mm"),
        ("--rv {masks} --faz {other}/named --field-mm 1", "has the name of one"),
        (
            "--rv {masks}/a_rv.png --faz {other}/z_faz.png --field-mm 1",
            "are named after different images, a and z; give both",
        ),
        (
            "--masks {masks}/a_rv.png --field-mm 1",
            "by name, 1 mask of vessels or the FAZ alone (a_rv) and no combined one",
        ),
        (
            "--masks {other}/named --field-mm 1",
            "named: 2 masks, none with the FAZ value 100; give masks of vessels alone as --rv=",
        ),
        ("--rv {other}/damaged/cut.png --field-mm 1", "cut.png"),
        ("--rv {other}/junk --field-mm 1", "junk.tif is not an image"),
        ("--rv {other}/grey --um-per-px 10", "grey.png"),
        ("--rv {other}/wide --field-mm 1", "square pixels"),
    ],
)
def test_mistakes_are_one_sentence_and_nothing_is_written(masks, tmp_path, capsys, flags, message):
    other = tmp_path / "other"
    for name in ("y", "z"):
        save(other / "named" / f"{name}.png", FAZ)
    save(other / "z_faz.png", FAZ)
    save(other / "damaged" / "ok.png", RV)
    (other / "damaged" / "cut.png").write_bytes((masks / "a_rv.png").read_bytes()[:80])
    save(other / "wide" / "w.png", RV[:50])
    (other / "junk").mkdir()
    (other / "junk" / "junk.tif").write_text("no image")
    (other / "grey").mkdir()
    Image.fromarray((Y * 2).astype(np.uint8)).save(other / "grey" / "grey.png")
    for name, text in (
        ("typo", "id,laterality\nq,OD\n"),
        ("word", "id,axial_length_mm\na,long\n"),
    ):
        (other / f"{name}.csv").write_text(text)
    out = tmp_path / "out.csv"
    arguments = flags.format(masks=masks, other=other).split()
    assert main(["measure", "--out", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not out.exists() and not (other / "no").exists()
