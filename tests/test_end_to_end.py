"""Whole runs of the public commands, with the shortest trainings of the smallest network.

S2A-Net is trained in `test_wheel.py`, in a process of its own.
"""

import csv
import functools
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from refusals import assert_refused
from safetensors import safe_open

from s2a_jax.convert.weights import Description, save_weights
from s2a_jax.models.build import build_network, network_fields

ROOT = Path(__file__).parent.parent
TRAIN = ["main.py", "--config", "configs/synthetic.py:smoke", "--config.log.every_steps=1",
         "--config.model.name=unet", "--config.data.synthetic.stream=True"]  # fmt: skip
OCTA = ["main.py", "--config", "configs/octa500.py:smoke"]
PREDICT = ["-m", "s2a_jax", "predict"]
ODD = Path("[small] :eye: x[/bold]")
"""A folder in a folder; rich would take the names for markup and an emoji."""


@pytest.fixture(scope="session")
def run(forked, shared):
    """Run a command; return its exit code and its output."""

    def run(*arguments):
        if arguments[0] == "main.py":
            arguments = (*arguments, f"--config.data.synthetic.root={shared / 'eyes'}")
        done = forked(*arguments)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="session")
def trained(run, shared):
    """Workdir of a finished run."""
    workdir = shared / ODD / "trained"
    same = shared / "other" / ".." / ODD / "trained"
    code, output = run(*TRAIN, "--profile", "--workdir", same)
    assert code == 0, output
    for line in (f"Weights: {workdir}/weights.safetensors", f"Report: {workdir}/report.html"):
        assert line in output.splitlines()
    (trace,) = (workdir / "profile").rglob("*.trace.json.gz")
    assert f"Trace of steps 2 to 4: {trace}" in output.replace("\n", "")
    assert "unet tiny" in output
    return workdir


