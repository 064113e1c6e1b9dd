"""`python -m parity.evaluate`, `parity.train` and `parity.golden` on small networks."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from references import KNOWN, reference, state_of

from parity import stages
from parity.sides import from_state_dict
from s2a_jax.convert.files import write_state_dict


@pytest.fixture
def run(forked):
    return lambda *arguments: forked("-m", *arguments)


@pytest.mark.parametrize("network", ["unet", "transunet", "jointseg", "vaffnet"])
def test_every_stage_agrees(network):
    state = {k: v.astype(np.float32) for k, v in state_of(reference(network)).items()}
    pair = from_state_dict(network, state, KNOWN[network])
    image = np.random.default_rng(0).uniform(size=(32, 32)).astype(np.float32)
    differences, probability = stages.compare(pair, image)
    assert len({difference.label for difference in differences}) == len(differences) >= 8
    for difference in differences:
        assert difference.scale > 0
        assert difference.largest <= 2e-5 * max(1, difference.scale), difference
    np.testing.assert_allclose(probability["jax_rv"], probability["torch_rv"], atol=2e-5)


def test_evaluate_on_a_folder_with_weights(run, tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("images", "rv"):
        (tmp_path / folder).mkdir()
    for i in range(2):
        pixels = rng.integers(0, 256, (32, 32), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{i}.png")
    Image.fromarray((pixels > 128).astype(np.uint8) * 255).save(tmp_path / "rv/1.png")
    write_state_dict(tmp_path / "x.pth", state_of(reference("s2anet").float()))
    known = ["--known", "num_heads=4", "--known", "groups=4"]
    folders = [f"--{name}={tmp_path / name}" for name in ("images", "rv", "out")]
    weights = ["--weights", tmp_path / "x.pth"]
    done = run("parity.evaluate", "--network", "s2anet", *weights, *known, *folders)
    assert done.returncode == 0, done.stderr
    assert "GCEM decoder 2" in done.stdout
    with (tmp_path / "out/stages.csv").open() as file:
        assert all(float(row["largest_difference"]) < 1e-3 for row in csv.DictReader(file))
    with (tmp_path / "out/masks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["dice_jax_truth"]) for row in rows] == [False, False, True, False]
    assert all(float(row["dice_torch_jax"]) > 0.99 for row in rows)


def test_train_prints_and_plots(run, tmp_path):
    done = run("parity.train", "--network", "unet", "--variant", "tiny", "--size", "32", "--count",
               "2", "--steps", "3", "--control", "--out", tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    with (tmp_path / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    for row in rows:
        assert abs(float(row["PyTorch_loss"]) - float(row["JAX_loss"])) < 1e-5
    with Image.open(tmp_path / "losses.png") as plot:
        assert plot.width > 400


def test_golden_files(run, tmp_path):
    module = reference("unet")
    golden = {f"state/{name}": array for name, array in state_of(module).items()}
    image = np.random.default_rng(0).uniform(size=(1, 3, 32, 32))
    golden["input"] = image
    with torch.no_grad():
        for mode, outputs in (("eval", module(torch.from_numpy(image))),
                              ("train", module.train()(torch.from_numpy(image)))):  # fmt: skip
            golden[f"{mode}/rv"] = outputs["rv"].sigmoid().numpy()
    statistics = {k: v for k, v in state_of(module).items() if "running" in k}
    golden |= {f"stats/{name}": array for name, array in statistics.items()}
    np.savez(tmp_path / "unet.npz", **golden)
    done = run("parity.golden", tmp_path / "unet.npz")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 outside their tolerance" in done.stdout
    golden["eval/rv"] += 0.1
    np.savez(tmp_path / "unet.npz", **golden)
    assert run("parity.golden", tmp_path / "unet.npz").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["evaluate", "--network", "unet", "--size", "50"], "--size=50"),
        (["evaluate", "--network", "unet", "--images", "nowhere"], "nowhere"),
        (["evaluate", "--network", "unet", "--rv", "nowhere"], "--rv"),
        (["train", "--network", "unet", "--variant", "huge", "--size", "32"], "huge"),
        (["golden", "nowhere.npz"], "nowhere.npz"),
    ],
)
def test_mistakes_are_one_sentence(run, arguments, named):
    done = run(f"parity.{arguments[0]}", *arguments[1:])
    assert done.returncode == 2
    assert named in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
