"""Data sets that cannot be used, for `train`, `evaluate` and `prepare`."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

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
        for i in range(2):
            Image.fromarray(MASK // 2).save(folder / split / f"images/{split}{i}.png")
            Image.fromarray(MASK).save(folder / split / f"masks/{split}{i}.png")


def _bytes(path, content):
    return lambda root: (root / path).write_bytes(content)


def _moved(path, target):
    return lambda root: (root / path).rename(root / target)


SPOILED = {
    "missing": (shutil.rmtree, "data", "tep"),
    "empty": (lambda root: (shutil.rmtree(root), root.mkdir()), "data", "tep"),
    "file": (lambda root: (shutil.rmtree(root), root.write_bytes(PNG)), "data", "tep"),
    "no-masks": (lambda root: [shutil.rmtree(one) for one in root.glob("*/masks")], "data", "tep"),
    "no-val": (lambda root: shutil.rmtree(root / "val"), "val", "t"),
    "image-empty": (_bytes("test/images/test0.png", b""), "test0.png", "tep"),
    "image-text": (_bytes("test/images/test0.png", b"text"), "test0.png", "tep"),
    "image-cut": (_bytes("test/images/test0.png", PNG[:60]), "test0.png", "tep"),
    "image-page": (_bytes("test/images/test0.png", b"<html>"), "test0.png", "tep"),
    "mask-empty": (_bytes("test/masks/test0.png", b""), "test0.png", "tep"),
    "mask-cut": (_bytes("test/masks/test0.png", PNG[:60]), "test0.png", "tep"),
    "mask-values": (_bytes("test/masks/test0.png", WRONG), "test0.png", "tep"),
    "mask-size": (_bytes("test/masks/test0.png", SMALL), "test0.png", "tep"),
    "mask-folder": (
        lambda root: ((root / "test/masks/test0.png").unlink(),
                      (root / "test/masks/test0.png").mkdir()),
        "test0.png", "tep",
    ),
    "mask-of-none": (_moved("test/masks/test0.png", "test/masks/other.png"), "other", "tep"),
    "two-images": (_bytes("test/images/test0.bmp", encoded("BMP", MASK)), "test0", "tep"),
    "two-masks": (_bytes("test/masks/test0.bmp", encoded("BMP", MASK)), "test0", "tep"),
    "not-utf-8": (_bytes(os.fsdecode(b"test/images/m\xfc.png"), PNG), r"m\xfc", "tep"),
    "link-to-itself": (
        lambda root: ((root / "test/images/test0.png").unlink(),
                      (root / "test/images/test0.png").symlink_to("test0.png")),
        "test0.png", "tep",
    ),
}  # fmt: skip
"""Name -> what happens to the folder, a part of the sentence, and the commands that refuse it."""

COMMANDS = {
    "t": "train --config octa500:smoke --config.data.root=data --config.data.size=64 "
    "--config.train.batch_size=8 --workdir run",
    "e": "evaluate --weights sim_to_real --data data --out out",
    "p": "prepare octa500 --from data --to out",
}


@pytest.mark.parametrize("name", SPOILED)
def test_data_sets(tmp_path, refused, network, name):
    write_set(tmp_path / "data")
    spoil, named, commands = SPOILED[name]
    spoil(tmp_path / "data")
    for command in commands:
        refused(COMMANDS[command].split(), named)