def _rows(workdir):
    """Read the rows of metrics.jsonl."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_training_leaves_everything(trained):
    assert json.loads((trained / "config.json").read_text())["train"]["epochs"] == 2
    losses = [row for row in _rows(trained) if "loss" in row]
    assert [row["step"] for row in losses] == [1, 2, 3, 4]
    assert losses[0]["alpha"] < losses[-1]["alpha"]
    assert any((trained / "tensorboard").iterdir())
    assert len(list((trained / "overlays").glob("*.png"))) == 2
    assert "FAZ" in (trained / "results" / "table.txt").read_text()
    environment = json.loads((trained / "environment.json").read_text())
    assert environment["ended"] >= environment["started"]
    assert "2 of 2 epochs" in (trained / "report.html").read_text()
    with (trained / "results" / "test.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["id"] for row in table] == ["test0000", "test0001"]
    assert all(0 <= float(row["rv_dice"]) <= 1 for row in table)
    result = json.loads((trained / "results" / "test.json").read_text())
    assert (result["protocol"], result["cases"]) == ("native", 2)
    assert result["step"] in (2, 4)
    assert result["um_per_px"] == pytest.approx(3000 / 96)
    assert all((trained / "results" / path).is_file() for path in result["pictures"]["best"])


def test_the_command_evaluates_as_the_run_did(run, trained, shared, tmp_path):
    (eyes,) = (shared / "eyes").glob("v*-96px-*-train1-*")  # the eyes of the streamed run
    (tmp_path / ODD).mkdir(parents=True)
    data, out = tmp_path / ODD / eyes.name, tmp_path / ODD / "out"
    data.symlink_to(eyes)
    code, output = run("-m", "s2a_jax", "evaluate", "--weights", trained, "--data", data,
                       "--out", out)  # fmt: skip
    assert code == 0, output
    for text in (output, (out / "table.txt").read_text(encoding="utf-8")):
        assert "".join(str(data).split()) in "".join(text.split())  # lines of a table are short
    assert f"2 cases -> {out}" in output.splitlines()
    with (out / "test.csv").open() as one, (trained / "results/test.csv").open() as other:
        for ours, theirs in zip(csv.DictReader(one), csv.DictReader(other), strict=True):
            assert ours.keys() == theirs.keys() and ours.pop("id") == theirs.pop("id")
            values = [[float(value) for value in row.values()] for row in (ours, theirs)]
            np.testing.assert_allclose(*values, rtol=1e-3, atol=1e-3)


def test_evaluation_of_a_workdir_gives_the_same_numbers(run, trained, shared):
    copy = shared / "copy"
    shutil.copytree(trained, copy)
    shutil.rmtree(copy / "results")
    # Without --config: the run's own configuration, except for the folder of the eyes from `run`.
    code, output = run("main.py", "--mode=evaluate", "--workdir", copy)
    assert code == 0, output
    name = "results/test.csv"
    assert (copy / name).read_text() == (trained / name).read_text()


def test_a_changed_data_set_is_refused_unless_it_is_accepted(forked, trained, shared, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    shutil.copytree(shared / "eyes", tmp_path / "eyes")
    (image,) = (tmp_path / "eyes").glob("v*-96px-*-train1-*/val/images/val0001.png")
    Image.fromarray(255 - np.asarray(Image.open(image))).save(image)
    eyes = f"--config.data.synthetic.root={tmp_path / 'eyes'}"
    evaluate = ["main.py", "--mode=evaluate", "--workdir", tmp_path / "run", eyes]
    train = [*TRAIN, *evaluate[2:]]
    for command in (evaluate, train):
        done = forked(*command)
        words = "1 case has other pixels or masks (val/val0001)"
        assert_refused(done.returncode, done.stdout + done.stderr, words)
    results = (tmp_path / "run/results/val.csv").read_text()
    done = forked(*evaluate, "--config.data.accept_changes=True")
    assert done.returncode == 0 and "(val/val0001); config.data.accept_changes=True" in done.stdout
    assert (tmp_path / "run/results/val.csv").read_text() != results
    assert forked(*train).returncode == 2  # an evaluation records nothing
    done = forked(*train, "--config.data.accept_changes=True")
    assert done.returncode == 0 and "(val/val0001); config.data.accept_changes=True" in done.stdout
    assert forked(*evaluate).returncode == 0


def test_checkpoints_and_weights_describe_the_network(trained):
    described = [
        json.loads(meta.read_text()) for meta in (trained / "checkpoints").glob("*/meta/metadata")
    ]
    with safe_open(trained / "weights.safetensors", framework="np") as file:
        described.append(json.loads(file.metadata()["s2a_jax"]))
    assert len(described) >= 2
    for one in described:
        assert (one["network"], one["slab"], one["tasks"]) == ("unet", None, ["rv", "faz"])
        assert one["pitches_um"] == pytest.approx([3000 / 96] * 2)  # 3 mm, 96 px


def test_preview_draws_what_the_network_sees(run, tmp_path):
    code, output = run(*TRAIN[:3], "--mode=preview", "--workdir", tmp_path / "new")
    assert code == 0, output
    assert output.count("train000") == 6
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["preview.png"]
    with Image.open(tmp_path / "new/preview.png") as sheet:
        assert sheet.height == 6 * 100  # six cases of 96 px


def test_a_hurt_run_ends_as_an_unhurt_one(forked, trained, shared):
    """Killed, out of room on the disk, with a flipped bit in a checkpoint."""
    flags = [*TRAIN[1:], f"--config.data.synthetic.root={shared / 'eyes'}"]
    done = forked("tests/chaos.py", "--reference", trained, "--", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    row = done.stdout.splitlines()[-1]
    assert row.endswith("| equal |") and all(f"{one} (" in row for one in ("kill", "fill", "flip"))


def test_prediction_from_workdir_checkpoint_and_export(run, trained, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "eye.png")
    checkpoint = max((trained / "checkpoints").iterdir(), key=lambda path: path.name)
    masks = []
    above = trained / "checkpoints" / ".."  # the same folder
    for i, weights in enumerate((above, checkpoint, trained / "weights.safetensors")):
        out = tmp_path / str(i)
        code, output = run(*PREDICT, "--weights", weights, "--out", out, tmp_path / "eye.png")
        assert code == 0, output
        masks.append(np.array(Image.open(out / "eye_rv.png")))
        with Image.open(out / "eye_overlay.png") as overlay:
            assert overlay.size == (70, 50)
    assert masks[0].shape == (50, 70)
    assert set(np.unique(masks[0])) <= {0, 255}
    assert (masks[0] == masks[2]).all()


# Both tests that train with these flags share one compiled program.
THREE_SLABS = ["--config.data.size=64", "--config.train.epochs=1", "--config.train.batch_size=2",
               "--config.model.name=unet"]  # fmt: skip


def _put(folder, stems, levels):
    """Write noise images of the given grey levels."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for stem in stems:
        pixels = rng.choice(np.arange(*levels, dtype=np.uint8), (64, 64))
        Image.fromarray(pixels).save(folder / f"{stem}.bmp")


