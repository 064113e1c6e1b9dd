"""Cross-validation: every case validates once, patients stay together, test cases stay apart."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from test_splits import put, section

from s2a_jax.data.folds import Folds, _Case, assign
from s2a_jax.data.load import load_run_data
from s2a_jax.data.rows import no_cases
from s2a_jax.errors import UserError


def cases(*rows):
    """(patient, name, has_faz) -> cases with vessel masks."""
    return [_Case(patient, name, f"{name}-masks", True, has_faz) for patient, name, has_faz in rows]


def test_rare_masks_spread_over_the_folds_and_the_folds_are_even():
    rows = cases(*((f"p{i}", f"p{i}", i in (3, 50, 51, 52, 99, 100, 140)) for i in range(150)))
    which = assign(rows, 5, seed=0)
    assert sorted(Counter(which).values()) == [30] * 5
    rare = Counter(fold for fold, case in zip(which, rows, strict=True) if case.has_faz)
    assert sorted(rare.values()) == [1, 1, 1, 2, 2]
    order = np.random.default_rng(0).permutation(150)
    np.testing.assert_array_equal(assign([rows[i] for i in order], 5, seed=0), which[order])
    assert 100 < (assign(rows, 5, seed=1) != which).sum() < 140  # of 150, a fifth agree by chance


def test_what_belongs_together_is_not_divided():
    rows = [
        *cases(*((f"p{i % 12}", f"p{i % 12}_{i}", False) for i in range(40))),
        _Case("other", "copy", "p0_0-others", True, False),  # the pixels of another case
    ]
    which = assign(rows, 4, seed=3)
    folds_of = {}
    for case, fold in zip(rows, which, strict=True):
        folds_of.setdefault(case.patient, set()).add(fold)
    assert all(len(folds) == 1 for folds in folds_of.values())
    assert folds_of["other"] == folds_of["p0"]
    assert max(Counter(which).values()) - min(Counter(which).values()) <= 4  # a patient has 3 or 4
    with pytest.raises(UserError, match=r"folds=13: train and val have 41 cases of 12 patients"):
        assign(rows, 13, seed=3)


@pytest.mark.parametrize(
    ("name", "pattern", "patient"),
    [
        ("p12_OD", None, "p12"),
        ("p12_os", None, "p12"),
        ("Left-07", None, "07"),
        ("p12OD", None, "p12"),
        ("12L", None, "12"),
        ("p12os_v2", None, "p12_v2"),
        ("control", None, "control"),
        ("OD", None, "OD"),
        ("eye_1", None, "eye_1"),
        ("p12_v2_OD", r"(p\d+)_", "p12"),
        ("10301", r"\d{3}", "103"),
        ("b7", r"a(\d)|b(?:\d)", None),
        ("x", r"p\d+", None),
    ],
)
def test_the_patient_in_a_name(name, pattern, patient):
    folds = Folds(2, 0, 0, pattern and re.compile(pattern))
    if patient is None:
        with pytest.raises(UserError, match=rf"config\.data\.patient=.* the case '{name}'"):
            folds.patient_of(name)
    else:
        assert folds.patient_of(name) == patient


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Ten eyes of five patients in train, two in val, of which `x` is a name in train too."""
    root = tmp_path_factory.mktemp("folds")
    put(root / "train", [f"p{i}_{side}" for i in range(5) for side in ("L", "R")], "image", "label")
    put(root / "train", ["x"], "image", "label")
    put(root / "val", ["v", "x"], "image", "label")
    put(root / "test", ["t", "v_OD"], "image", "label")
    return root


def test_every_train_and_val_case_validates_once(root):
    fields = {"name": "folder", "root": str(root), "folds": 3}
    runs = [load_run_data(section(**fields, fold=fold)) for fold in range(3)]
    names = [f"p{i}_{side}" for i in range(5) for side in ("L", "R")] + ["train-x", "val-x", "v"]
    assert sorted(name for run in runs for name in run.val.ids) == sorted(names)
    pixels = load_run_data(section(name="folder", root=str(root)))
    whole = {**dict(zip(pixels.train.ids, pixels.train.images, strict=True)),
             "v": pixels.val.row(0).image}  # fmt: skip
    for fold, run in enumerate(runs):
        assert sorted((*run.train.ids, *run.val.ids)) == sorted(names)
        assert run.test.ids == ("t", "v_OD")
        assert run.sources["folder"][0] == range(len(run.train))
        patients = [{name.removeprefix("train-").removeprefix("val-").split("_")[0] for name in ids}
                    for ids in (run.train.ids, run.val.ids)]  # fmt: skip
        assert not patients[0] & patients[1]
        for name, image in zip(run.val.ids, run.val.images, strict=True):
            if "x" not in name:
                np.testing.assert_array_equal(image, whole[name])
        note = next(note for note in run.notes if f"Fold {fold} of 3" in note)
        assert "of 13 train and val cases of 7 patients" in note
        assert note.endswith("Patients that test has cases of too: v.")
    keys = [set(run.fingerprints()) for run in runs]
    assert "val/v" in keys[[("v" in run.val.ids) for run in runs].index(True)]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"folds": 1}, r"folds=1: expected 2 or more"),
        ({"folds": 3, "fold": 3}, r"fold=3: expected 0 to 2"),
        ({"folds": 3, "fold_seed": -1}, r"fold_seed=-1: expected 0 or more"),
        ({"folds": 3, "patient": "(p"}, r"patient='\(p' is no regular expression"),
        ({"folds": 8}, r"folds=8: train and val have 13 cases of 7 patients"),
        (
            {"folds": 2, "name": "synthetic", "synthetic.stream": True},
            r"folds: streamed training eyes",
        ),
    ],
)
def test_folds_that_cannot_be_made_are_refused(root, fields, words):
    data = section(name="folder", root=str(root))
    data.update_from_flattened_dict(fields)
    with pytest.raises(UserError, match=r"config\.data\." + words):
        load_run_data(data)


def test_other_sources_do_not_train_on_what_a_fold_validates_on(root):
    data = section(name="folder", root=str(root), folds=3)
    data.mixture.others = (f"name=folder,root={root},weight=0.5",)
    run = load_run_data(data)
    patients = [{name.removeprefix("train-").removeprefix("val-").split("_")[0] for name in ids}
                for ids in (run.train.ids, run.val.ids)]  # fmt: skip
    assert len(run.sources) == 2 and patients[1] and not patients[0] & patients[1]
    assert any("left out of training: fold 0 validates on" in note for note in run.notes)


def test_copies_with_other_masks_in_other_sources_do_not_train_either():
    some = replace(
        no_cases(32, 0), ids=("a", "b"), digests=("1-2", "3-4"), has_rv=np.ones(2, bool),
        has_faz=np.ones(2, bool), native_sizes=np.full((2, 2), 32), masks=(None, None),
    )  # fmt: skip
    assert Folds(3, 0).apart(some, {"c"}, {"1-5", "6-4"}).ids == ("b",)
