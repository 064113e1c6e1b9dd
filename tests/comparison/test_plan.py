"""Which runs a plan has, and how each differs from the configuration."""

import pytest

from s2a_jax.cli import run as main
from s2a_jax.comparison.folder import LOGS
from s2a_jax.comparison.plan import ablation, make_plan, networks
from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.errors import UserError
from s2a_jax.training.setup import network_fields_of


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


@pytest.mark.parametrize(
    ("fields", "lcem", "gcem", "parts"),
    [
        ({"variant": "small"}, (0,), (1,), {"no-context": ((1,), (1,))}),
        (
            {"variant": "small", "gcem_layers": (1, 2, 3)}, (0,), (1, 2, 3),
            {"no-lcem": ((3,), (1, 2, 3)), "no-gcem": ((0,), (3,)), "no-context": ((3,), (3,))},
        ),
        (
            {"variant": "base"}, (0,), (1, 2, 3, 4, 5),
            {
                "no-lcem": ((5,), (1, 2, 3, 4, 5)),
                "no-gcem": ((0,), (5,)),
                "no-context": ((5,), (5,)),
            },
        ),
    ],
)  # fmt: skip
def test_the_ablation_changes_one_part_at_a_time(config, tmp_path, fields, lcem, gcem, parts):
    config.model.update(fields)
    variants = ablation(config)
    runs = {run.name: run.config for run in make_plan(config, variants, 1, tmp_path)}
    layers = {}
    for name, own in runs.items():
        made = network_fields_of(own)
        layers[name] = (made["lcem_layers"], made["gcem_layers"])
    others = ("s2anet", "fixed-0.8", "equal", "uncertainty", "dwa")
    assert layers == dict.fromkeys(others, (lcem, gcem)) | parts
    balances = {name: own.objective.balance for name, own in runs.items() if name not in parts}
    assert balances == dict(zip(others, ("dwb", "fixed", "fixed", *others[3:]), strict=True))
    assert {runs[name].objective.balance for name in parts} == {"dwb"}
    weights = [runs[name].objective.fixed_rv_weight for name in ("fixed-0.8", "equal")]
    assert weights == [0.8, 0.5]
    assert list(ablation(config, ["equal", "s2anet"]).items()) == [
        ("equal", variants["equal"]), ("s2anet", variants["s2anet"])
    ]  # fmt: skip


def test_a_folder_of_another_run_is_refused_before_any_starts(config, tmp_path):
    first = make_plan(config, networks(["unet", "s2anet"]), 1, tmp_path)
    first[1].workdir.claim(first[1].config, first[1].config)
    (first[1].workdir.checkpoints / "5").mkdir(parents=True)
    config.train.epochs = 7
    with pytest.raises(UserError, match=r"s2anet-seed0 holds a run with config\.train\.epochs"):
        make_plan(config, networks(["unet", "s2anet"]), 1, tmp_path)


def test_a_run_and_a_comparison_keep_out_of_each_other(config, tmp_path, capsys):
    (run,) = make_plan(config, networks(["unet"]), 1, tmp_path)
    run.workdir.claim(run.config, run.config)
    (run.workdir.path / "results").mkdir()
    (tmp_path / LOGS).mkdir()
    (tmp_path / LOGS / "unet-seed0.log").touch()
    flags = ["--config", "synthetic:smoke", "--workdir"]
    assert main(["train", *flags, str(tmp_path)]) == 2
    assert "holds the runs of a comparison; give a run another" in capsys.readouterr().err
    assert main(["compare", *flags, str(run.workdir.path)]) == 2
    assert "holds a training run; give a comparison another" in capsys.readouterr().err
