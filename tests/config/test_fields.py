"""Fields of a configuration, changed from the command line."""

import pytest

from s2a_jax.config.fields import field_hint, set_fields
from s2a_jax.config.load import load_config
from s2a_jax.errors import UserError


def test_fields_from_the_command_line():
    config = load_config("synthetic")
    flags = ["--config.train.epochs=3", "--config.data.root", "/d", "--config.augment.flip=false",
             "--config.model.lcem_layers=(0, 1)", "--config.optimizer.learning_rate=1",
             "--config.seed=4", "--config.data.synthetic.field_mm=(2.5, 4)"]  # fmt: skip
    set_fields(config, flags)
    assert (config.train.epochs, config.data.root, config.seed) == (3, "/d", 4)
    assert config.model.lcem_layers == (0, 1)
    assert config.augment.flip is False
    assert isinstance(config.optimizer.learning_rate, float)
    assert config.data.synthetic.field_mm == (2.5, 4)
    set_fields(config, [])  # no call remembers another
    assert config.train.epochs == 3


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.train.epoch=3", r"config\.train\.epoch: .* did you mean config\.train\.epochs"),
        ("--config.train.epochs=many", r"config\.train\.epochs"),
        ("--config.data.synthetic.field_mm[5]=2", r"field_mm\[5\]: there is no such entry"),
        (
            "--config.eval.field_mm=3",
            r"config\.eval\.um_per_px states .* 9\.87 for 3 mm over 304 px",
        ),
        ("train.epochs=3", "Unexpected argument 'train.epochs=3'"),
    ],
)
def test_a_wrong_field_is_named(flag, message):
    config = load_config("synthetic")
    with pytest.raises(UserError, match=message):
        set_fields(config, [flag])


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("train.epoch", "config.train.epochs"),
        ("train.learning_rate", "config.optimizer.learning_rate"),
        ("batch_size", "config.eval.batch_size or config.train.batch_size"),
        ("optimizer.learn_rate", "config.optimizer.learning_rate"),
        ("train.batchsize", "config.train.batch_size"),  # nearer than that of eval
        ("train.steps", None),
        ("model.depth", None),
    ],
)
def test_a_hint_names_the_likely_field(given, meant):
    hint = field_hint(load_config("default"), given)
    assert hint == (f"did you mean {meant}?" if meant else "configs/default.py lists all fields.")
