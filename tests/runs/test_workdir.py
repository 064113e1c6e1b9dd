"""The folder of a run, and the configuration that belongs to it."""

import pytest

from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
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


def test_a_changed_variant_is_named_and_not_its_recipe(tmp_path):
    workdir = Workdir(tmp_path)
    config = load_config("default")
    for variant in ("tiny", "small"):
        config.model.variant = variant
        resolved = resolve(config)
        if variant == "tiny":
            workdir.claim(resolved, resolved)
            (workdir.checkpoints / "4").mkdir(parents=True)
    with pytest.raises(UserError, match=r"config\.model\.variant='tiny', not 'small'"):
        workdir.check(resolved)
    config.model.variant, config.augment.crop = "tiny", 64
    with pytest.raises(UserError, match=r"config\.augment\.crop=128, not 64"):
        workdir.check(resolve(config))


def test_a_run_that_goes_on_keeps_its_stated_pitch(tmp_path):
    workdir = Workdir(tmp_path)
    config = load_config("default")
    config.eval.um_per_px = 10.0
    workdir.claim(config, config)
    (workdir.checkpoints / "4").mkdir(parents=True)
    config.eval.protocol = "otsu"
    workdir.check(config)
    for changed in (None, 12.0):
        config.eval.um_per_px = changed
        with pytest.raises(UserError, match=rf"config\.eval\.um_per_px=10\.0, not {changed}"):
            workdir.claim(config, config)
        workdir.check(config, trains=False)


def test_accepted_changes_hold_for_one_command(tmp_path):
    workdir = Workdir(tmp_path)
    config = load_config("default")
    config.data.accept_changes = True
    assert not workdir.claim(config, config)
    (workdir.checkpoints / "4").mkdir(parents=True)
    assert not workdir.load_config().data.accept_changes
    assert workdir.claim(config, config)  # it goes on, whatever the field says


def test_one_run_at_a_time(tmp_path):
    with Workdir(tmp_path).alone(), pytest.raises(UserError, match="Another run is at work"):
        with Workdir(tmp_path).alone():
            pass
    with Workdir(tmp_path).alone():
        pass
