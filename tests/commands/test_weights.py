"""What one value of --weights stands for."""

import json

import pytest

from s2a_jax.commands.weights import weights_of
from s2a_jax.errors import UserError


@pytest.fixture
def comparison(tmp_path):
    """The folder of a comparison with two folds of one network, and what else lies there."""
    for name, finished in (("net-a-seed0-fold0", True), ("net-a-seed0-fold1", True)):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        record(tmp_path / name, finished)
    for name in ("logs", "cases"):
        (tmp_path / name).mkdir()
    return tmp_path


def record(workdir, finished):
    workdir.mkdir(exist_ok=True)
    (workdir / "compare.json").write_text(json.dumps({"finished": finished}))


def test_a_comparison_and_a_pattern_stand_for_their_runs(comparison):
    runs = [str(comparison / f"net-a-seed0-fold{fold}") for fold in range(2)]
    assert weights_of([str(comparison)]) == runs
    assert weights_of([f"{comparison}/net-a-*-fold[01]"]) == runs
    assert weights_of(["sim_to_real", runs[1]]) == ["sim_to_real", runs[1]]
    (comparison / "a[0]").write_text("")  # a file of this name is no pattern
    assert weights_of([f"{comparison}/a[0]", "absent"]) == [f"{comparison}/a[0]", "absent"]


def test_what_is_no_ensemble_is_refused(comparison):
    with pytest.raises(UserError, match=r"--weights=.*/x-\*: no file or folder has such a name"):
        weights_of([f"{comparison}/x-*"])
    (comparison / "net-a-seed0-fold9").mkdir()  # under way, without a record so far
    with pytest.raises(UserError, match=r"net-a-seed0-fold9 is not finished"):
        weights_of([str(comparison)])
    (comparison / "net-a-seed0-fold9").rmdir()
    record(comparison / "net-a-seed1-fold0", False)
    for value in (str(comparison), f"{comparison}/*seed*"):
        with pytest.raises(UserError, match=r"net-a-seed1-fold0 is not finished"):
            weights_of([value])
    record(comparison / "unet-seed0", True)
    with pytest.raises(UserError, match=r"holds runs of net-a, unet; name those of one network"):
        weights_of([str(comparison)])


def test_folds_that_were_not_begun_are_missed(comparison):
    folds = {"data": {"folds": 3}}
    (comparison / "net-a-seed0-fold0/config.json").write_text(json.dumps(folds))
    with pytest.raises(UserError, match=r"net-a-seed0-fold2 is not finished"):
        weights_of([str(comparison)])
    record(comparison / "net-a-seed0-fold2", True)
    assert len(weights_of([str(comparison)])) == 3
