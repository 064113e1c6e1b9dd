"""`python -m s2a_jax analyze`: files, table, page, resuming, and files that cannot be used."""

import csv
import re
import time
from urllib.parse import unquote

import jax
import numpy as np
import pytest
from PIL import Image

from s2a_jax.analysis.model import S2ANet
from s2a_jax.biomarkers.measure import measure
from s2a_jax.cli import run as main
from s2a_jax.evaluation.pictures import FAZ_COLOUR
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.fovea import central_piece
from tests.inputs.eyes import draw_eye
from tests.inputs.files import write_dicom
from tests.networks import put_in_place

SIDE = 96
FIELD = ("--field-mm", "1.2")  # 12.5 um per pixel

pytestmark = pytest.mark.usefixtures("intensity_network")


def command(tmp_path, *more):
    return ["analyze", "--out", str(tmp_path / "out"), *map(str, more)]


def write_eyes(folder, *names):
    """Eyes whose bright discs are what the network with known outputs takes for a FAZ."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = {name: draw_eye(seed, SIDE, dark=240)[0] for seed, name in enumerate(names)}
    for name, one in pixels.items():
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(one).save(folder / f"{name}.png")
    return pixels


def masks_of(pixels, threshold=0.5):
    unit = pixels / np.float32(255)
    return unit >= threshold, central_piece(unit**2 >= threshold).mask


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mask_at(path):
    return np.asarray(Image.open(path)) > 0


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_files_and_row_of_every_eye(tmp_path, capsys, threshold):
    pixels = write_eyes(tmp_path / "in", "a")["a"]
    Image.fromarray(pixels).save(tmp_path / "in/b.tif", resolution_unit=3, resolution=500)
    write_dicom(tmp_path / "in/c", pixels, PixelSpacing=[0.015, 0.015], ImageLaterality="R")
    eyes = tmp_path / "eyes.csv"
    eyes.write_text("id,laterality,axial_length_mm,um_per_px\na,OS,25.5,\nb,,,12\n")
    flags = ["--threshold", threshold, "--um-per-px", 10, "--eyes", eyes]
    assert main(command(tmp_path, tmp_path / "in", *flags)) == 0
    out = tmp_path / "out"
    rv, faz = masks_of(pixels, threshold)
    rows = rows_of(out / "eyes.csv")
    known = [("a", 10.0, "um-per-px", "OS", 25.5), ("b", 12.0, "eyes", None, None),
             ("c", 10.0, "um-per-px", "OD", None)]  # fmt: skip
    for row, (id_, pitch, source, laterality, axial_length) in zip(rows, known, strict=True):
        assert (mask_at(out / f"{id_}_rv.png") == rv).all()
        assert (mask_at(out / f"{id_}_faz.png") == faz).all()
        assert next(iter(row)) == "id" and [*row][-1] == "notes"
        assert (row["id"], row["pitch_source"], row["laterality"]) == (
            id_, source, laterality or "")  # fmt: skip
        counts = {"height_px": SIDE, "width_px": SIDE, "rv_px": rv.sum(), "faz_px": faz.sum()}
        expected = counts | {"image_um_per_px": pitch} | measure(
            rv, faz, um_per_px=pitch, laterality=laterality, axial_length_mm=axial_length
        )  # fmt: skip
        for name, value in expected.items():
            found = float(row[name] or "nan")
            assert found == pytest.approx(value, rel=1e-4, nan_ok=True), name
    overlay = np.asarray(Image.open(out / "a_overlay.png"))
    drawn = (overlay == FAZ_COLOUR).all(axis=-1)
    assert drawn.any() and drawn[~faz].sum() == 0
    inside = (
        faz & np.roll(faz, 1, 0) & np.roll(faz, -1, 0) & np.roll(faz, 1, 1) & np.roll(faz, -1, 1)
    )
    assert inside.any() and not drawn[inside].any()  # an outline
    page = (out / "summary.html").read_text()
    shown = [unquote(name) for name in re.findall(r'<img src="([^"]+)"', page)]
    assert shown == [f"{id_}_overlay.png" for id_ in "abc"]
    assert f"{float(rows[0]['faz_area_mm2']):.4g}" in page
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width == 3 * 208 + 8
    assert not list(out.glob("*_uncertainty.png")) and not list(out.glob("*.npz"))
    assert "3 images -> " in capsys.readouterr().out


def test_what_is_finished_is_skipped(tmp_path, capsys, computed):
    write_eyes(tmp_path / "in", "a", "b_OD", "c")
    eyes, out = tmp_path / "eyes.csv", tmp_path / "out"
    eyes.write_text("id,laterality\na,OD\nb_OD,OD\n")
    line = command(tmp_path, tmp_path / "in", *FIELD, "--eyes", eyes)
    assert main(line) == 0
    table, first = (out / "eyes.csv").read_bytes(), capsys.readouterr().out
    assert sum(computed) == 3
    assert main(line) == 0
    assert sum(computed) == 3
    assert (out / "eyes.csv").read_bytes() == table
    assert capsys.readouterr().out == first.replace(
        f"{out};", f"{out} (3 of them by an earlier run);"
    )
    eyes.write_text("id,laterality\na,OD\nb_OD,OS\n")
    (out / "c_overlay.png").unlink()
    assert main(line) == 0
    assert sum(computed) == 5  # b for its row, c for its overlay
    assert [row["laterality"] for row in rows_of(out / "eyes.csv")] == ["OD", "OS", ""]
    assert "By name, b_OD (OS) would be the other eye" in capsys.readouterr().out
    assert main([*line, "--save-probabilities"]) == 2
    assert "were made without --save-probabilities; give another folder" in capsys.readouterr().err


def test_files_that_cannot_be_used_are_listed(tmp_path, capsys):
    pixels = write_eyes(tmp_path / "in", "a", "b", "c")
    (tmp_path / "in/b.png").write_bytes((tmp_path / "in/b.png").read_bytes()[:100])
    assert main(command(tmp_path, tmp_path / "in", *FIELD)) == 1
    printed = capsys.readouterr()
    assert "2 images -> " in printed.out
    first, second = printed.err.splitlines()
    assert first.startswith("1 of 3 images cannot be used") and "b.png" in second
    assert [row["id"] for row in rows_of(tmp_path / "out/eyes.csv")] == ["a", "c"]
    page = (tmp_path / "out/summary.html").read_text()
    assert "Without a result" in page and "b.png" in page
    Image.fromarray(pixels["b"]).save(tmp_path / "in/b.png")
    assert main(command(tmp_path, tmp_path / "in", *FIELD)) == 0
    assert len(rows_of(tmp_path / "out/eyes.csv")) == 3
    assert "Without a result" not in (tmp_path / "out/summary.html").read_text()


def test_fields_of_a_mixed_tree(tmp_path, capsys, computed):
    write_eyes(tmp_path / "in", "3/x", "6/x", "6/y")
    eyes = tmp_path / "eyes.csv"
    line = command(tmp_path, tmp_path / "in", "--recursive", *FIELD, "--eyes", eyes)
    for field in (1.4, 1.5):  # another row, and the eye is computed again
        eyes.write_text(f"id,field_mm,um_per_px\n3/x,{field},\n6/x,,12\n")
        assert main(line) == 0
        rows = rows_of(tmp_path / "out/eyes.csv")
        assert [row["pitch_source"] for row in rows] == ["eyes-field-mm", "eyes", "field-mm"]
        pitches = [float(row["image_um_per_px"]) for row in rows]
        assert pitches == pytest.approx([field * 1000 / SIDE, 12.0, 12.5], rel=1e-4)
    assert sum(computed) == 4
    wide = np.zeros((SIDE, 2 * SIDE), np.uint8)
    Image.fromarray(wide).save(tmp_path / "in/6/y.png")
    eyes.write_text("id,field_mm\n3/x,300\n6/y,2\n6/x,1.4\n")
    capsys.readouterr()
    assert main(line) == 1
    _, first, second = capsys.readouterr().err.splitlines()
    assert "field_mm in --eyes=300: expected 1 to 30 mm" in first and "square" in second


def test_an_eye_that_can_no_longer_be_used_leaves_the_table(tmp_path, capsys):
    write_eyes(tmp_path / "in", "a")
    line = command(tmp_path, tmp_path / "in", *FIELD)
    assert main(line) == 0
    (tmp_path / "in/a.png").write_bytes((tmp_path / "in/a.png").read_bytes()[:100])
    assert main(line) == 2
    assert capsys.readouterr().err.count("a.png") == 1
    assert rows_of(tmp_path / "out/eyes.csv") == []
    page = (tmp_path / "out/summary.html").read_text()
    assert "Without a result" in page and "a.png" in page and "a_overlay.png" not in page
    assert not (tmp_path / "out/contact_sheet.png").exists()


@pytest.mark.parametrize("is_given", [True, False])
def test_a_table_of_the_user_is_not_replaced(tmp_path, capsys, computed, is_given):
    write_eyes(tmp_path / "in", "a")
    mine = tmp_path / "out/eyes.csv"
    mine.parent.mkdir()
    mine.write_text("id,laterality\na,OD\n")
    flags = ["--eyes", tmp_path / "in/../out/eyes.csv"] if is_given else []
    assert main(command(tmp_path, tmp_path / "in", *FIELD, *flags)) == 2
    error = capsys.readouterr().err
    expected = (
        "would be replaced by the table" if is_given else "a table that analyze did not write"
    )
    assert expected in error and error.count("\n") == 1
    assert mine.read_text() == "id,laterality\na,OD\n" and not computed
    assert [path.name for path in mine.parent.iterdir()] == ["eyes.csv"]


def test_results_of_another_run_are_no_images(tmp_path, computed):
    write_eyes(tmp_path / "in", "x", "site/x")
    for given, out in (("**/*.png", "in/res"), ("**/*.png", "in/res"), ("", "in/res2")):
        flags = [str(tmp_path / "in" / given), "--recursive", *FIELD]
        assert main(["analyze", "--out", str(tmp_path / out), *flags]) == 0
        ids = [row["id"] for row in rows_of(tmp_path / out / "eyes.csv")]
        assert sorted(ids) == ["site/x", "x"]
    assert sum(computed) == 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("{folder}/cut.png", "cut.png"),
        ("{folder}/a.png --threshold 2", "--threshold=2"),
        ("{folder}/a.png --jobs 0", "--jobs=0"),
        ("{folder}/a.png --laterality up", "--laterality=up"),
        ("{folder}/a.png --axial-length-mm 2.4", "--axial-length-mm"),
        ("{folder}/a.png --field-mm 3000", "--field-mm=3000"),
        ("{folder}/*.gif", "No image file is like"),
        ("{folder}", "--recursive looks in the folders below it too"),
    ],
)
def test_mistakes_are_one_sentence_and_nothing_is_written(tmp_path, capsys, flags, message):
    folder = tmp_path / "in"
    write_eyes(folder / "below", "a", "cut")
    if not flags.endswith("{folder}"):
        folder = folder / "below"
    cut = tmp_path / "in/below/cut.png"
    cut.write_bytes(cut.read_bytes()[:100])
    assert main(command(tmp_path, *flags.format(folder=folder).split())) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_folders_below_and_patterns(tmp_path, computed):
    pixels = write_eyes(tmp_path / "in", "x", "site 1/x", "site 1/=y")
    out = tmp_path / "in/out"
    eyes = tmp_path / "eyes.csv"
    eyes.write_text("id,laterality\nx,OD\nsite 1/x.png,OS\n")
    line = ["analyze", "--recursive", str(tmp_path / "in"), "--out", str(out), *FIELD]
    line += ["--eyes", str(eyes)]
    for _ in range(2):  # the results below the images are not images
        assert main(line) == 0
        assert sum(computed) == 3
    assert [row["id"] for row in rows_of(out / "eyes.csv")] == ["x", "site 1/=y", "site 1/x"]
    assert [row["laterality"] for row in rows_of(out / "eyes.csv")] == ["OD", "", "OS"]
    for id_, one in pixels.items():
        rv, _ = masks_of(one)
        assert (mask_at(out / f"{id_.replace('/', '+')}_rv.png") == rv).all()
    line = command(tmp_path, tmp_path / "in/site*/?y.png", *FIELD, "--uncertainty")
    assert main(line) == 0
    assert [row["id"] for row in rows_of(tmp_path / "out/eyes.csv")] == ["site 1/=y"]
    assert (tmp_path / "out/site 1+=y_uncertainty.png").exists()
    line = ["analyze", str(tmp_path / "in/site 1/=y.png"), "--out", str(tmp_path / "third"), *FIELD]
    assert main(line) == 0
    assert [row["id"] for row in rows_of(tmp_path / "third/eyes.csv")] == ["'=y"]  # no formula


def test_symmetries_and_probabilities(tmp_path):
    pixels = write_eyes(tmp_path / "in", "a")["a"]
    assert main(command(tmp_path, tmp_path / "in", "--tta", "--save-probabilities", *FIELD)) == 0
    stored = np.load(tmp_path / "out/a_probability.npz", allow_pickle=False)
    unit = pixels / 255
    for task, expected in (("rv", unit), ("faz", unit**2)):
        assert stored[task].dtype == np.float16
        np.testing.assert_allclose(stored[task], expected, atol=2.5e-4 + 1e-6)
    warm = np.asarray(Image.open(tmp_path / "out/a_uncertainty.png")).astype(int)
    surest = (pixels > 250) | (pixels < 5)
    unsure = (abs(unit - 0.5) < 0.02) | (abs(unit**2 - 0.5) < 0.02)
    assert (warm[unsure][:, 0] > 240).all() and surest.any()
    assert warm[surest][:, 0].mean() < 200


def test_several_networks_are_averaged(tmp_path, capsys, monkeypatch):
    pixels = write_eyes(tmp_path / "in", *"abcdefghi")["a"]  # two batches, as there are 8 devices
    model = Segmenter.pretrained()
    compute, at_work, most, pitches = Segmenter.compute, [], [], []

    def counted(self, image, **options):
        pitches.append(options["um_per_px"])
        at_work.append(image)
        most.append(len(at_work))
        time.sleep(0.05)
        found = compute(self, image, **options)
        at_work.pop()
        return found

    monkeypatch.setattr(Segmenter, "compute", counted)

    def predict_step(variables, images, *, module):
        scale = jax.tree.leaves(variables)[0].ravel()[0]
        return {"rv": scale * images, "faz": images}

    put_in_place(monkeypatch, predict_step)
    weights = []
    for scale in (0.9, 0.6):
        model.variables = jax.tree.map(np.array, model.variables)
        jax.tree.leaves(model.variables)[0].flat[0] = scale
        weights += ["--weights", tmp_path / f"{scale}.safetensors"]
        model.save(weights[-1])
    line = command(tmp_path, tmp_path / "in", *FIELD, "--save-probabilities")
    assert main([*line, "--jobs", "4", *map(str, weights)]) == 0
    assert most == [1] * 9  # threads share the second network
    assert pitches == [12.5] * 9
    expected = 0.75 * pixels / np.float32(255)
    stored = np.load(tmp_path / "out/a_probability.npz", allow_pickle=False)
    np.testing.assert_allclose(stored["rv"], expected, atol=3e-4)
    assert (mask_at(tmp_path / "out/a_rv.png") == (expected >= 0.5)).all()
    spread = 0.15 * pixels / np.float32(255)
    np.testing.assert_allclose(stored["rv_spread"], spread, atol=1e-4)
    assert stored["faz_spread"].max() < 1e-6
    row = rows_of(tmp_path / "out/eyes.csv")[0]
    assert float(row["rv_spread"]) == pytest.approx(spread[expected >= 0.5].mean(), rel=1e-4)
    assert (tmp_path / "out/a_uncertainty.png").exists()

    pattern = str(tmp_path / "0.?.safetensors")
    line_of_predict = ["predict", "--weights", pattern, "--out", str(tmp_path / "masks")]
    assert main([*line_of_predict, str(tmp_path / "in/a.png")]) == 0
    assert (mask_at(tmp_path / "masks/a_rv.png") == (expected >= 0.5)).all()
    both = S2ANet.ensemble(weights[1::2])
    assert len(S2ANet.ensemble(weights[1]).models) == 1  # a path, not its characters
    analysis = both.analyze(pixels, um_per_px=12.5)
    np.testing.assert_allclose(analysis.probability["rv"], expected, atol=1e-6)
    np.testing.assert_allclose(analysis.spread["rv"], spread, atol=1e-6)
    (masks,) = both.predict_batch([pixels], um_per_px=12.5)
    np.testing.assert_array_equal(masks[0], expected >= 0.5)

    assert main([*line, *map(str, weights[:2])]) == 2
    assert "made by other weights" in capsys.readouterr().err
    model.tasks = ("rv",)
    model.save(tmp_path / "vessels.safetensors")
    assert (
        main([*line, "--weights", "sim_to_real", "--weights", f"{tmp_path}/vessels.safetensors"])
        == 2
    )
    assert "differ in tasks, ('rv',) and ('rv', 'faz')" in capsys.readouterr().err


def test_a_frame_around_a_screenshot_is_cut_off_and_said(tmp_path, capsys):
    pixels = draw_eye(3, SIDE)[0]
    (tmp_path / "in").mkdir()
    Image.fromarray(np.pad(pixels, 20, constant_values=255)).save(tmp_path / "in/shot.png")
    assert main(command(tmp_path, tmp_path / "in", *FIELD)) == 0
    (row,) = rows_of(tmp_path / "out/eyes.csv")
    assert (row["height_px"], row["width_px"]) == (str(SIDE), str(SIDE))
    assert float(row["image_um_per_px"]) == pytest.approx(12.5)
    assert "A frame was cut off: 96x96 of 136x136" in row["notes"]
    assert "shot.png: a frame was cut off" in capsys.readouterr().out


def test_without_pitch_there_are_masks_and_a_note(tmp_path, capsys):
    write_eyes(tmp_path / "in", "a", "b")
    Image.fromarray(draw_eye(5, SIDE)[0]).save(
        tmp_path / "in/b.tif", resolution_unit=3, resolution=1000
    )
    (tmp_path / "in/b.png").unlink()
    assert main(command(tmp_path, tmp_path / "in")) == 0
    first, second = rows_of(tmp_path / "out/eyes.csv")
    assert first["vessel_density"] == "" and "size of the pixels is unknown" in first["notes"]
    assert second["vessel_density"] != "" and [*first][-1] == "notes"
    assert "Nothing is measured in 1 image" in capsys.readouterr().out


def test_shards_complete_the_whole(tmp_path, computed):
    write_eyes(tmp_path / "in", "a", "b", "c")
    out = tmp_path / "out"
    for shard in ("1/2", "0/2", "0/5"):  # the last one has no image
        assert main(command(tmp_path, tmp_path / "in", *FIELD, f"--shard={shard}")) == 0
    assert computed == [2, 1]
    assert [row["id"] for row in rows_of(out / "eyes-1-of-2.csv")] == ["b", "c"]
    assert not (out / "summary.html").exists()
    assert main(command(tmp_path, tmp_path / "in", *FIELD)) == 0
    assert computed == [2, 1]
    assert [row["id"] for row in rows_of(out / "eyes.csv")] == ["a", "b", "c"]
    assert (out / "summary.html").exists()
