"""Split folders of any name, folders without splits, and roots above the data."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from refusals import assert_refused

from s2a_jax.cli import run as main
from s2a_jax.config.load import load_config
from s2a_jax.data.folder import list_user_folder
from s2a_jax.data.load import load_run_data
from s2a_jax.data.octa500 import list_octa500
from s2a_jax.data.rose import list_rose
from s2a_jax.data.selection import select_cases
from s2a_jax.data.splits import Wanted
from s2a_jax.errors import UserError


def put(folder, stems, *kinds, side=32):
    """Images and masks that differ from case to case."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for stem in stems:
            seed = int.from_bytes(f"{folder.name}{stem}".encode(), "big")
            pixels = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
            is_mask = kind not in ("image", "images", "img", "original")
            pixels = np.where(pixels > 200, 255, 0).astype(np.uint8) if is_mask else pixels
            Image.fromarray(pixels).save(folder / kind / f"{stem}.png")


def section(**fields):
    data = load_config("default").data
    data.update({"size": 32} | fields)
    return data


def frnet_copy(home):
    """As the authors of FRNet pass their data on: two subsets of OCTA-500 beside ROSSA."""
    for subset, ids in (("3M", (10301, 10302, 10441, 10451)), ("6M", (10001, 10181, 10201))):
        *train, val, test = ids
        for split, stems in (("train", train), ("val", [val]), ("test", [test])):
            put(home / f"OCTA500_{subset}" / split, stems, "image", "label")
    for split in ("train_manual", "train_sam", "val", "test"):
        put(home / "ROSSA" / split, [f"{split[-3:]}{i}" for i in range(3)], "image", "label")
    return home


@pytest.mark.parametrize("split", ["", "train"])
def test_masks_that_no_image_has_are_named(tmp_path, split):
    home = tmp_path / split
    put(home, ["a", "b", "c"], "images")
    put(home, ["a_rv", "a_faz", "b_rv", "b_fovea", "d_rv"], "masks")
    notes = list_user_folder(tmp_path, wanted=Wanted("all")).notes
    (note,) = (note for note in notes if note.startswith("Not used"))
    at = f"{split}/masks".lstrip("/")
    assert note == (
        f"Not used: 2 masks without an image of the same name: {at}/d_rv.png, {at}/b_fovea.png."
    )
    (home / "masks/b_fovea.png").unlink()
    (home / "masks/d_rv.png").unlink()
    notes = list_user_folder(tmp_path, wanted=Wanted("all")).notes
    assert not any(note.startswith("Not used") for note in notes)


@pytest.mark.parametrize(
    ("image", "result"),
    [("a", "a_faz"), ("u\u0308", "\u00fc_overlay"), ("u\u0308", "u\u0308_rv"), ("a+b", "a%2Bb_rv")],
)
def test_results_among_the_images_are_refused(tmp_path, image, result):
    put(tmp_path, [image, "b", "b_rv2"], "images")
    put(tmp_path, [f"{image}_rv", f"{image}_faz", "b_rv"], "masks")
    assert list_user_folder(tmp_path, wanted=Wanted("all")).cases
    put(tmp_path, [result], "images")
    said = f"images/{result}.png looks like a result of predict or analyze for {image}.png; keep"
    with pytest.raises(UserError, match=re.escape(said)):
        list_user_folder(tmp_path)


@pytest.mark.parametrize(
    "kinds",
    [("images", "masks"), ("image", "label"), ("images", "labels"), ("img", "gt_VES", "gt_FAZ")],
)
def test_an_evaluation_needs_no_other_split(tmp_path, kinds):
    put(tmp_path / "test", "ab", *kinds)
    put(tmp_path / "train", ["two"], *kinds)
    Image.new("L", (32, 32)).save(tmp_path / "train" / kinds[0] / "two.bmp")  # cannot be listed
    if kinds[1] == "masks":  # one mask with both values, or nothing would tell them from vessels
        pixels = np.asarray(Image.open(tmp_path / "test/masks/a.png")) // 255 * 100
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "test/masks/a.png")
    selection = select_cases(tmp_path, "test")
    assert selection.ids == ("a", "b")
    assert not any("val split" in note or "test split" in note for note in selection.notes)
    with pytest.raises(UserError, match=r"two\.bmp and .*two\.png are two files"):
        select_cases(tmp_path, "train")


