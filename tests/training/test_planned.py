"""Fields that a run takes from its images."""

import shutil

import numpy as np
import pytest
from PIL import Image

from s2a_jax.cli import run as main
from s2a_jax.commands import compare, train
from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.data.load import load_run_data
from s2a_jax.errors import UserError
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training.plan import planned
from s2a_jax.training.stored import SHIPPED


@pytest.fixture(scope="module")
def eyes(tmp_path_factory):
    """Six training images of 100 px and one for validation, with vessel masks alone."""
    root = tmp_path_factory.mktemp("eyes")
    for split, count in (("train", 6), ("val", 1)):
        for kind in ("images", "rv"):
            (root / split / kind).mkdir(parents=True)
        for i in range(count):
            pixels = np.random.default_rng(i).integers(0, 200, (100, 100), np.uint8)
            Image.fromarray(pixels).save(root / split / f"images/eye{i}.png")
            mask = np.where(pixels > 180, 255, 0).astype(np.uint8)
            Image.fromarray(mask).save(root / split / f"rv/eye{i}.png")
    return root


def configured(eyes, **fields):
    config = load_config("finetune")
    config.update_from_flattened_dict({"data.root": str(eyes), "train.updates": 60} | fields)
    return config


def test_empty_fields_follow_from_the_images(eyes):
    config, sentence = planned(configured(eyes))
    resolved = resolve(config)
    assert resolved.data.size == 96  # of 100 px, a multiple of 16
    assert resolved.augment.crop == 0  # 192 of the recipe is more
    assert resolved.train.batch_size == 6  # 8 of the recipe is more
    assert (resolved.train.epochs, resolved.eval.every_epochs) == (60, 6)
    assert sentence == (
        "Planned from 6 training cases with masks of vessels, about 100 px a side, unknown pitch "
        "(--config.eval.um_per_px=UM states it): images at 96 px, whole images, batches of 6, "
        "60 epochs of 1 update, a validation every 6 epochs."
    )
    again, nothing = planned(resolved)  # as for the configuration of a run
    assert again is resolved and nothing == ""


def test_the_command_plans_before_it_takes_the_recipe(eyes, monkeypatch, capsys, tmp_path):
    seen = []
    monkeypatch.setattr(train, "write_preview", lambda config, _: seen.append(config) or ["a"])
    flags = [f"--config.data.root={eyes}", "--config.train.updates=30", "--mode=preview"]
    assert main(["train", "--config", "finetune", *flags, "--workdir", str(tmp_path)]) == 0
    (config,) = seen
    assert (config.data.size, config.train.epochs, config.train.batch_size) == (96, 30, 6)
    assert config.optimizer.schedule == "cosine"  # the recipe's
    assert "Planned from 6 training cases" in capsys.readouterr().out


def test_the_start_knows_pitches_and_fields_keep_their_values(eyes):
    chosen = {"eval.um_per_px": 32.0, "train.batch_size": 3, "data.train_cases": 4,
              "eval.every_epochs": 1}  # fmt: skip
    config, sentence = planned(configured(eyes, **chosen))
    assert config.data.size == 208  # 100 * 32 / 15.75 = 203, pixels of a pitch that the start knows
    assert (config.augment.crop, config.train.batch_size) == (192, 3)
    assert (config.train.epochs, config.eval.every_epochs) == (60, 1)  # 4 / 3: one update
    assert "Planned from 4 training cases" in sentence and "32 um a pixel" in sentence
    assert sentence.endswith(
        "images at 208 px, crops of 192 px, batches of 3, 60 epochs of 1 update, a validation "
        "every 1 epoch."
    )
    dataset = load_run_data(config.data, um_per_px=config.eval.um_per_px)
    assert dataset.pitches_um == pytest.approx([32 * 100 / 208] * 2)


