"""`python -m s2a_jax predict`: masks of every kind of file, resuming, shards, and stops."""

import csv
import json
import signal
import time

import jax
import numpy as np
import pytest
import tifffile
from PIL import Image

from s2a_jax.cli import run as main
from s2a_jax.errors import Stopped
from s2a_jax.files import alone
from s2a_jax.inference import journal
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.fovea import central_piece
from tests.inputs.files import write_dicom


def _command(tmp_path, *more):
    weights = () if "--weights" in more else ("--weights", "sim_to_real")
    return ["predict", *weights, "--out", str(tmp_path / "out"), *map(str, more)]


def _write_images(folder, count, side=40):
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (count, side, side), np.uint8)
    for n in range(count):
        Image.fromarray(pixels[n]).save(folder / f"{n:03}.png")
    return pixels


def _check_results(out, pixels):
    """Compares all results with masks computed here, from `intensity_network`."""
    zones = [central_piece(mask).mask for mask in (pixels / np.float32(255)) ** 2 >= 0.5]
    masks = {"rv": pixels / 255 >= 0.5, "faz": np.stack(zones)}
    for n in range(len(pixels)):
        for task, mask in masks.items():
            written = np.asarray(Image.open(out / f"{n:03}_{task}.png"))
            np.testing.assert_array_equal(written > 0, mask[n])
    sums = zip(*(mask.sum(axis=(1, 2)) for mask in masks.values()), strict=True)
    rows = [f"{n:03}.png,{pixels.shape[1]},{pixels.shape[2]},{rv},{faz}"
            for n, (rv, faz) in enumerate(sums)]  # fmt: skip
    assert (out / "predictions.csv").read_text().splitlines()[1:] == rows
    assert not list(out.glob(".partial*"))


def test_a_stopped_prediction_leaves_no_half_picture(
    tmp_path, monkeypatch, capsys, intensity_network
):
    def save(_, path, *__, **___):
        path.write_bytes(b"half a picture")
        raise Stopped(signal.SIGTERM)

    pixels = _write_images(tmp_path / "in", 1)
    with monkeypatch.context() as context:
        context.setattr(Image.Image, "save", save)
        assert main(_command(tmp_path, tmp_path / "in")) == 143
    assert capsys.readouterr().err.startswith("Stopped; the same command resumes")
    assert not (tmp_path / "out").exists()
    assert main(_command(tmp_path, tmp_path / "in")) == 0
    names = ["000_faz.png", "000_overlay.png", "000_rv.png", "predictions.csv",
             "predictions.jsonl"]  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == names
    _check_results(tmp_path / "out", pixels)


def test_finished_images_are_skipped(tmp_path, capsys, intensity_network, computed):
    folder, out = tmp_path / "in", tmp_path / "out"
    pixels = _write_images(folder, 5)
    turned = Image.Exif()
    turned[274] = 3  # half a turn
    Image.fromarray(pixels[1][::-1, ::-1]).save(folder / "001.png", exif=turned)
    command = _command(tmp_path, folder)
    assert main(command) == 0
    _check_results(out, pixels)
    assert sum(computed) == 5
    first = capsys.readouterr().out
    assert "001.png: turned upright" in first
    (out / "predictions.csv").unlink()
    assert main(command) == 0
    assert sum(computed) == 5
    again = capsys.readouterr().out
    assert again == first.replace(f"-> {out}", f"-> {out} (5 of them by an earlier run)")
    # Results that are gone or were changed, and images that were, are computed again.
    (out / "000_faz.png").unlink()
    Image.new("L", (40, 40)).save(out / "002_rv.png")
    pixels[3] = pixels[3].T
    Image.fromarray(pixels[3]).save(folder / "003.png")
    assert main(command) == 0
    assert sum(computed) == 8
    _check_results(out, pixels)
    # So is another image of the same name, and then the first one, whose results are overwritten.
    other = _write_images(tmp_path / "other", 1)
    for images in (tmp_path / "other", folder):
        assert main(_command(tmp_path, images)) == 0
    assert sum(computed) == 10
    _check_results(out, pixels)
    assert len(other) == 1


