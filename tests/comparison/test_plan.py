"""Which runs a plan has, and how each differs from the configuration."""

import pytest

from s2a_jax.cli import run as main
from s2a_jax.comparison.plan import ablation, make_plan, networks
from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.errors import UserError


@pytest.fixture
def config():
    return resolve(load_config("synthetic:smoke"))


def test_every_network_with_every_seed_and_nothing_else_changed(config, tmp_path):
    runs = make_plan(config, networks(["unet", "s2anet"]), 2, tmp_path)
    assert [run.label for run in runs] == [
        "unet-seed0", "s2anet-seed0", "unet-seed1", "s2anet-seed1"
    ]  # fmt: skip
    for run in runs:
        assert (run.config.model.name, run.config.seed) == (run.name, run.seed)
        run.config.model.name, run.config.seed = config.model.name, config.seed
        assert run.config == config


def test_every_fold_of_a_seed_comes_before_the_next_seed(config, tmp_path):
    runs = make_plan(config, networks(["unet", "s2anet"]), 2, tmp_path, 2)
    assert [run.label for run in runs] == [
        "unet-seed0-fold0", "s2anet-seed0-fold0", "unet-seed0-fold1", "s2anet-seed0-fold1",
        "unet-seed1-fold0", "s2anet-seed1-fold0", "unet-seed1-fold1", "s2anet-seed1-fold1",
    ]  # fmt: skip
    for run in runs:
        data = run.config.data
        assert (run.config.seed, data.folds, data.fold, data.fold_seed) == (
            run.seed,
            2,
            run.fold,
            0,
        )
    with pytest.raises(UserError, match="--folds=1: expected at least 2"):
        make_plan(config, networks(["unet"]), 1, tmp_path, 1)


def test_other_runs_have_no_place_in_a_cross_validation(tmp_path, capsys):
    flags = ["--config", "synthetic:smoke", "--workdir", str(tmp_path / "cv"), "--folds", "2"]
    assert main(["compare", *flags, "--add", f"other={tmp_path}"]) == 2
    assert "--folds: other runs were not evaluated on the held-out" in capsys.readouterr().err
    assert not (tmp_path / "cv").exists()


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
    assert len(make_plan(config, variants, 1, tmp_path)) == 6


def test_a_folder_of_another_run_is_refused_before_any_starts(config, tmp_path):
    first = make_plan(config, networks(["unet", "s2anet"]), 1, tmp_path)
    first[1].workdir.claim(first[1].config, first[1].config)
    (first[1].workdir.checkpoints / "5").mkdir(parents=True)
    config.train.epochs = 7
    with pytest.raises(UserError, match=r"s2anet-seed0 holds a run with config\.train\.epochs"):
        make_plan(config, networks(["unet", "s2anet"]), 1, tmp_path)
