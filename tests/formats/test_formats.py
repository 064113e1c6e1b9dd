"""Files of every format that was ever stored are read, with the numbers that they were made of."""

import json
import zipfile

import jax
import numpy as np
import pytest

from s2a_jax.convert.weights import FORMAT, read_weights
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.training.checkpoint import Checkpoints
from s2a_jax.training.sharding import make_mesh, replicated
from tests.formats.make import DESCRIPTION, HERE, SCORE, STEP, state, variables

FORMATS = [int(file.stem.partition("-")[2]) for file in HERE.glob("*.safetensors")]


def test_the_format_of_today_is_among_them():
    assert sorted(FORMATS) == list(range(1, FORMAT + 1))


@pytest.mark.parametrize("number", FORMATS)
def test_weights(number):
    description, read = read_weights(HERE / f"weights-{number}.safetensors")
    assert json.dumps(description.stored()) == json.dumps(DESCRIPTION.stored())
    jax.tree.map(np.testing.assert_array_equal, read, variables())


@pytest.mark.parametrize("number", FORMATS)
def test_checkpoints(tmp_path, number):
    with zipfile.ZipFile(HERE / f"checkpoints-{number}.zip") as archive:
        archive.extractall(tmp_path)
    model = Segmenter.load_from_checkpoint(tmp_path)
    assert (model.network, model.tasks) == ("unet", ("rv", "faz"))
    jax.tree.map(np.testing.assert_array_equal, model.variables, variables())
    checkpoints, whole = Checkpoints(tmp_path / "checkpoints", pytest.fail), replicated(make_mesh())
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole), state()
    )
    assert checkpoints.best == (STEP, SCORE)
    jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(STEP, target), state())
    checkpoints.close()
