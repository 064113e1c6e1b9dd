"""A user's own folder, and several sources in one data set."""

from hashlib import blake2b

import numpy as np
import pytest
from PIL import Image

from s2a_jax.config.load import load_config
from s2a_jax.data.folder import list_user_folder
from s2a_jax.data.load import load_run_data
from s2a_jax.errors import UserError


def put(folder, stem, value):
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((32, 32), np.uint8)
    pixels[8:16] = value
    Image.fromarray(pixels).save(folder / f"{stem}.png")


def own_folder(root, count=30, kinds=("rv", "faz")):
    for i in range(count):
        put(root / "images", f"eye{i}", 90)
        for kind in kinds:
            put(root / kind, f"eye{i}", 255)


def section(**fields):
    data = load_config("default").data
    data.update({"size": 32, **fields})
    return data


def test_own_folder_is_split_by_names_only(tmp_path):
    own_folder(tmp_path / "a", 40)
    own_folder(tmp_path / "b", 30)
    a, b = (list_user_folder(tmp_path / name) for name in "ab")
    splits = {case.id: case.split for case in a.cases}
    assert all(splits[case.id] == case.split for case in b.cases)  # whatever the other files
    for name, split in splits.items():
        share = int(blake2b(name.encode(), digest_size=8).hexdigest(), 16) / 16**16
        assert split == ("val" if share < 0.1 else "test" if share < 0.3 else "train"), name
    assert {*splits.values()} == {"train", "val", "test"}
    assert "were split by a hash" in a.notes[0]


@pytest.mark.parametrize(
    "files",
    [
        {"masks": ("eye0_rv", "eye0_faz")},
        {"masks": ("eye0_RV", "eye0_Faz")},
        {"rv": ("eye0",), "faz": ("eye0",)},
        {"label_RV": ("eye0",), "label_FAZ": ("eye0",)},
    ],
)
def test_masks_of_an_own_folder(tmp_path, files):
    own_folder(tmp_path, 12, kinds=())
    for i in range(1, 12):
        put(tmp_path / "masks" if "masks" in files else tmp_path / next(iter(files)), 
            f"eye{i}_rv" if "masks" in files else f"eye{i}", 255)  # fmt: skip
    for folder, stems in files.items():
        for stem in stems:
            put(tmp_path / folder, stem, 255)
    case = next(case for case in list_user_folder(tmp_path).cases if case.id == "eye0")
    names = [tmp_path / folder / f"{stem}.png" for folder, stems in files.items() for stem in stems]
    assert [case.rv, case.faz] == names


@pytest.mark.parametrize("slab", [None, "deep,whole"])
def test_a_folder_without_images_is_named(tmp_path, slab):
    put(tmp_path / "rv", "eye0", 255)
    with pytest.raises(UserError, match=f"No images with masks in {tmp_path}"):
        list_user_folder(tmp_path, slab)


def test_split_folders_of_a_user_are_kept(tmp_path):
    for split in ("train", "valid"):
        put(tmp_path / split / "img", "one", 90)
        put(tmp_path / split / "gt_VES", "one", 255)
        put(tmp_path / split / "gt_FAZ", "one", 255)
    cases = list_user_folder(tmp_path).cases
    assert [(case.split, case.id) for case in cases] == [("train", "one"), ("val", "one")]


def test_sources_with_partial_labels(tmp_path):
    own_folder(tmp_path / "vessels", kinds=("rv",))
    own_folder(tmp_path / "zones", kinds=("faz",))
    synthetic = {"root": str(tmp_path), "train": 2, "val": 1, "test": 0, "seed": 0}
    data = section(name="folder", root=str(tmp_path / "vessels"), size=64, synthetic=synthetic)
    data.mixture.synthetic = 0.25
    data.mixture.others = (f"name=folder,root={tmp_path / 'zones'},weight=0.25",)
    dataset = load_run_data(data)
    assert {name: weight for name, (_, weight) in dataset.sources.items()} == {
        "folder": 0.5, "synthetic": 0.25, "folder+": 0.25,
    }  # fmt: skip
    has = {
        name: (dataset.train.has_rv[part].all(), dataset.train.has_faz[part].all())
        for name, (part, _) in dataset.sources.items()
    }
    assert has == {"folder": (True, False), "synthetic": (True, True), "folder+": (False, True)}
    assert sum(len(part) for part, _ in dataset.sources.values()) == len(dataset.train)
    # An epoch sees each case of the main source once, which are half of all that it sees.
    count = len(dataset.sources["folder"][0])
    assert count > 16 and dataset.steps_per_epoch(2) == count
    assert dataset.steps_per_epoch(1000) == 1
    assert not dataset.val.has_faz.any()  # val has cases of the main source only
    assert dataset.trained_tasks() == ("rv", "faz")
    assert dataset.pitches_um is None  # nobody knows the pitch of a user's own files
    alone = load_run_data(section(name="folder", root=str(tmp_path / "vessels")))
    assert alone.trained_tasks() == ("rv",)
    assert any("25% of the training cases come from folder+" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ("name=folder,root=x,weight=0.2", "expected a tuple"),
        (("name=folder,weight=0.2",), "root is missing"),
        (("name=folder,root=x,wight=0.2",), "the keys are"),
        (("name=folder,root=x,weight=much",), "expected a share"),
        (("name=folder,root=x,weight=0.6", "name=folder,root=y,weight=0.4"), "below 1"),
        (("name=synthetic,root=x,weight=0.2",), "set config.data.mixture.synthetic"),
        (("name=floder,root=x,weight=0.2",), "expected one of octa500"),
    ],
)
def test_impossible_mixtures_are_refused(tmp_path, others, words):
    own_folder(tmp_path)
    data = section(name="folder", root=str(tmp_path))
    with data.unlocked():
        data.mixture.others = others if isinstance(others, tuple) else (others,)
    config = data.to_dict()
    config["mixture"]["others"] = others
    with pytest.raises(UserError, match=words):
        load_run_data(config)


def test_own_folder_needs_a_size(tmp_path):
    own_folder(tmp_path)
    with pytest.raises(UserError, match=r"config\.data\.size"):
        load_run_data(section(name="folder", root=str(tmp_path), size=0))


def test_drawn_training_cases_depend_on_the_seed_and_are_nested(tmp_path):
    own_folder(tmp_path, 16)
    for i in range(16):
        put(tmp_path / "images", f"eye{i}", 10 + i)
    config = section(name="folder", root=str(tmp_path))
    whole = load_run_data(config)
    drawn = {}
    for count, seed in ((2, 0), (5, 0), (5, 1)):
        config.train_cases = count
        dataset = load_run_data(config, seed=seed)
        drawn[count, seed] = dataset.train.ids
        assert dataset.sources["folder"][0] == range(count)
        assert dataset.val.ids == whole.val.ids and dataset.test.ids == whole.test.ids
        assert any(f"config.seed={seed}: {dataset.train.ids[0]}" in note for note in dataset.notes)
        for index, name in enumerate(dataset.train.ids):
            assert dataset.train.digests[index] == whole.train.digests[whole.train.ids.index(name)]
            assert dataset.train.images[index].max() == 10 + int(name.removeprefix("eye"))
    assert {*drawn[2, 0]} < {*drawn[5, 0]} < {*whole.train.ids}
    assert {*drawn[5, 0]} != {*drawn[5, 1]}
    config.train_cases = 41
    with pytest.raises(UserError, match=r"train_cases=41 is more than the \d+ training cases"):
        load_run_data(config)