def test_images_are_resampled_to_a_trained_pitch_and_back(tmp_path, capsys, intensity_network):
    """Stripes of 6 pixels survive the network's coarser pixels, and masks fit the image again."""
    noise = np.random.default_rng(0).integers(-10, 11, (96, 96))  # flat edges would be a frame
    stripes = (np.tile(np.repeat([40, 220], 6), (96, 8)) + noise).astype(np.uint8)
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(stripes).save(images / "fine.tif", resolution_unit=3, resolution=10000 / 3.25)
    Image.fromarray(stripes).save(images / "usual.tif", resolution_unit=3, resolution=1000)
    Image.fromarray(stripes).save(images / "unknown.png")
    assert main(_command(tmp_path, images)) == 0
    printed = capsys.readouterr().out.replace(f"{images}/", "")
    fine = "predicted at 10.1 um per pixel, as the network was trained, instead of"
    assert f"fine.tif: {fine} 3.25.\n" in printed
    assert "unknown.png: predicted at its own size, since its pixel pitch is unknown" in printed
    left_out = "fine.tif, unknown.png, usual.tif: the FAZ's mask is its most central piece; other"
    assert left_out in printed and printed.count("usual.tif") == 1
    for name in ("fine", "usual", "unknown"):
        mask = np.asarray(Image.open(tmp_path / f"out/{name}_rv.png")) > 0
        np.testing.assert_array_equal(mask[:, 1:-1], (stripes > 128)[:, 1:-1])
    flags = ["--field-mm", "0.3", "--out", str(tmp_path / "flags"), "--tta"]
    assert main(_command(tmp_path, images, *flags)) == 2
    assert "--field-mm=0.3: expected 1 to 30 mm" in capsys.readouterr().err
    Image.fromarray(stripes[:50]).save(images / "wide.png")
    flags[1] = "1"
    assert main(_command(tmp_path, images, *flags)) == 1  # the other images have the field's shape
    assert "wide.png: The pixels are 20 um high and 10.42 um wide" in capsys.readouterr().err


def test_a_task_without_training_gets_no_files(tmp_path, capsys, intensity_network, computed):
    pixels = _write_images(tmp_path / "in", 2)
    model = Segmenter.pretrained()
    model.tasks = ("faz",)
    model.save(tmp_path / "zones.safetensors")
    command = _command(tmp_path, "--weights", tmp_path / "zones.safetensors", tmp_path / "in")
    for _ in range(2):
        assert main(command) == 0
        line = "The network was trained without masks of vessels (RV), so it predicts none."
        assert line in capsys.readouterr().out
    assert sum(computed) == 2
    names = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert names == {f"00{n}_{kind}.png" for n in range(2) for kind in ("faz", "overlay")}
    rows = (tmp_path / "out/predictions.csv").read_text().splitlines()[1:]
    sums = [central_piece(mask).mask.sum() for mask in (pixels / np.float32(255)) ** 2 >= 0.5]
    assert rows == [f"00{n}.png,40,40,,{sums[n]}" for n in range(2)]


@pytest.mark.parametrize("changed", ["weights", "threshold", "field", "tta"])
def test_results_of_other_settings_are_not_mixed(tmp_path, capsys, intensity_network, changed):
    pixels = _write_images(tmp_path / "in", 2)
    assert main(_command(tmp_path, tmp_path / "in")) == 0
    flags = ["--threshold", "0.4"]
    if changed == "weights":
        model = Segmenter.load_from_checkpoint("sim_to_real")
        model.variables = jax.tree.map(lambda leaf: leaf + 1e-3, model.variables)
        model.save(tmp_path / "other.safetensors")
        flags = ["--weights", tmp_path / "other.safetensors"]
    elif changed != "threshold":
        flags = {"field": ["--field-mm", "1"], "tta": ["--tta"]}[changed]
    capsys.readouterr()
    for shard in ([], ["--shard", "1/2"]):
        assert main(_command(tmp_path, *flags, *shard, tmp_path / "in")) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: --out={tmp_path / 'out'} holds results that were made")
        differs = {
            "weights": "by other weights",
            "threshold": "with --threshold=0.5, not 0.4",
            "field": "without --field-mm, not with 1.0",
            "tta": "without --tta;",
        }
        assert differs[changed] in error and "give another folder" in error
    _check_results(tmp_path / "out", pixels)


