"""What every command makes of a network whose tasks differ, and whose left and right do."""

import csv
import json

import jax
import numpy as np
import pytest
from PIL import Image

from s2a_jax import S2ANet
from s2a_jax.analysis import analysis
from s2a_jax.biomarkers.measure import measure
from s2a_jax.cli import run as main
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.fovea import central_piece
from tests.networks import put_in_place, uneven

TASKS = ("rv", "faz")
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 56), np.uint8)
PIXELS[0, :8] = 51  # with a threshold of 0.2 they are just inside
UNIT = PIXELS / np.float32(255)
FLAGS = [(0.2, False), (0.5, True)]  # threshold, --tta


@pytest.fixture(autouse=True)
def network(monkeypatch):
    put_in_place(monkeypatch, uneven)


def answers(view):
    columns = np.arange(view.shape[1])
    return view * (columns < 40), (1 - view) * (columns < 20)


def probabilities(unit, tta):
    """Task -> what the network answers, averaged over the symmetries of a square with `tta`."""
    found = []
    for turns in range(4 if tta else 1):
        for flip in (False, True) if tta else (False,):
            seen = answers(np.rot90(np.fliplr(unit) if flip else unit, turns))
            back = [np.rot90(one, -turns) for one in seen]
            found.append([np.fliplr(one) if flip else one for one in back])
    return dict(zip(TASKS, np.mean(found, axis=0), strict=True))


def reached(unit, threshold, tta):
    """Task -> where its probability reaches the threshold, which is what is evaluated."""
    return {task: p >= threshold for task, p in probabilities(unit, tta).items()}


def masks_of(unit, threshold, tta):
    """The same with the most central piece of the FAZ alone."""
    masks = reached(unit, threshold, tta)
    return masks | {"faz": central_piece(masks["faz"]).mask}


def flags_of(threshold, tta):
    return ["--threshold", str(threshold), *["--tta"] * tta]


def expected_dice(p, mask):
    return 2 * p[mask].sum() / (p.sum() + mask.sum())


