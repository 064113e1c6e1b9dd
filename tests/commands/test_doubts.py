"""Every command that reads masks says which ones are doubtful; values and exit code stay."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from s2a_jax.cli import run as main
from s2a_jax.config.load import load_config
from s2a_jax.data.load import load_run_data
from tests.inputs.eyes import draw_eye
from tests.inputs.files import save
from tests.networks import put_in_place

pytestmark = pytest.mark.usefixtures("intensity_network")  # what it finds does not matter here

FOLDERS = ("image", "label_RV", "label_FAZ")
WHITE = np.uint8(255)
SPLITS = {"train": (0, 1, 2), "val": (3,), "test": (4, 5)}
TURNED = "fit their images better when turned by 90 degrees clockwise ("


def write(folder, seed, masks):
    """The image of a drawn eye, and what `masks` makes of its masks."""
    image, rv, faz = draw_eye(seed)
    rv, faz = masks(rv, faz)
    for name, pixels in zip(FOLDERS, (image, rv * WHITE, faz * WHITE), strict=True):
        (folder / name).mkdir(parents=True, exist_ok=True)
        save(folder / name / f"eye{seed}.png", pixels)


@pytest.fixture
def eyes(tmp_path):
    """Split folders; all masks are turned by 90 degrees, but the FAZ of test/eye4 is inverted."""
    for split, seeds in SPLITS.items():
        for seed in seeds:
            write(
                tmp_path / "eyes" / split,
                seed,
                lambda rv, faz, seed=seed: (np.rot90(rv), ~faz if seed == 4 else np.rot90(faz)),
            )
    return tmp_path / "eyes"


def line_with(text, lines):
    (line,) = (line for line in lines if text in line)
    return line


def data_section(**values):
    data = load_config("default").data
    data.update({"size": 96} | {key: str(value) for key, value in values.items()})
    return data


def test_prepare_and_the_start_of_training(eyes, tmp_path, capsys):
    prepared = tmp_path / "prepared"
    assert main(["prepare", "folder", "--from", str(eyes), "--to", str(prepared)]) == 0
    report = json.loads(next(prepared.rglob("report.json")).read_text())
    notes = load_run_data(data_section(name="folder", root=eyes)).notes
    again = load_run_data(data_section(name="prepared", root=prepared)).notes
    for lines in (capsys.readouterr().out.splitlines(), report["doubts"], notes, again):
        assert "The RV masks of 6 of 6 cases" in line_with("RV masks of", lines)
        assert TURNED + "train/eye0: 0." in line_with("RV masks of", lines)
        assert "The FAZ masks of 5 of 6 cases" in line_with("FAZ masks of", lines)
        assert TURNED in line_with("FAZ masks of", lines)
        covers = line_with("covers more than half", lines)
        assert "The FAZ of 1 of 6 cases" in covers and "(test/eye4: 97 %)" in covers


def test_evaluate_prints_and_stores_them(eyes, tmp_path, capsys):
    out = tmp_path / "out"
    flags = ["--weights", "sim_to_real", "--data", str(eyes), "--um-per-px", "30"]
    assert main(["evaluate", *flags, "--out", str(out)]) == 0
    assert "The RV masks of 2 of 2 cases fit" in " ".join(capsys.readouterr().out.split())
    notes = json.loads((out / "test.json").read_text())["notes"]
    assert TURNED + "eye4: 0." in line_with("The RV masks of 2 of 2 cases", notes)
    assert "(eye4: 97 %)" in line_with("The FAZ of 1 of 2 cases covers more than half", notes)


def test_masks_that_fit_are_not_mentioned(tmp_path, capsys):
    for seed in range(3):
        write(tmp_path / "eyes/test", seed, lambda rv, faz: (rv, faz))
    flags = ["--weights", "sim_to_real", "--data", str(tmp_path / "eyes")]
    assert main(["evaluate", *flags]) == 0
    assert "better when" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["disc.png", "disc.bmp", "disc.tif", "disc.gif"])
def test_measure_says_that_an_inverted_faz_may_be_inverted(tmp_path, capsys, name):
    y, x = np.mgrid[:96, :96]
    disc = np.hypot(y - 48, x - 48) <= 12  # 441 of 9216 pixels
    Image.fromarray(~disc * np.uint8(255)).save(tmp_path / name)
    out = tmp_path / "out.csv"
    flags = ["--field-mm", "3", "--out", str(out)]
    assert main(["measure", "--faz", str(tmp_path / name), *flags]) == 0
    sentence = (
        "The FAZ of 1 of 1 eye covers more than half of the image (disc: 95 %): the mask may be "
        "inverted."
    )
    assert sentence in capsys.readouterr().out.splitlines()
    with out.open(newline="") as file:
        (row,) = csv.DictReader(file)
    # The area of the largest region, whose hole is filled.
    assert float(row["faz_area_mm2"]) == pytest.approx(9)


def test_measure_examines_predicted_masks(tmp_path, capsys, monkeypatch):
    image, rv, faz = draw_eye(1)
    save(tmp_path / "a.png", image)
    masks = {"rv": np.rot90(rv)[None].astype(np.float32), "faz": faz[None].astype(np.float32)}
    put_in_place(monkeypatch, lambda _, images, *, module: masks)
    flags = ["--um-per-px", "10", "--out", str(tmp_path / "out.csv")]
    assert main(["measure", "--weights", "sim_to_real", str(tmp_path / "a.png"), *flags]) == 0
    line = line_with("The RV mask of 1 of 1 eye", capsys.readouterr().out.splitlines())
    assert "when turned by 90 degrees clockwise (a: 0." in line