def test_three_slabs_of_octa500_and_a_mixture(run, tmp_path):
    slabs = ("FULL", "OPL_BM", "ILM_OPL")
    for slab in slabs:
        _put(tmp_path / f"OCTA_3mm/Projection Maps/OCTA({slab})", (10301, 10302, 10441), (0, 256))
    _put(tmp_path / "Label/GT_LargeVessel", (10301, 10302, 10441), (0, 256, 255))
    others = f"name=octa500,root={tmp_path},weight=0.25,slab={'+'.join(slabs)}"
    code, output = run(
        *OCTA, *THREE_SLABS, f"--config.data.root={tmp_path}", "--workdir", tmp_path / "run",
        f"--config.data.slab={','.join(slabs)}", f"--config.data.mixture.others=('{others}',)",
    )  # fmt: skip
    assert code == 0, output
    (row,) = [row for row in _rows(tmp_path / "run") if "loss" in row]
    assert "loss_rv" in row
    assert "loss_faz" not in row  # no case has a FAZ mask
    assert row["cases_octa500"] + row["cases_octa500+"] == 2  # in the only batch
    assert "3 slabs, in this order: FULL, OPL_BM, ILM_OPL" in output
    assert (tmp_path / "run/overlays/10441.png").is_file()
    with safe_open(tmp_path / "run/weights.safetensors", framework="np") as file:
        fields = json.loads(file.metadata()["s2a_jax"])["fields"]
    assert fields["slabs"] == list(slabs)


def _write_unet(file, slabs=(), value=0.01):
    """Write weights of a tiny U-Net, all of one value; return their number."""
    fields = network_fields({"name": "unet", "variant": "tiny", "dtype": "float32"}, 64, slabs)
    init = functools.partial(build_network("unet", fields).init, train=False)
    shapes = jax.eval_shape(
        init, jax.random.key(0), np.zeros((1, 64, 64, len(slabs) or 1), np.float32)
    )
    values = jax.tree.map(lambda leaf: np.full(leaf.shape, value, np.float32), shapes)
    save_weights(file, Description("unet", fields), values)
    return len(jax.tree.leaves(values))


def test_rose_from_a_trained_network(run, tmp_path):
    for split, stems in (("train", "123"), ("test", "4")):
        for slab in ("WRCC", "DCC", "SCC"):
            _put(tmp_path / "ROSE-Z" / split / "img" / slab, stems, (0, 256))
        for kind in ("vessel", "FAZ"):
            _put(
                tmp_path / "ROSE-Z" / split / "gt" / kind, stems, (0, 256)
            )  # masks with grey edges
    start = tmp_path / "start.safetensors"
    number = _write_unet(start, ("WRCC", "DCC", "SCC"))
    code, output = run(
        "main.py", "--config", "configs/rose.py:smoke", *THREE_SLABS,
        f"--config.data.root={tmp_path}", "--config.data.slab=WRCC,DCC,SCC",
        f"--config.model.start_from={start}", "--workdir", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, output
    assert f"Started from {start}: {number} of {number} arrays." in output.replace("\n", "")
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["model"]["start_from"] == str(start)
    (row,) = [row for row in _rows(tmp_path / "run") if "loss" in row]
    assert {"loss_rv", "loss_faz"} <= row.keys()
    with (tmp_path / "run/results/test.csv").open() as file:
        (case,) = csv.DictReader(file)
    assert case["id"] == "4" and case["rv_dice"] and case["faz_dice"]


def test_a_workdir_of_another_run_is_refused(run, trained):
    before = (trained / "config.json").read_text()
    code, output = run(*TRAIN, "--config.model.widths=(4,4,4,4,4)", "--workdir", trained)
    assert_refused(code, output, "config.model.widths")
    assert (trained / "config.json").read_text() == before


def test_predicting_a_text_file_is_refused(run, trained, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    code, output = run(*PREDICT, "--weights", trained, "--out", out, tmp_path / "notes.txt")
    assert_refused(code, output, "notes.txt")
    assert not out.exists()


def test_a_diverged_run_says_where(run, tmp_path):
    _write_unet(tmp_path / "huge.safetensors", value=1e30)  # sums of its products overflow
    start = f"--config.model.start_from={tmp_path / 'huge.safetensors'}"
    code, output = run(*TRAIN, start, "--workdir", tmp_path / "run")
    assert code == 1
    assert "train00" in output  # names the cases of the batch
    assert "Traceback" not in output
    environment = json.loads((tmp_path / "run/environment.json").read_text())
    assert environment["failed"].startswith("NonFiniteLossError: Step ")