def test_a_file_that_cannot_be_read_is_listed_and_the_others_are_finished(
    tmp_path, capsys, intensity_network, computed
):
    pixels = _write_images(tmp_path / "in", 20)
    good = {n: (tmp_path / f"in/{n:03}.png").read_bytes() for n in (3, 16)}
    for bad in ([16], [3, 16]):
        for n in bad:
            (tmp_path / f"in/{n:03}.png").write_bytes(good[n][:200])
        command = _command(tmp_path, "--batch-size", "8", tmp_path / "in")
        assert main(command) == 1
        out, error = capsys.readouterr()
        first, *lines = error.splitlines()
        assert first.startswith(f"{len(bad)} of 20 images cannot be used")
        assert [f"{n:03}.png" in line for n, line in zip(bad, lines, strict=True)] == [True] * len(
            bad
        )
        assert f"{20 - len(bad)} images -> " in out
        assert computed == [8, 8, 3]  # and those that wait for a full batch
        rows = (tmp_path / "out/predictions.csv").read_text().splitlines()[1:]
        expected = [f"{n:03}.png" for n in range(20) if n not in bad]
        assert [row.partition(",")[0] for row in rows] == expected
    for n, content in good.items():
        (tmp_path / f"in/{n:03}.png").write_bytes(content)
    assert main(command) == 0
    assert computed == [8, 8, 3, 2]
    _check_results(tmp_path / "out", pixels)


@pytest.mark.parametrize("count", [1, 2])
def test_without_a_usable_file_nothing_is_written(tmp_path, capsys, intensity_network, count):
    _write_images(tmp_path / "in", count)
    for path in (tmp_path / "in").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert main(_command(tmp_path, tmp_path / "in")) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "000.png" in error
    assert ("None of 2 images can be used" in error) == (count == 2)
    assert not (tmp_path / "out").exists()


def test_a_circle_of_links_does_not_end_the_others(tmp_path, capsys, intensity_network):
    _write_images(tmp_path / "in", 2)
    (tmp_path / "in/loop.png").symlink_to(tmp_path / "in/loop.png")
    measured = tmp_path / "measured.csv"
    for command, table in (
        (_command(tmp_path), tmp_path / "out/predictions.csv"),
        (
            ["analyze", "--field-mm", "1", "--out", str(tmp_path / "eyes")],
            tmp_path / "eyes/eyes.csv",
        ),
        (
            ["measure", "--field-mm", "1", "--weights", "sim_to_real", "--out", str(measured)],
            measured,
        ),
    ):
        assert main([*command, str(tmp_path / "in")]) == 1
        first, second = capsys.readouterr().err.splitlines()
        assert "1 of 3" in first and "loop.png cannot be opened: Too many levels" in second
        assert len(table.read_text().splitlines()) == 3


def test_rows_name_the_folders_that_masks_name(tmp_path, intensity_network):
    for site in "ab":
        _write_images(tmp_path / site, 1)
    assert main(_command(tmp_path, tmp_path / "*/000.png")) == 0
    rows = (tmp_path / "out/predictions.csv").read_text().splitlines()[1:]
    assert [row.partition(",")[0] for row in rows] == ["a/000.png", "b/000.png"]
    assert (tmp_path / "out/b+000_rv.png").exists()
    for path in tmp_path.glob("?/000.png"):
        path.write_bytes(b"damaged")
    assert main(_command(tmp_path, tmp_path / "*/000.png")) == 2
    assert len((tmp_path / "out/predictions.csv").read_text().splitlines()) == 1


def test_a_journal_that_ends_within_a_line(tmp_path, capsys, intensity_network, computed):
    pixels = _write_images(tmp_path / "in", 3)
    command = _command(tmp_path, tmp_path / "in")
    assert main(command) == 0
    journal = tmp_path / "out/predictions.jsonl"
    journal.write_bytes(journal.read_bytes()[:-9])  # killed while it wrote
    for _ in range(2):
        assert main(command) == 0
        assert sum(computed) == 4
        assert len([*map(json.loads, journal.read_text().splitlines())]) == 4
    _check_results(tmp_path / "out", pixels)
    journal.write_text(journal.read_text().replace('"id"', '"di"', 1))
    capsys.readouterr()
    assert main(command) == 2
    assert f"{journal}: line 2 is damaged" in capsys.readouterr().err


