"""`python -m s2a_jax predict`: masks of every kind of file, and when it is stopped."""

import csv
import signal

import numpy as np
import pytest
import tifffile
from PIL import Image

from s2a_jax.cli import run as main
from s2a_jax.errors import Stopped
from s2a_jax.inference.segmenter import Segmenter
from tests.inputs.files import write_dicom


def test_a_stopped_prediction_leaves_no_half_picture(tmp_path, monkeypatch, capsys):
    def save(_, path, *__):
        path.write_bytes(b"half a picture")
        raise Stopped(signal.SIGTERM)

    Image.new("L", (40, 40)).save(tmp_path / "eye.png")
    masks = (np.zeros((40, 40), bool),) * 2
    monkeypatch.setattr(Segmenter, "predict", lambda *_, **__: masks)
    arguments = ["predict", "--weights", "sim_to_real", "--out", str(tmp_path / "out")]
    with monkeypatch.context() as context:
        context.setattr(Image.Image, "save", save)
        assert main([*arguments, str(tmp_path / "eye.png")]) == 143
    assert capsys.readouterr().err.startswith("Stopped; the same command resumes")
    assert not list((tmp_path / "out").iterdir())
    assert main([*arguments, str(tmp_path / "eye.png")]) == 0
    names = ["eye_faz.png", "eye_overlay.png", "eye_rv.png", "predictions.csv"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


@pytest.fixture
def intensity_network(monkeypatch):
    """A network whose probability of a vessel is the intensity, and of the FAZ its square."""
    monkeypatch.setattr(Segmenter, "predict_proba", lambda _, image: {"rv": image, "faz": image**2})


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
    rv, faz = unit >= threshold, unit**2 >= threshold
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
