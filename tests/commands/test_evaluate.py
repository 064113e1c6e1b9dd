"""`python -m s2a_jax evaluate` on small folders, with networks whose output is known."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from s2a_jax.cli import run as main
from s2a_jax.commands.known_cases import KnownCases
from s2a_jax.config.load import load_config
from s2a_jax.config.values import to_json
from s2a_jax.convert.weights import Description, save_weights
from s2a_jax.data.load import load_run_data
from s2a_jax.data.selection import select_cases
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.models.build import network_fields
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training.data_record import write_record
from tests.networks import put_in_place, uneven


def save_tiny(path, slabs=(), slab=None):
    fields = network_fields({"name": "unet", "variant": "tiny", "dtype": "float32"}, 32, slabs)
    variables = {"params": {"a": np.zeros(1, np.float32)}}  # never used
    save_weights(path, Description("unet", fields, slab), variables)
    return path


@pytest.fixture(autouse=True)
def network(monkeypatch):
    """The weights only say what a network was trained on; its output is known."""
    put_in_place(monkeypatch, uneven)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def draw(folder, stem, shape, faz=True):
    """An image with two vessels and, perhaps, a FAZ mask, in a user's folder."""
    rv, hole = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    rv[:, 5:9], rv[30:33], hole[14:24, 14:26] = 255, 255, 255
    save(folder / f"images/{stem}.png", np.maximum(rv, 60) - hole // 5)
    save(folder / f"masks/{stem}_rv.png", rv)
    if faz:
        save(folder / f"masks/{stem}_faz.png", hole)


def test_everything_is_written_at_the_images_own_sizes(weights, tmp_path, capsys):
    for split in ("train", "val", "test"):
        draw(tmp_path / "eyes" / split, f"{split}0", (40, 56))
    draw(tmp_path / "eyes/test", "test1", (50, 38), faz=False)
    out = tmp_path / "out"
    arguments = ["evaluate", "--weights", str(weights), "--data", str(tmp_path / "eyes")]
    code = main([*arguments, "--out", str(out), "--window", "20", "--postprocess",
                 "--um-per-px", "10"])  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert "20x20 px window centred on the true FAZ's centroid" in printed
    (row,) = (line.split() for line in printed.splitlines() if "FAZ, post-processed" in line)
    assert row[-3:] == ["–", row[-2], "1"]  # the interval of one case
    assert sorted(path.name for path in out.iterdir()) == [
        "table.txt", "test", "test.csv", "test.json", "test_curves.png",
        "test_expected_dice.csv", "test_expected_dice.png",
    ]  # fmt: skip
    with (out / "test.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["test0", "test1"]
    with (out / "test_expected_dice.csv").open() as file:
        foreseen = list(csv.DictReader(file))
    assert [row["id"] for row in foreseen] == ["test0", "test1"]
    model = Segmenter.load_from_checkpoint(weights)
    for one, row in zip(foreseen, rows, strict=True):
        with Image.open(tmp_path / f"eyes/test/images/{row['id']}.png") as image:
            p = model.predict_proba(np.asarray(image))["rv"].astype(float)
        mask = p >= 0.5
        dice = 2 * p[mask].sum() / (p.sum() + mask.sum())
        assert float(one["rv_expected_dice"]) == pytest.approx(dice, abs=2e-4)
        for column in ("rv_dice", "faz_dice"):
            assert float(one[column] or "nan") == pytest.approx(
                float(row[column] or "nan"), abs=1e-5, nan_ok=True
            )
    assert "expected Dice as a predictor of Dice" in printed
    assert rows[0]["faz_dice"] and not rows[1]["faz_dice"]
    assert float(rows[1]["rv_hd95_um"]) == pytest.approx(10 * float(rows[1]["rv_hd95_px"]))
    result = json.loads((out / "test.json").read_text())
    assert (result["split"], result["protocol"], result["threshold"]) == ("test", "native", 0.5)
    assert (result["network"], result["cases"], result["um_per_px"]) == ("unet", 2, 10)
    mean = np.mean([float(row["rv_dice"]) for row in rows])
    assert result["metrics"]["rv"]["dice"]["mean"] == pytest.approx(mean, abs=1e-6)
    one, two = (result["metrics"][task]["dice"] for task in ("faz_post", "rv"))
    assert set(one) == {"mean", "cases", "pooled"} and one["cases"] == 1
    assert set(two) == {*one, "sd", "low", "high"}
    assert set(result["curves"]["rv"]) == {"roc", "pr", "calibration"}
    area = result["biomarkers"]["faz_area_mm2"]
    assert (area["ids"], area["true"]) == (["test0"], [pytest.approx(120 * 0.01**2)])
    density = result["biomarkers"]["vessel_density"]
    assert density["ids"] == ["test0", "test1"] and density["low"] <= density["bias"]
    differences = np.subtract(density["predicted"], density["true"])
    assert density["bias"] == pytest.approx(differences.mean())
    for path in (*result["pictures"]["best"], *result["pictures"]["worst"]):
        assert (out / path).is_file()

    # At 320 px the distances grow, the pixels shrink; nothing is written without --out.
    code = main([*arguments, "--protocol", "s2anet", "--split", "all", "--um-per-px", "10"])
    assert code == 0
    assert "all: unet, protocol s2anet, probability > 0.502" in capsys.readouterr().out


def test_each_image_of_a_field_of_view_has_the_pitch_of_its_size(weights, tmp_path, capsys):
    for split in ("train", "val"):
        draw(tmp_path / "eyes" / split, f"{split}0", (40, 40))
    for stem, side in (("test0", 40), ("test1", 50)):
        draw(tmp_path / "eyes/test", stem, (side, side))
    arguments = ["evaluate", "--weights", str(weights), "--data", str(tmp_path / "eyes"),
                 "--field-mm", "1", "--window", "20"]  # fmt: skip
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out/test.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, um_per_px in zip(rows, (25, 20), strict=True):
        assert float(row["rv_hd95_um"]) == pytest.approx(um_per_px * float(row["rv_hd95_px"]))
    capsys.readouterr()
    draw(tmp_path / "eyes/test", "wide", (40, 56))
    assert main(arguments) == 2
    assert "wide: The pixels are 25 um high and 17.86 um wide" in capsys.readouterr().err


def test_a_network_of_another_pitch_and_without_a_task(weights, tmp_path, capsys, monkeypatch):
    """The image is its own probability: what comes back is the image, through 10 um pixels."""
    put_in_place(monkeypatch, lambda _, images, *, module: {"rv": images, "faz": images})
    for split in ("train", "val", "test"):
        draw(tmp_path / "eyes" / split, f"{split}0", (40, 56))
    model = Segmenter.load_from_checkpoint(weights)
    model.pitches_um, model.tasks = (10.0, 10.0), ("rv",)
    model.save(tmp_path / "vessels.safetensors")
    arguments = ["evaluate", "--weights", str(tmp_path / "vessels.safetensors"),
                 "--data", str(tmp_path / "eyes"), "--out", str(tmp_path / "out")]  # fmt: skip
    found = {}
    for pitch in ("10", "5", None):
        assert main([*arguments, *(["--um-per-px", pitch] if pitch else [])]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert "without masks of the FAZ, so it predicts none" in printed
        resampled = "1 of 1 images: predicted at 10 um per pixel, as the network"
        assert (resampled in printed) == (pitch == "5")
        assert ("1 of 1 images have no known pixel pitch" in printed) == (pitch is None)
        result = json.loads((tmp_path / "out/test.json").read_text())
        assert set(result["metrics"]) == {"rv"}
        assert "faz_area_mm2" not in result.get("biomarkers", {})
        found[pitch] = result["metrics"]["rv"]["dice"]["mean"]
    assert found["10"] == found[None] == 1
    assert 0.8 < found["5"] < 1
    for split in ("train", "val", "test"):
        (tmp_path / f"eyes/{split}/masks/{split}0_rv.png").unlink()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "the cases have masks of FAZ, but the network was trained on RV only" in error


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--protocol", "otsu", "--threshold", "0.4"], "--threshold"),
        (["--threshold", "2"], "--threshold"),
        (["--window", "wide"], "--window"),
        (["--limit", "0"], "--limit"),
        (["--um-per-px", "-3"], "--um-per-px"),
        (["--field-mm", "3000"], "--field-mm"),
        (["--data", "nowhere"], "nowhere"),
        (["--data", "nowhere", "--name", "rose"], "--data=DIR"),
        (["--slab", "SVC"], "--slab='SVC': octa500 3M has"),
        (["--out", "/nowhere/at/all"], "/nowhere/at does not exist"),
        (["--subset", "9M"], "9M"),
        (["--split", "val", "--name", "octa500", "--subset", "6M"], "6M"),
        (["--weights", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--out", "weights"], "--out"),
    ],
)
def test_mistakes_are_one_sentence(weights, tmp_path, capsys, flags, named):
    slab = tmp_path / "eyes/OCTA_3mm/Projection Maps/OCTA(ILM_OPL)"
    for number in (10301, 10302, 10441, 10451):
        save(slab / f"{number}.bmp", np.zeros((304, 304), np.uint8))
        mask = np.zeros((304, 304), np.uint8)
        mask[50:60] = 255
        save(tmp_path / f"eyes/Label/GT_LargeVessel/{number}.bmp", mask)
    given = {"--weights": str(weights), "--data": str(tmp_path / "eyes")}
    given |= {"--out": str(tmp_path / "out")} | dict(zip(flags[::2], flags[1::2], strict=True))
    if given["--out"] == "weights":
        given["--out"] = str(weights)
    code = main(["evaluate", *(part for pair in given.items() for part in pair)])
    printed = capsys.readouterr()
    assert code == 2
    assert "config.data" not in printed.err
    assert named in printed.err and printed.err.count("error:") == 1 and not printed.out
    assert not (tmp_path / "out").exists()


def test_slabs_are_those_that_the_weights_were_trained_on(tmp_path, capsys):
    maps = tmp_path / "eyes/OCTA_3mm/Projection Maps"
    rng = np.random.default_rng(0)
    for number in (10301, 10302, 10441, 10451):
        for slab in ("ILM_OPL", "FULL", "OPL_BM"):
            save(maps / f"OCTA({slab})/{number}.bmp", rng.integers(0, 256, (32, 32), np.uint8))
        mask = np.where(rng.uniform(size=(32, 32)) > 0.8, 255, 0).astype(np.uint8)
        save(tmp_path / f"eyes/Label/GT_LargeVessel/{number}.bmp", mask)

    def evaluate(weights, *flags):
        """The exit code and what was printed."""
        code = main(["evaluate", "--weights", str(weights), "--data", str(tmp_path / "eyes"),
                     *flags])  # fmt: skip
        printed = capsys.readouterr()
        assert "config.data" not in printed.err
        return code, printed.out + printed.err

    two = save_tiny(tmp_path / "two.safetensors", slabs=("FULL", "OPL_BM"))
    for wrong in ("OPL_BM,FULL", "DCC,WRCC", "FULL", "default"):
        code, printed = evaluate(two, "--slab", wrong)
        assert code == 2 and "trained on FULL,OPL_BM, in this order" in printed
    code, printed = evaluate(two, "--slab", "WRCC,DCC")  # of another data set, in the right order
    assert code == 2 and "--slab='WRCC': octa500 3M has ILM_OPL, FULL, OPL_BM." in printed
    alike = save_tiny(tmp_path / "alike.safetensors", slab="superficial")
    for flags in ([], ["--slab", "ILM_OPL"]):
        code, printed = evaluate(alike, *flags)
        assert code == 0 and "trained on" not in printed
        assert ("ILM_OPL of this data set stands for superficial." in printed) == (not flags)
    (maps / "OCTA(OPL_BM)/10302.bmp").unlink()
    assert evaluate(two)[0] == 0  # the test split needs no other
    code, printed = evaluate(two, "--split", "train")
    assert code == 2 and "--incomplete=skip" in printed
    code, printed = evaluate(two, "--incomplete", "skip", "--split", "train", "--limit", "1")
    assert code == 0 and "10302" in printed

    full = save_tiny(tmp_path / "full.safetensors", slab="FULL")
    assert Segmenter.load_from_checkpoint(full).slab == "FULL"
    (maps / "OCTA(FULL)/10451.bmp").unlink()  # so that there is no test case in this slab
    code, printed = evaluate(full)
    assert code == 2 and "no test cases" in printed
    code, printed = evaluate(full, "--slab", "default")
    assert code == 0
    assert "trained on the slab FULL, not on the slab that --slab default chose" in printed
    named = save_tiny(tmp_path / "named.safetensors", slab="macular")
    code, printed = evaluate(named)
    assert code == 2 and "slab='macular': octa500 3M has ILM_OPL, FULL, OPL_BM. The" in printed
    assert "trained on macular; give --slab with another, or default." in printed
    assert "--slab=" not in printed  # which was not given


def test_octa500_is_recognised_with_its_pitch(weights, tmp_path):
    home = tmp_path / "OCTA_6M"
    for number in (10001, 10002, 10181, 10201):
        pixels = np.zeros((400, 400), np.uint8)
        save(home / f"ProjectionMaps/OCTA(ILM_OPL)/{number}.bmp", pixels)
        pixels[100:200], pixels[300:] = 100, 255
        save(home / f"GroundTruth/{number}.bmp", pixels)
    selection = select_cases(tmp_path, "test")
    assert selection.ids == ("10201",) and selection.um_per_px == (15.0,)
    assert selection.cases[0].faz.sum() == 100 * 400
    assert select_cases(home, "all", "octa500", limit=3).ids == ("10001", "10002", "10181")


def make_run(folder, eyes, weights, **model):
    """A workdir of a run on the training cases of `eyes`, as far as `evaluate` reads it."""
    config = load_config("default")
    config.data.update({"name": "folder", "root": str(eyes), "size": 48})
    config.model.update(model)
    (folder / "checkpoints/7").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(to_json(config)))
    write_record(Workdir(folder), load_run_data(config.data).fingerprints())
    return shutil.copy(weights, folder / "weights.safetensors")


def test_training_cases_are_named_when_they_are_scored(weights, tmp_path, capsys):
    eyes, run = tmp_path / "eyes", tmp_path / "run"
    for number, split in enumerate(("train", "train", "val", "test")):
        draw(eyes / split, f"eye{number}", (40, 56 + number))
    exported = make_run(run, eyes, weights)

    def said(weights, *flags):
        arguments = ["--weights", str(weights), "--data", str(eyes), *flags]
        assert main(["evaluate", *arguments]) == 0
        return " ".join(capsys.readouterr().out.split())

    sentence = "2 of 4 cases (eye0, eye1) are training cases"
    assert sentence in said(exported, "--split", "all", "--protocol", "s2anet")
    assert "2 of 2 cases (eye0, eye1)" in said(exported, "--split", "train")
    for split in ("val", "test"):
        assert "training case" not in said(exported, "--split", split)
    assert "training case" not in said(weights, "--split", "all")  # of no run
    for file, text, reason in (
        ("data.json", None, "data.json is missing."),
        ("data.json", "{", "data.json could not be read"),
        ("data.json", '{"a/train/b": 7}', "data.json holds no hashes."),
        ("config.json", '{"port": 8080}', "config.json is no configuration of a run."),
        ("config.json", "[]", "config.json cannot be used"),
    ):
        (run / file).unlink() if text is None else (run / file).write_text(text)
        unknown = "Whether these are training cases of the network is not known: "
        assert re.search(f"{unknown}.*{re.escape(reason)}", said(exported, "--split", "all"))


def test_training_cases_of_earlier_and_other_networks_are_known(weights, tmp_path):
    every = []
    for name in "abc":
        for number, split in enumerate(("train", "val", "test")):
            draw(tmp_path / name / split, f"{name}{number}", (40 + ord(name) % 8, 56 + number))
        selection = select_cases(tmp_path / name, "all")
        every += zip(selection.ids, selection.cases, strict=True)
    first, second, third = (tmp_path / f"run-{name}" for name in "abc")
    make_run(first, tmp_path / "a", weights, start_from="sim_to_real")
    make_run(second, tmp_path / "b", weights, start_from=str(first / "checkpoints/7"))
    make_run(third, tmp_path / "c", weights, start_from=str(weights))

    def notes(*given):
        known = KnownCases(list(map(str, given)))
        for name, case in every:
            known.look_at(name, case)
        return known.notes(len(every))

    (note,) = notes(second / "checkpoints/7")
    assert note.startswith("2 of 9 cases (a0, b0) are training cases")
    unknown, note = notes(first, third)
    assert f"run-c started from {weights}, which is in no workdir" in unknown
    assert note.startswith("2 of 9 cases (a0, c0) are")
