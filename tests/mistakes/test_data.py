"""Data sets that cannot be used, for `train`, `evaluate` and `prepare`."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from s2a_jax.training import loop
from tests.mistakes.bad_images import PNG, encoded

MASK = np.zeros((32, 32), np.uint8)
MASK[:8], MASK[20:] = 255, 100
SMALL = encoded("PNG", MASK[:16, :16])
WRONG = encoded("PNG", MASK // 7)


def write_set(folder):
    """A tiny tree of train, val and test folders with combined masks."""
    for split in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for i in range(8 if split == "train" else 2):
            Image.fromarray(MASK // 2).save(folder / split / f"images/{split}{i}.png")
            Image.fromarray(MASK).save(folder / split / f"masks/{split}{i}.png")


def _bytes(path, content):
    return lambda root: (root / path).write_bytes(content)


SPOILED = {
    "missing": (shutil.rmtree, "data", "tep"),
    "empty": (lambda root: (shutil.rmtree(root), root.mkdir()), "data", "tep"),
    "file": (lambda root: (shutil.rmtree(root), root.write_bytes(PNG)), "data", "tep"),
    "no-masks": (lambda root: [shutil.rmtree(one) for one in root.glob("*/masks")], "data", "tep"),
    "image-empty": (_bytes("train/images/train0.png", b""), "train0.png", "tep"),
    "image-text": (_bytes("train/images/train0.png", b"text"), "train0.png", "tep"),
    "image-cut": (_bytes("train/images/train0.png", PNG[:60]), "train0.png", "tep"),
    "image-page": (_bytes("train/images/train0.png", b"<html>"), "train0.png", "tep"),
    "mask-empty": (_bytes("train/masks/train0.png", b""), "train0.png", "tep"),
    "mask-cut": (_bytes("train/masks/train0.png", PNG[:60]), "train0.png", "tep"),
    "mask-values": (_bytes("train/masks/train0.png", WRONG), "train0.png", "tep"),
    "mask-size": (_bytes("train/masks/train0.png", SMALL), "train0.png", "tep"),
    "mask-folder": (
        lambda root: ((root / "train/masks/train0.png").unlink(),
                      (root / "train/masks/train0.png").mkdir()),
        "train0.png", "tep",
    ),
    "two-images": (_bytes("train/images/train0.bmp", encoded("BMP", MASK)), "train0", "tep"),
    "two-masks": (_bytes("train/masks/train0.bmp", encoded("BMP", MASK)), "train0", "tep"),
    "not-utf-8": (_bytes(os.fsdecode(b"train/images/m\xfc.png"), PNG), r"m\xfc", "tep"),
    "link-to-itself": (
        lambda root: ((root / "train/images/train0.png").unlink(),
                      (root / "train/images/train0.png").symlink_to("train0.png")),
        "train0.png", "tep",
    ),
}  # fmt: skip
"""Name -> what happens to the folder, a part of the sentence, and the commands that refuse it."""

COMMANDS = {
    "t": "train --config octa500:smoke --config.data.root=data --config.data.size=64 "
    "--config.train.batch_size=8 --workdir run",
    "e": "evaluate --weights sim_to_real --data data --split train --out out",
    "p": "prepare folder --from data --to out",
}


@pytest.mark.parametrize("name", SPOILED)
def test_data_sets(tmp_path, refused, network, monkeypatch, name):
    monkeypatch.delattr(loop, "_train")  # a mistake that is not noticed must not train
    write_set(tmp_path / "data")
    spoil, named, commands = SPOILED[name]
    spoil(tmp_path / "data")
    for command in commands:
        refused(COMMANDS[command].split(), named, keeps="out" if command == "p" else None)
        if command == "p":  # what it has read so far
            assert {path.name for path in (tmp_path / "out").glob("*/*")} <= {".partial-default"}