def dice(predicted, true):
    return 2 * (predicted & true).sum() / (predicted.sum() + true.sum())


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def picture_at(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(name, tmp_path, *flags):
    image = save(tmp_path / "eye.png", PIXELS)
    code = main([name, "--weights", "sim_to_real", *map(str, flags), str(image)])
    assert code == 0


def check_masks(out, masks):
    for task, mask in masks.items():
        assert 0 < mask.sum() < mask.size
        np.testing.assert_array_equal(picture_at(out / f"eye_{task}.png"), mask * np.uint8(255))


def measured(masks):
    """Biomarkers of a left eye of 26 mm, whose pitch of 10 um assumes 24.46 mm."""
    found = measure(
        masks["rv"], masks["faz"], um_per_px=10, laterality="OS", axial_length_mm=26,
        reference_axial_length_mm=24.46,
    )  # fmt: skip
    assert found["um_per_px"] == pytest.approx(10 * (26 - 1.82) / (24.46 - 1.82))
    assert found["vessel_density"] == masks["rv"].mean()
    return found


@pytest.mark.parametrize(("threshold", "tta"), FLAGS)
def test_predict(tmp_path, threshold, tta):
    masks, out = masks_of(UNIT, threshold, tta), tmp_path / "out"
    run("predict", tmp_path, "--out", out, *flags_of(threshold, tta))
    check_masks(out, masks)
    sums = [int(masks[task].sum()) for task in TASKS]
    (row,) = rows_of(out / "predictions.csv")
    assert row == {
        "image": "eye.png", "height_px": "40", "width_px": "56", "rv_px": str(sums[0]),
        "faz_px": str(sums[1]),
    }  # fmt: skip
    drawn = picture_at(out / "eye_overlay.png").astype(float)
    grey = np.repeat(PIXELS[..., None], 3, axis=-1)
    for task, other, colour in (("rv", "faz", (255, 70, 70)), ("faz", "rv", (70, 170, 255))):
        alone = masks[task] & ~masks[other]
        np.testing.assert_allclose(
            drawn[alone], 0.45 * grey[alone] + 0.55 * np.array(colour), atol=1
        )
    nothing = ~(masks["rv"] | masks["faz"])
    np.testing.assert_array_equal(drawn[nothing], grey[nothing])


@pytest.mark.parametrize(("threshold", "tta"), FLAGS)
def test_analyze(tmp_path, monkeypatch, threshold, tta):
    asked = []
    assess = analysis.assess
    monkeypatch.setattr(analysis, "assess", lambda *given: asked.append(given) or assess(*given))
    p, masks, out = probabilities(UNIT, tta), masks_of(UNIT, threshold, tta), tmp_path / "out"
    flags = ["--out", out, "--um-per-px", "10", "--save-probabilities", "--laterality", "OS",
             "--axial-length-mm", "26", "--reference-axial-length-mm", "24.46"]  # fmt: skip
    run("analyze", tmp_path, *flags, *flags_of(threshold, tta))
    check_masks(out, masks)
    (row,) = rows_of(out / "eyes.csv")
    expected = {"height_px": 40, "width_px": 56, "image_um_per_px": 10}
    for task in TASKS:
        expected[f"{task}_px"] = masks[task].sum()
        left_out = (p[task] >= threshold) & ~masks[task]  # pieces that are no FAZ
        expected[f"{task}_expected_dice"] = expected_dice(
            np.where(left_out, 0, p[task]), masks[task]
        )
        q = np.clip(p[task][masks[task]], 1e-12, 1 - 1e-7)
        expected[f"{task}_entropy_bits"] = -(q * np.log2(q) + (1 - q) * np.log2(1 - q)).mean()
    expected |= measured(masks)
    for name, value in expected.items():
        assert float(row[name] or "nan") == pytest.approx(value, rel=1e-4, nan_ok=True), name
    assert (row["laterality"], row["axial_length_mm"]) == ("OS", "26")
    with np.load(out / "eye_probability.npz") as stored:
        for task in TASKS:
            np.testing.assert_allclose(stored[task], p[task], atol=5e-4)
    drawn = picture_at(out / "eye_overlay.png")
    assert ((drawn == (70, 170, 255)).all(axis=-1) <= masks["faz"]).all()
    red = (drawn[..., 0] > drawn[..., 2].astype(int) + 20) & ~masks["faz"]
    np.testing.assert_array_equal(red, masks["rv"] & ~masks["faz"])
    assert (out / "eye_uncertainty.png").exists() == tta
    ((picture, at_network, um_per_px, trained),) = asked
    np.testing.assert_array_equal(picture, UNIT)
    np.testing.assert_allclose(at_network["rv"], p["rv"], atol=1e-6)
    assert (um_per_px, trained) == (10, (6.5, 15.75))


@pytest.mark.parametrize("tta", [False, True])
def test_measure(tmp_path, tta):
    masks, out = masks_of(UNIT, 0.5, tta), tmp_path / "out.csv"
    eyes = tmp_path / "eyes.csv"
    eyes.write_text("id,laterality\neye,OS\n")  # its cells override the flags
    flags = ["--out", out, "--um-per-px", "10", "--eyes", eyes, "--laterality", "OD",
             "--axial-length-mm", "26", "--reference-axial-length-mm", "24.46"]  # fmt: skip
    run("measure", tmp_path, *flags, *["--tta"] * tta)
    (row,) = rows_of(out)
    for name, value in measured(masks).items():
        assert float(row[name] or "nan") == pytest.approx(value, rel=1e-4, nan_ok=True), name
    assert row["laterality"] == "OS"


@pytest.fixture
def eyes(tmp_path):
    """Two test eyes with their masks: stem -> unit image, and task -> mask."""
    rng, found = np.random.default_rng(1), {}
    for split, stems in (("train", "xy"), ("val", "v"), ("test", "ab")):
        for stem in stems:
            home, pixels = tmp_path / "eyes" / split, rng.integers(0, 256, (40, 56), np.uint8)
            masks = {"rv": pixels > 100 + 20 * rng.normal(size=pixels.shape),
                     "faz": pixels + np.arange(56) < 90}  # fmt: skip
            save(home / f"images/{stem}.png", pixels)
            for task, mask in masks.items():
                save(home / f"masks/{stem}_{task}.png", mask * np.uint8(255))
            found[stem] = pixels / np.float32(255), masks
    return found


@pytest.mark.parametrize(("threshold", "tta"), FLAGS)
def test_evaluate(tmp_path, capsys, eyes, threshold, tta):
    out = tmp_path / "out"
    flags = ["--data", str(tmp_path / "eyes"), "--out", str(out), *flags_of(threshold, tta)]
    limit = ["--limit", "1"] if tta else []
    assert main(["evaluate", "--weights", "sim_to_real", *flags, *limit]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert ("means over the eight symmetries" in printed) == tta
    rows, foreseen = rows_of(out / "test.csv"), rows_of(out / "test_expected_dice.csv")
    ids = ["a"] if tta else ["a", "b"]
    assert [row["id"] for row in rows] == [row["id"] for row in foreseen] == ids
    for row, other in zip(rows, foreseen, strict=True):
        unit, true = eyes[row["id"]]
        p, masks = probabilities(unit, tta), reached(unit, threshold, tta)
        for task in TASKS:
            value = dice(masks[task], true[task])
            assert 0 < value < 1
            assert float(row[f"{task}_dice"]) == pytest.approx(value, abs=1e-6)
            assert float(other[f"{task}_dice"]) == pytest.approx(value, abs=1e-5)
            found = float(other[f"{task}_expected_dice"])
            assert found == pytest.approx(expected_dice(p[task], masks[task]), abs=1e-4)
    result = json.loads((out / "test.json").read_text())
    assert result["threshold"] == threshold


def test_evaluate_means_several_networks(tmp_path, eyes, monkeypatch):
    def scaled(variables, images, *, module):
        factor = jax.tree.leaves(variables)[0].ravel()[0]
        return {"rv": factor * images, "faz": factor * (1 - images)}

    put_in_place(monkeypatch, scaled)
    model, weights = Segmenter.pretrained(), []
    for factor in (1.0, 0.4):
        model.variables = jax.tree.map(np.array, model.variables)
        jax.tree.leaves(model.variables)[0].flat[0] = factor
        weights += ["--weights", str(tmp_path / f"{factor}.safetensors")]
        model.save(weights[-1])
    out = tmp_path / "out"
    assert main(["evaluate", *weights, "--data", str(tmp_path / "eyes"), "--out", str(out)]) == 0
    for row in rows_of(out / "test.csv"):
        unit, true = eyes[row["id"]]
        for task, p in (("rv", 0.7 * unit), ("faz", 0.7 * (1 - unit))):
            assert float(row[f"{task}_dice"]) == pytest.approx(dice(p >= 0.5, true[task]), abs=1e-6)


@pytest.mark.parametrize(("threshold", "tta"), FLAGS)
def test_python(threshold, tta):
    model, masks = S2ANet.pretrained(), masks_of(UNIT, threshold, tta)
    expected = tuple(masks[task] for task in TASKS)
    options = {"threshold": threshold, "tta": tta}
    wide = np.zeros((40, 100), np.uint8)  # computed first, since it is alone in its size
    batch = model.predict_batch([PIXELS, wide, PIXELS], **options)
    for found in (model.predict(PIXELS, **options), batch[0], batch[2]):
        np.testing.assert_array_equal(found, expected)
    assert batch[1][0].shape == wide.shape
    known = {"laterality": "left", "axial_length_mm": 26, "reference_axial_length_mm": 24.46}
    square = model.analyze(PIXELS[:, :40], field_mm=1.2, **known, **options)
    assert square.eye.um_per_px == pytest.approx(1200 / 40)
    one = model.analyze(PIXELS, um_per_px=10, **known, **options)
    np.testing.assert_array_equal((one.rv, one.faz), expected)
    assert (one.eye.laterality, one.eye.pitch_source) == ("OS", "um_per_px")
    assert one.biomarkers["um_per_px"] == pytest.approx(10 * (26 - 1.82) / (24.46 - 1.82))
    assert "vessel_density_etdrs_inner_nasal" in one.biomarkers
    assert (one.spread is not None) == tta