def test_an_evaluation_of_a_folder_without_splits_says_how_to_take_all(tmp_path):
    names = [f"eye{n}" for n in range(12)]
    put(tmp_path, names, "image", "label")
    some, every = (select_cases(tmp_path, split) for split in ("test", "all"))
    assert 0 < len(some.ids) < 12 and len(every.ids) == 12
    assert any("by a hash of their names; --split all evaluates all" in n for n in some.notes)
    assert any("no split folders: all of its cases are taken." in n for n in every.notes)
    assert not any("hash" in note for note in every.notes)


def test_split_folders_with_the_names_of_the_tasks(tmp_path):
    """The names that a folder without splits may have are read in split folders, too."""
    put(tmp_path / "train", ("a", "b", "c"), "images", "rv", "faz")
    put(tmp_path / "test", ("d",), "images", "rv", "faz")
    cases = list_user_folder(tmp_path).cases
    assert [(case.split, case.id) for case in cases] == [
        ("train", "a"), ("train", "b"), ("val", "c"), ("test", "d"),
    ]  # fmt: skip
    for case in cases:
        assert (case.rv.parent.name, case.faz.parent.name) == ("rv", "faz")
        assert case.rv.stem == case.faz.stem == case.id


def test_only_the_split_that_is_there(tmp_path):
    put(tmp_path / "testing", "ab", "image", "label")
    assert select_cases(tmp_path, "test").ids == select_cases(tmp_path, "all").ids == ("a", "b")
    for split in ("val", "train", "tset"):
        words = rf"{tmp_path} has no {split} cases .* another --split \(test, all\)"
        with pytest.raises(UserError, match=words):
            select_cases(tmp_path, split)
    message = r"no train split \(no train images; there are images in test\)"
    with pytest.raises(UserError, match=message):
        load_run_data(section(name="folder", root=str(tmp_path)))


def test_an_absent_val_split_is_made_as_in_training(tmp_path):
    put(tmp_path / "train", [f"{i:02}" for i in range(20)], "image", "label")
    put(tmp_path / "test", "a", "image", "label")
    dataset = load_run_data(section(name="folder", root=str(tmp_path)))
    for split in ("train", "val", "test"):
        assert select_cases(tmp_path, split).ids == getattr(dataset, split).ids
    assert dataset.val.ids == ("18", "19")


def test_split_folders_of_other_names(tmp_path):
    root = frnet_copy(tmp_path) / "ROSSA"
    for split in ("train_manual", "train_sam", "Train-SAM", "test"):
        (case, *_), (layout, *_) = (
            getattr(select_cases(root, split), name) for name in ("cases", "notes")
        )
        folder = split.lower().replace("-", "_")
        first = Image.open(root / folder / "image" / f"{folder[-3:]}0.png")
        np.testing.assert_array_equal(case.image, first)
        assert f"images in {folder}/image, RV in {folder}/label" in layout
    assert len(select_cases(root, "all").ids) == 12
    with pytest.raises(UserError, match=r"no train cases .*\(val, test, train_manual, train_sam"):
        select_cases(root, "train")


@pytest.mark.parametrize("name", ["folder", "octa500"])
def test_training_asks_for_the_folder_of_training_cases(tmp_path, name):
    root = frnet_copy(tmp_path) / "ROSSA"
    listed = r"no split folder train, only val, test, train_manual, train_sam; .*"
    with pytest.raises(UserError, match=listed + "--config.data.train_split=train_manual"):
        load_run_data(section(name=name, root=str(root)))
    for split in ("train_manual", "train_sam"):
        dataset = load_run_data(section(name=name, root=str(root), train_split=split))
        assert dataset.train.ids == tuple(f"{split[-3:]}{i}" for i in range(3))
        other = {"train_manual", "train_sam"} - {split}
        assert f"Split folders that are not used: {other.pop()}." in dataset.notes
    for wrong, words in (("test", "keeps test apart"), ("train2", "no split folder train2")):
        with pytest.raises(UserError, match=words):
            load_run_data(section(name=name, root=str(root), train_split=wrong))


