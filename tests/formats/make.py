"""Stores a tiny network in today's format: python -m tests.formats.make.

Run this after `FORMAT` has grown, and commit the new files beside the old ones: tests read all.
"""

import shutil
import tempfile
import zipfile
from pathlib import Path

import flax.traverse_util as trees
import jax
import numpy as np

from s2a_jax.convert.weights import FORMAT, Description, save_weights
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.training.checkpoint import Checkpoints
from s2a_jax.training.state import TrainState

HERE = Path(__file__).parent
FIELDS = network_fields(
    {"name": "unet", "variant": "tiny", "dtype": "float32", "widths": (1, 1, 1, 1, 1),
     "first_channels": 1, "decoder_channels": (1, 1, 1, 1)}, 32,
)  # fmt: skip
DESCRIPTION = Description("unet", FIELDS, "superficial", (5.0, 10.0), ("rv", "faz"))
STEP, SCORE = 7, 0.625


def variables():
    """Array i, in the order of names, holds sin(i), sin(i + 0.1), sin(i + 0.2), ..."""
    image = np.zeros((1, 32, 32, 1), np.float32)
    init = build_network("unet", FIELDS).init
    shapes = jax.eval_shape(lambda: init(jax.random.key(0), image, train=False))
    flat = trees.flatten_dict(shapes, sep="/")
    values = {
        name: np.sin(i + 0.1 * np.arange(flat[name].size)).astype(np.float32).reshape(
            flat[name].shape
        )
        for i, name in enumerate(sorted(flat))
    }  # fmt: skip
    return trees.unflatten_dict(values, sep="/")


def state():
    """The state of a run with these variables and without an optimizer."""
    arrays = variables()
    key = np.array([3, 5], np.uint32)
    return TrainState(np.int32(STEP), arrays["params"], arrays["batch_stats"], {}, {}, key)


def main():
    """Writes weights-<FORMAT>.safetensors and checkpoints-<FORMAT>.zip."""
    save_weights(HERE / f"weights-{FORMAT}.safetensors", DESCRIPTION, variables())
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "checkpoints"
        checkpoints = Checkpoints(folder, print)
        whole = jax.tree.map(jax.numpy.asarray, state())
        checkpoints.save(STEP, whole, DESCRIPTION._asdict(), SCORE)
        checkpoints.close()
        archive = shutil.make_archive(str(Path(home) / "made"), "zip", home, "checkpoints")
        with zipfile.ZipFile(archive) as made:
            print(len(made.namelist()), "files in the checkpoint")
        shutil.copyfile(archive, HERE / f"checkpoints-{FORMAT}.zip")


if __name__ == "__main__":
    main()