def test_shards_complete_the_whole(tmp_path, capsys, monkeypatch, intensity_network, computed):
    pixels = _write_images(tmp_path / "in", 7)
    out = tmp_path / "out"
    tables = []
    assert main(_command(tmp_path, "--shard=0/9", tmp_path / "in")) == 0  # no image
    for shard in (2, 0, 1):
        assert main(_command(tmp_path, f"--shard={shard}/3", tmp_path / "in")) == 0
    assert computed == [3, 2, 2]
    for shard in range(3):
        header, *rows = (out / f"predictions-{shard}-of-3.csv").read_text().splitlines()
        tables += rows
    monkeypatch.setattr(journal, "_PATIENCE", 0.1)
    with alone(out / ".lock-1-of-3", "the test"):
        capsys.readouterr()
        assert main(_command(tmp_path, tmp_path / "in")) == 2
        assert f"Another run is at work in --out={out}" in capsys.readouterr().err
        assert main(_command(tmp_path, "--shard=0/3", tmp_path / "in")) == 0
    assert main(_command(tmp_path, tmp_path / "in")) == 0
    assert computed == [3, 2, 2]
    assert (out / "predictions.csv").read_text().splitlines() == [header, *tables]
    _check_results(out, pixels)


@pytest.mark.parametrize(
    "flag", ["--shard=3/3", "--shard=1", "--shard=-1/2", "--shard=0/0", "--batch-size=0"]
)
def test_flags_are_refused(tmp_path, capsys, flag):
    _write_images(tmp_path / "in", 1)
    assert main(_command(tmp_path, flag, tmp_path / "in")) == 2
    error = capsys.readouterr().err
    assert flag.partition("=")[0] in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_signal_leaves_complete_files_only(tmp_path, forks):
    _write_images(tmp_path / "in", 150, side=32)
    command = ["-m", "s2a_jax", *_command(tmp_path, tmp_path / "in")]
    out = tmp_path / "out"
    started = forks.start(command)
    while not started.have_ended() and len(list(out.glob("*_rv.png"))) < 20:
        time.sleep(0.01)
    started.signal(signal.SIGTERM)
    (stopped,) = started.wait()
    assert stopped.returncode == 143, stopped.stderr
    assert stopped.stderr.splitlines()[-1].startswith("Stopped; the same command resumes")
    rows = [*map(json.loads, (out / "predictions.jsonl").read_text().splitlines()[1:])]
    assert 10 < len(rows) < 150
    assert not list(out.glob(".partial*")) and not (out / "predictions.csv").exists()
    for row in rows:
        for name in ("rv", "faz", "overlay"):
            Image.open(out / f"{row['id']}_{name}.png").load()
    done = forks.run(*command)
    assert done.returncode == 0, done.stderr
    assert f"({len(rows)} of them by an earlier run)" in done.stdout
    assert len((out / "predictions.csv").read_text().splitlines()) == 151


@pytest.mark.parametrize("threshold", [0.5, 0.25])
def test_masks_of_one_picture_in_every_kind_of_file(tmp_path, capsys, intensity_network, threshold):
    grey = (np.add.outer(np.arange(40), 3 * np.arange(60)) % 256).astype(np.uint8)
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    Image.fromarray(grey).save(images / "plain.png")
    exif = Image.Exif()
    exif[274] = 8  # the first row is the left side
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(grey, -1)))
    turned.save(images / "turned.webp", exif=exif, lossless=True)
    tifffile.imwrite(images / "wide.tif", grey.astype(np.uint16) * 257, byteorder=">")
    tifffile.imwrite(images / "negative.tif", 1 - grey / 255, photometric="miniswhite")
    write_dicom(images / "scan.dcm", 255 - grey, PresentationLUTShape="INVERSE")
    arguments = ["--weights", "sim_to_real", "--out", str(out), "--threshold", str(threshold)]
    assert main(["predict", *arguments, str(images)]) == 0
    assert "turned.webp: turned upright (orientation 8)." in capsys.readouterr().out
    unit = grey / np.float32(255)
    rv, faz = unit >= threshold, central_piece(unit**2 >= threshold).mask
    assert 0 < faz.sum() < rv.sum()
    for name in ("plain", "turned", "wide", "negative", "scan"):
        for task, mask in (("rv", rv), ("faz", faz)):
            written = np.asarray(Image.open(out / f"{name}_{task}.png"))
            np.testing.assert_array_equal(written, mask * np.uint8(255), err_msg=name)
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = [str(n) for n in (40, 60, rv.sum(), faz.sum())]
    assert len(rows) == 5
    for row in rows:
        assert [*row] == ["image", "height_px", "width_px", "rv_px", "faz_px"]
        assert [*row.values()][1:] == numbers, row