def test_prepare_takes_the_folder_of_training_cases(tmp_path, capsys):
    root, to = frnet_copy(tmp_path) / "ROSSA", tmp_path / "to"
    arguments = ["prepare", "folder", "--from", str(root), "--to", str(to)]
    assert_refused(main(arguments), capsys.readouterr().err, "--train-split=train_manual")
    assert main([*arguments, "--train-split", "train_sam"]) == 0
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith("--config.data.size=32")
    assert f"Split folders in {root}: images in {{train_sam,val,test}}/image" in printed
    raw = load_run_data(section(name="folder", root=str(root), train_split="train_sam"))
    prepared = load_run_data(section(name="prepared", root=str(to)))
    np.testing.assert_array_equal(raw.train.images, prepared.train.images)
    with pytest.raises(UserError, match="train_split: a prepared data set has its own"):
        load_run_data(section(name="prepared", root=str(to), train_split="train_sam"))
    (report,) = to.rglob("report.json")
    assert json.loads(report.read_text())["splits"]["train"]["cases"] == 3


def test_a_source_of_a_mixture_has_its_own_folder_of_training_cases(tmp_path):
    root = frnet_copy(tmp_path)
    data = section(root=str(root), subset="3M")
    data.mixture.others = (f"name=folder,root={root / 'ROSSA'},weight=0.5,train_split=train_sam",)
    part, _ = load_run_data(data).sources["folder"]
    assert len(part) == 3


@pytest.mark.parametrize("above", ["", "dataset", "dataset/OCTA500_6M"])
def test_a_subset_of_a_copy_with_several_data_sets(tmp_path, above):
    frnet_copy(tmp_path / "dataset")
    root = tmp_path / above
    dataset = load_run_data(section(name="octa500", root=str(root), subset="6M"))
    assert (dataset.train.ids, dataset.test.ids) == (("10001",), ("10201",))
    assert select_cases(root, "test", subset="6M").ids == ("10201",)
    if above.endswith("6M"):
        with pytest.raises(UserError, match="not hold the subset 3M of OCTA-500, only 6M"):
            list_octa500(root, "3M")
    else:
        listed = r"several data sets: .*OCTA500_3M, .*OCTA500_6M, .*ROSSA; .*subset=3M"
        for read in (list_user_folder, lambda root: select_cases(root, "test")):
            with pytest.raises(UserError, match=listed):
                read(root)


@pytest.mark.parametrize("name", ["OCTA500_3M", "OCTA500-6M", "octa 6mm", "OCTA_3mm", "3M"])
def test_names_of_subset_folders(tmp_path, name):
    put(tmp_path / name / "train", "ab", "image", "label")
    subset = "6M" if "6" in name else "3M"
    assert len(list_octa500(tmp_path, subset).cases) == 2
    with pytest.raises(UserError, match=f"only {subset}"):
        list_octa500(tmp_path, {"3M": "6M", "6M": "3M"}[subset])


def test_split_folders_of_neither_subset_need_no_choice(tmp_path):
    put(tmp_path / "test", "ab", "image", "label")
    assert select_cases(tmp_path, "test", "octa500").ids == ("a", "b")
    for number in (10301, 10001):  # both subsets, whose images lie in one folder
        put(tmp_path / "test", [number], "image", "label")
    assert len(select_cases(tmp_path, "test", "octa500").ids) == 4


@pytest.mark.parametrize(
    ("images", "masks", "kind"),
    [
        ("image", "label", "rv"),
        ("images", "labels", "rv"),
        ("img", "label_RV", "rv"),
        ("image", "label_FAZ", "faz"),
        ("img", "gt", "combined"),
        ("image", "masks", "combined"),
    ],
)
@pytest.mark.parametrize("below", ["", "data", "my/data"])
def test_flat_folders(tmp_path, images, masks, kind, below):
    home = tmp_path / "root" / below
    put(home, [f"eye{i}" for i in range(30)], images, masks)
    listing = list_user_folder(tmp_path / "root")
    assert len(listing.cases) == 30
    assert all(getattr(case, kind).parent == home / masks for case in listing.cases)
    assert all(case.image.parent == home / images for case in listing.cases)
    assert str(home) in listing.layout and f"images in {images}" in listing.layout