@pytest.mark.parametrize("pitch", ["inf", "nan", "-3"])
def test_an_impossible_pitch_is_refused_before_it_plans(eyes, pitch, tmp_path, capsys):
    flags = [f"--config.data.root={eyes}", f"--config.eval.um_per_px={pitch}", "--mode=preview"]
    assert main(["train", "--config", "finetune", *flags, "--workdir", str(tmp_path)]) == 2
    assert f"config.eval.um_per_px={pitch}: expected 0.5 to 100 um" in capsys.readouterr().err


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_all_folds_have_the_plan_of_the_smallest(eyes, fold):
    # Eyes 0 to 3 (0 in val as well) of one patient, 4 and 5 of two: folds train on 2, 6 and 6.
    patient = "e(?=ye[0-3])|[45]"
    fields = {"data.folds": 3, "data.fold": fold, "data.patient": patient}
    config, sentence = planned(configured(eyes, **fields))
    assert (config.train.batch_size, config.train.epochs) == (2, 60)
    assert sentence.startswith("Planned from 2 training cases of the smallest fold with masks")


def test_a_run_that_goes_on_keeps_its_plan_and_needs_no_start(eyes, tmp_path, monkeypatch, capsys):
    root, start, seen = tmp_path / "eyes", tmp_path / "start.safetensors", []
    shutil.copytree(eyes, root)
    shutil.copy(SHIPPED["sim_to_real"], start)
    workdir = Workdir(tmp_path / "run")
    first = resolve(planned(configured(root, **{"model.start_from": str(start)}))[0])
    workdir.claim(first, first)
    (workdir.checkpoints / "4").mkdir(parents=True)
    start.unlink()
    for kind in ("images", "rv"):
        shutil.copy(root / f"train/{kind}/eye0.png", root / f"train/{kind}/eye9.png")
    monkeypatch.setattr(train, "train", lambda config, *_, **__: seen.append(config) or 130)

    flags = ["train", "--config", "finetune", f"--config.data.root={root}",
             "--config.train.updates=60", f"--config.model.start_from={start}"]  # fmt: skip
    assert main([*flags, "--workdir", str(workdir.path)]) == 130
    assert seen == [first] and "Planned" not in capsys.readouterr().out
    assert main([*flags, "--workdir", str(workdir.path), "--config.train.epochs=7"]) == 130
    with pytest.raises(UserError, match=r"config\.train\.epochs=60, not 7"):
        workdir.check(seen[1])
    assert main([*flags, "--workdir", str(tmp_path / "other")]) == 2
    error = capsys.readouterr().err
    assert f"config.model.start_from={start}: No weights at {start}" in error


def test_a_comparison_that_goes_on_keeps_its_plan(eyes, tmp_path, monkeypatch):
    root, seen = tmp_path / "eyes", []
    shutil.copytree(eyes, root)
    monkeypatch.setattr(compare, "train_all", lambda runs, *_: seen.append(runs) or (130, []))
    flags = ["compare", "--config", "finetune", f"--config.data.root={root}", "--networks", "unet",
             "--seeds", "2", "--config.model.start_from=",
             "--workdir", str(tmp_path / "all")]  # fmt: skip
    assert main(flags) == 130
    begun = seen[0][0]
    begun.workdir.claim(begun.config, begun.config)
    (begun.workdir.checkpoints / "4").mkdir(parents=True)
    for kind in ("images", "rv"):
        shutil.copy(root / f"train/{kind}/eye0.png", root / f"train/{kind}/eye9.png")
    assert main(flags) == 130
    assert [run.config for run in seen[1]] == [run.config for run in seen[0]]
    assert seen[1][1].config.train.batch_size == 6  # not 7
    assert main([*flags, "--folds", "2"]) == 130  # each has 4 of 8: three are alike
    assert {run.config.train.batch_size for run in seen[2]} == {4}


def test_only_images_in_a_folder_are_planned_from():
    config = load_config("synthetic")
    assert planned(config) == (config, "")
    config.train.updates = 10
    with pytest.raises(UserError, match=r"config\.train\.updates=10 plans a run from images"):
        planned(config)
