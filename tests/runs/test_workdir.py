"""The folder of a run, and the configuration that belongs to it."""

import pytest

from s2a_jax.config.load import load_config
from s2a_jax.errors import UserError
from s2a_jax.runs.workdir import Workdir


@pytest.mark.parametrize("kept", ["checkpoints/4", "results", "weights.safetensors", None])
def test_only_a_run_that_saved_something_keeps_its_folder(tmp_path, kept):
    config = load_config("default")
    workdir = Workdir(tmp_path)
    workdir.claim(config, config)
    (workdir.checkpoints / "4.orbax-checkpoint-tmp-1").mkdir(parents=True)
    if kept:
        (tmp_path / kept).mkdir()
    config.seed = 5
    if kept:
        with pytest.raises(UserError, match=r"config\.seed=0, not 5"):
            workdir.claim(config, config)
        if kept != "checkpoints/4":
            with pytest.raises(UserError, match="none of its checkpoints"):
                workdir.claim(load_config("default"), config)
    else:
        workdir.claim(config, config)
    assert workdir.load_config().seed == (0 if kept else 5)


def test_one_run_at_a_time(tmp_path):
    with Workdir(tmp_path).alone(), pytest.raises(UserError, match="Another run is at work"):
        with Workdir(tmp_path).alone():
            pass
    with Workdir(tmp_path).alone():
        pass