def test_a_flat_folder_is_read_as_a_folder_only(tmp_path, capsys):
    put(tmp_path, [f"eye{i}" for i in range(30)], "image", "label")
    with pytest.raises(UserError, match=r"choose config\.data\.name=folder"):
        load_run_data(section(name="octa500", root=str(tmp_path)))
    with pytest.raises(UserError, match=r"choose config\.data\.name=folder") as refusal:
        select_cases(tmp_path, "test", "octa500")
    assert "may hold" not in str(refusal.value)
    with pytest.raises(UserError, match="has no split folders; leave it out"):
        load_run_data(section(name="folder", root=str(tmp_path), train_split="train_sam"))


@pytest.mark.parametrize("name", ["test", "val", "train", "testing", "test_old"])
def test_a_folder_named_like_a_split_is_a_split_beside_another_one(tmp_path, name):
    stems, root = [f"eye{i}" for i in range(60)], tmp_path / "my data" / name
    put(root, stems, "image", "label")
    # Alone it is an ordinary folder: no case that is evaluated was trained on.
    dataset = load_run_data(section(name="folder", root=str(root)))
    parts = [getattr(dataset, split).ids for split in ("train", "val", "test")]
    assert all(parts) and sorted(sum(parts, ())) == sorted(stems)
    for split, ids in zip(("train", "val", "test"), parts, strict=True):
        assert select_cases(root, split).ids == ids
    put(root.parent / "validation", stems, "images", "masks")  # another layout
    if name == "test_old":
        put(root.parent / "test_new", stems, "image", "label")  # two data sets, not two splits
    assert load_run_data(section(name="folder", root=str(root))).train.ids == parts[0]

    other = "test" if name == "train" else "train"
    put(root.parent / other, stems, "img", "labels")
    split = {"testing": "test"}.get(name, name)
    assert len(select_cases(root, split).ids) == len(select_cases(root, "all").ids) == 60
    with pytest.raises(UserError, match=f"no {other} cases"):
        select_cases(root, other)
    with pytest.raises(UserError, match=rf"split folder {split} of {root.parent}; ") as refusal:
        load_run_data(section(name="folder", root=str(root)))
    assert f"{refusal.value}".endswith(f"--config.data.root='{root.parent}'.")


@pytest.mark.parametrize(
    ("split", "names", "neither"),
    [
        ("val", ("val", "valid"), "validation"),
        ("val", ("valid", "validation"), "val"),
        ("train", ("train", "training"), "Train"),
        ("test", ("test", "testing"), "TEST"),
        ("test", ("TEST", "Test"), "test"),
    ],
)
def test_two_folders_for_one_split(tmp_path, split, names, neither):
    for name in {"train", "val", "test"} - {split}:
        put(tmp_path / name, [f"{name}{i}" for i in range(12)], "image", "label")
    for name in names:
        put(tmp_path / name, [f"{name}{i}" for i in range(3)], "image", "label")
    if len([*tmp_path.iterdir()]) < 4:
        pytest.skip("this file system has no such names")
    for name in names:
        assert select_cases(tmp_path, name).ids == tuple(f"{name}{i}" for i in range(3))
    both = rf"{tmp_path}/{names[0]} and {tmp_path}/{names[1]} are two folders for one split"
    with pytest.raises(UserError, match=both):
        select_cases(tmp_path, neither)
    for name in ("folder", "octa500"):
        with pytest.raises(UserError, match=both):
            load_run_data(section(name=name, root=str(tmp_path)))
    if split == "train":
        data = section(name="folder", root=str(tmp_path), train_split="training")
        assert load_run_data(data).train.ids == ("training0", "training1", "training2")


