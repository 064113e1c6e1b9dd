"""The folder of a run and the configuration that belongs to it."""

import json

import pytest

from configs import default
from s2a_jax.errors import UserError
from s2a_jax.training.workdir import Workdir


def test_a_run_of_an_older_version_gets_the_fields_it_lacks(tmp_path):
    config = default.get_config()
    Workdir(tmp_path).claim(config)
    older = json.loads((tmp_path / "config.json").read_text())
    del older["data"]["synthetic"]["stream"], older["eval"]
    older["train"]["epochs"] = 7
    (tmp_path / "config.json").write_text(json.dumps(older))
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
