"""The folder of a run and the configuration that belongs to it."""

import json

import pytest

from configs import default
from s2a_jax.errors import UserError
from s2a_jax.training.workdir import Workdir
from s2a_jax.training.writers import MetricWriter


def test_a_run_of_an_older_version_gets_the_fields_it_lacks(tmp_path):
    config = default.get_config()
    Workdir(tmp_path).claim(config)
    older = json.loads((tmp_path / "config.json").read_text())
    del older["data"]["synthetic"]["stream"], older["eval"]
    older["train"]["epochs"] = 7
    (tmp_path / "config.json").write_text(json.dumps(older))
    (tmp_path / "checkpoints/4").mkdir(parents=True)
    workdir = Workdir(tmp_path, config)
    loaded = workdir.load_config()
    assert loaded.train.epochs == 7
    assert loaded.data.synthetic.stream is False
    assert loaded.eval.protocol == "native"
    config.train.epochs = 7
    workdir.check(config)
    config.data.synthetic.stream = True
    with pytest.raises(UserError, match=r"config\.data\.synthetic\.stream=False, not True"):
        workdir.check(config)


@pytest.mark.parametrize("kept", ["checkpoints/4", "results", "weights.safetensors", None])
def test_only_a_run_that_saved_something_keeps_its_folder(tmp_path, kept):
    config = default.get_config()
    workdir = Workdir(tmp_path, config)
    workdir.claim(config)
    (workdir.checkpoints / "4.orbax-checkpoint-tmp-1").mkdir(parents=True)
    if kept:
        (tmp_path / kept).mkdir()
    config.seed = 5
    if kept:
        with pytest.raises(UserError, match=r"config\.seed=0, not 5"):
            workdir.claim(config)
        if kept != "checkpoints/4":
            with pytest.raises(UserError, match="none of its checkpoints"):
                workdir.claim(default.get_config())
    else:
        workdir.claim(config)
    assert workdir.load_config().seed == (0 if kept else 5)


def test_one_run_at_a_time(tmp_path):
    with Workdir(tmp_path).alone(), pytest.raises(UserError, match="Another run is at work"):
        with Workdir(tmp_path).alone():
            pass
    with Workdir(tmp_path).alone():
        pass


def test_a_run_from_the_first_step_has_rows_of_its_own_alone(tmp_path):
    for step in (3, 2):
        writer = MetricWriter(tmp_path / "metrics.jsonl", tmp_path / "tensorboard", 0)
        writer.write(step, {"loss": 1.0})
        writer.close()
        events = [path.name for path in (tmp_path / "tensorboard").iterdir()]
        assert len(events) == 1
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["step"] == 2