@pytest.mark.parametrize("name", ["folder", "octa500"])
def test_the_layout_is_that_of_the_wanted_split(tmp_path, name):
    put(tmp_path / "train", [f"eye{i}" for i in range(12)], "images", "label_RV", "label_FAZ")
    put(tmp_path / "test", "ab", "image", "label")
    put(tmp_path / "test_old", "c", "img", "gt_VES", "gt_FAZ")
    for split, ids in (("test", "ab"), ("test_old", "c")):
        assert select_cases(tmp_path, split, name).ids == tuple(ids)
    assert len(select_cases(tmp_path, "val", name).ids) == 1  # taken from train
    dataset = load_run_data(section(name=name, root=str(tmp_path)))
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (11, 1, 0)
    assert "no test cases" in dataset.notes[0] and "0 with" not in dataset.notes[0]


def test_names_of_splits_with_spaces_and_without_letters(tmp_path, capsys):
    put(tmp_path / "train of 2021", "abc", "image", "label")
    with pytest.raises(UserError, match=r"train_split='train of 2021'\.$"):
        load_run_data(section(name="folder", root=str(tmp_path)))
    with pytest.raises(UserError, match=r"config\.data\.train_split is empty; name a split folder"):
        load_run_data(section(name="folder", root=str(tmp_path), train_split=""))
    with pytest.raises(UserError, match="--split is empty; name"):
        select_cases(tmp_path, " ")
    to = tmp_path / "to be prepared"
    arguments = ["prepare", "folder", "--from", str(tmp_path), "--to", str(to)]
    assert_refused(
        main([*arguments, "--train-split="]), capsys.readouterr().err, "--train-split is"
    )
    assert main([*arguments, "--train-split", "train of 2021"]) == 0
    assert f"--config.data.root='{to}/folder/default/1.0.0' --config" in capsys.readouterr().out


def test_images_beside_split_folders_are_refused(tmp_path):
    for home in (tmp_path, tmp_path / "train"):
        put(home, "abc", "image", "label")
    with pytest.raises(UserError, match=r"holds images and masks itself and .*folders \(train\)"):
        list_user_folder(tmp_path)


def test_several_folders_of_one_level_are_refused(tmp_path):
    for name in ("one", "two"):
        put(tmp_path / name, "abc", "image", "label")
    message = r"several data sets: .*one, .*two; set config\.data\.root to the one to use"
    with pytest.raises(UserError, match=message):
        list_user_folder(tmp_path)


@pytest.mark.parametrize("home", ["ROSE-Z", "a/Z", "a/ROSE-Z", "mine", "a/mine"])
def test_rose_below_its_root(tmp_path, home):
    for split in ("train", "test"):
        put(tmp_path / home / split, [f"{split}{i}" for i in range(3)], "img", "gt")
    assert len(list_rose(tmp_path, "Z", None).cases) == 6
    if "mine" not in home:  # the folder of another subset is not taken for it
        with pytest.raises(UserError, match="ROSE-O was not recognised"):
            list_rose(tmp_path, "O", None)
    for split in ("train", "test"):
        put(tmp_path / "b" / home.rpartition("/")[2] / split, "abc", "img", "gt")
    if "a/" in home:
        with pytest.raises(UserError, match="several folders for ROSE-Z"):
            list_rose(tmp_path, "Z", None)


def test_both_eyes_of_a_patient_fall_into_one_split(tmp_path):
    pixels = Image.fromarray(np.zeros((64, 64), np.uint8))
    masks = np.zeros((64, 64), np.uint8)
    masks[10:12], masks[30:40, 30:40] = 255, 100
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for patient in range(30):
        for eye in (f"p{patient}_OD", f"p{patient}_OS"):
            pixels.save(tmp_path / "images" / f"{eye}.png")
            Image.fromarray(masks).save(tmp_path / "masks" / f"{eye}.png")
    cases = list_user_folder(tmp_path).cases
    splits = {}
    for case in cases:
        splits.setdefault(case.id[:-3], set()).add(case.split)
    assert len(cases) == 60
    assert {len(of) for of in splits.values()} == {1}
    assert set.union(*splits.values()) == {"train", "val", "test"}
