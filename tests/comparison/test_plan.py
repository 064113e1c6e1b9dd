"""Which runs a plan has, and how each differs from the configuration."""

import json

import pytest

from configs import default, synthetic
from configs.recipes import resolve
from s2a_jax.comparison.plan import ablation, make_plan, networks
from s2a_jax.comparison.settings import set_fields
from s2a_jax.errors import UserError

DEFAULTS = default.get_config()


@pytest.fixture
def config():
    return resolve(synthetic.get_config("smoke"))


def test_every_network_with_every_seed_and_nothing_else_changed(config, tmp_path):
    runs = make_plan(config, networks(["unet", "s2anet"]), 2, tmp_path, DEFAULTS)
    assert [run.label for run in runs] == [
        "unet-seed0", "s2anet-seed0", "unet-seed1", "s2anet-seed1"
    ]  # fmt: skip
    for run in runs:
        assert (run.config.model.name, run.config.seed) == (run.name, run.seed)
        run.config.model.name, run.config.seed = config.model.name, config.seed
        assert run.config == config


@pytest.mark.parametrize("variant", ["tiny", "small", "base"])
def test_the_ablation_changes_one_part_at_a_time(config, tmp_path, variant):
    config.model.variant = variant
    variants = ablation(config)
    whole = variants["s2anet"]
    for name, changes in variants.items():
        changed = {key for key in changes if changes[key] != whole.get(key)}
        sections = {key.split(".")[0] for key in changed}
        assert sections == {"s2anet": set(), "no-context": {"model"}}.get(name, {"objective"})
    last = 5 if variant == "base" else 1
    assert variants["no-context"]["model.gcem_layers"] == (last,)
    assert len(make_plan(config, variants, 1, tmp_path, DEFAULTS)) == 6


def test_a_folder_of_another_run_is_refused_before_any_starts(config, tmp_path):
    first = make_plan(config, networks(["unet", "s2anet"]), 1, tmp_path, DEFAULTS)
    first[1].workdir.claim(first[1].config)
    config.train.epochs = 7
    with pytest.raises(UserError, match=r"s2anet-seed0 holds a run with config\.train\.epochs"):
        make_plan(config, networks(["unet", "s2anet"]), 1, tmp_path, DEFAULTS)


def test_a_run_of_an_older_version_has_the_fields_that_are_new(config, tmp_path):
    plan = networks(["unet"])
    (run,) = make_plan(config, plan, 1, tmp_path, DEFAULTS)
    run.workdir.claim(run.config)
    fields = json.loads(run.workdir.config.read_text())
    del fields["train"]["ema_decay"], fields["mesh"]
    run.workdir.config.write_text(json.dumps(fields))
    make_plan(config, plan, 1, tmp_path, DEFAULTS)
    config.train.ema_decay = 0.9  # the run had what is the default
    with pytest.raises(UserError, match=r"config\.train\.ema_decay=0\.0, not 0\.9"):
        make_plan(config, plan, 1, tmp_path, DEFAULTS)


def test_fields_from_the_command_line():
    config = synthetic.get_config()
    set_fields(config, ["train.epochs=3", "config.data.root=/d", "model.lcem_layers=[0,1]",
                        "augment.flip=false", "optimizer.learning_rate=1", "seed=4"])  # fmt: skip
    assert (config.train.epochs, config.data.root, config.seed) == (3, "/d", 4)
    assert config.model.lcem_layers == (0, 1)
    assert config.augment.flip is False
    assert config.optimizer.learning_rate == 1.0
    for text, message in (
        ("train.epoch=3", "did you mean train.epochs"),
        ("train.epochs", "expected FIELD=VALUE"),
        ("train.epochs=many", "expected int"),
        ("model=unet", "no such field"),
    ):
        with pytest.raises(UserError, match=message):
            set_fields(config, [text])
