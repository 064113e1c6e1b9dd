"""Mistakes in data and configurations end in one sentence, and nothing is written."""

import shutil

import numpy as np
import pytest
from PIL import Image
from refusals import assert_refused

SYNTHETIC = ["main.py", "--config", "configs/synthetic.py:smoke"]


@pytest.fixture
def run(forked, shared):
    """Run a command; return its exit code and its output."""

    def run(*arguments):
        done = forked(*arguments, f"--config.data.synthetic.root={shared / 'eyes'}")
        return done.returncode, done.stdout + done.stderr

    return run


def _octa500(folder):
    """Write a tiny tree of train and val folders."""
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for i in range(2):
            pixels = np.zeros((32, 32), np.uint8)
            Image.fromarray(pixels).save(folder / split / "images" / f"{split}{i}.png")
            pixels[:8], pixels[20:] = 255, 100
            Image.fromarray(pixels).save(folder / split / "masks" / f"{split}{i}.png")
    return folder


OCTA = ["main.py", "--config", "configs/octa500.py:smoke"]


def _wrong_mask_size(folder):
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(folder / "train/masks/train0.png")
    return "train0.png"


def _wrong_mask_values(folder):
    Image.fromarray(np.full((32, 32), 7, np.uint8)).save(folder / "train/masks/train1.png")
    return "train1.png"


def _truncated_image(folder):
    path = folder / "val/images/val0.png"
    path.write_bytes(path.read_bytes()[:40])
    return "val0.png"


def _empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    return str(folder)


def _missing(folder):
    shutil.rmtree(folder)
    return "configs/synthetic.py"


@pytest.mark.parametrize(
    "spoil", [_wrong_mask_size, _wrong_mask_values, _truncated_image, _empty, _missing]
)
def test_bad_data_is_one_sentence(run, tmp_path, spoil):
    root, workdir = _octa500(tmp_path / "octa500"), tmp_path / "run"
    named = spoil(root)
    code, output = run(*OCTA, f"--config.data.root={root}", "--workdir", workdir)
    assert_refused(code, output, named)
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--config.train.epoch=3"], "config.train.epochs"),
        (["--config.model.variant=huge"], "config.model.variant"),
        (["--config.optimizer.learning_rate=-1"], "config.optimizer.learning_rate=-1"),
        (["--config.train.batch_size=5000"], "5000 is more than the 8 training cases"),
        (["--config.augment.crop=50"], "config.augment.crop"),
        (["--config.mesh.fsdp=3"], "config.mesh"),
        (["--config.objective.balance=best"], "config.objective.balance"),
        (["--config.data.size=100"], "config.data.size"),
        (["--config.model.pretrained=nowhere.npz"], "nowhere.npz"),
        (["--config.model.name=unet", "--config.model.hidden=8"], "config.model.hidden"),
    ],
)
def test_bad_fields_are_one_sentence(run, tmp_path, flags, named):
    code, output = run(*SYNTHETIC, *flags, "--workdir", tmp_path / "run")
    assert_refused(code, output, named)
    assert not (tmp_path / "run").exists()
