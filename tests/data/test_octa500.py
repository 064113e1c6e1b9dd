import shutil

import numpy as np
import pytest
from PIL import Image

from s2a_jax.data.cases import read_case
from s2a_jax.data.folder import list_user_folder
from s2a_jax.data.octa500 import list_octa500
from s2a_jax.data.splits import Wanted
from s2a_jax.errors import UserError

IDS_3M = (10301, 10302, 10440, 10441, 10451)
IDS_6M = (10001, 10180, 10181, 10201)


def put(folder, stems, extension="bmp"):
    """Listing looks at names only, so one grey picture serves for all."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem in stems:
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(folder / f"{stem}.{extension}")


def new_release(root, subset_folder="OCTA_3mm", ids=IDS_3M, maps="Projection Maps", label="Label"):
    put(root / subset_folder / maps / "OCTA(ILM_OPL)", ids)
    put(root / subset_folder / maps / "OCTA(FULL)", ids[:1])
    put(root / label / "GT_LargeVessel", ids)
    put(root / label / "GT_FAZ", ids[:1])


def splits_of(listing):
    return {
        split: [case.id for case in listing.cases if case.split == split]
        for split in ("train", "val", "test")
    }


OFFICIAL_3M = {"train": ["10301", "10302", "10440"], "val": ["10441"], "test": ["10451"]}


@pytest.mark.parametrize("subset_folder", ["OCTA_3mm", "OCTA_3M", "octa 3mm"])
@pytest.mark.parametrize("maps", ["Projection Maps", "ProjectionMaps", "projection_maps"])
def test_new_release(tmp_path, subset_folder, maps):
    new_release(tmp_path, subset_folder, maps=maps)
    new_release(tmp_path, "OCTA_6mm", IDS_6M)
    listing = list_octa500(tmp_path, "3M")
    assert "new release" in listing.layout
    assert splits_of(listing) == OFFICIAL_3M
    first, second = listing.cases[:2]
    assert first.image == tmp_path / subset_folder / maps / "OCTA(ILM_OPL)" / "10301.bmp"
    assert first.rv == tmp_path / "Label" / "GT_LargeVessel" / "10301.bmp"
    assert first.faz == tmp_path / "Label" / "GT_FAZ" / "10301.bmp"
    assert (first.combined, second.faz) == (None, None)
    assert "No FAZ mask: 4 of 5 cases." in listing.notes


def test_classes_replace_a_missing_mask(tmp_path):
    new_release(tmp_path)
    for name in ("GT_FAZ", "GT_LargeVessel"):
        (tmp_path / "Label" / name / "10301.bmp").rename(tmp_path / f"{name}.bmp")
    classes = np.zeros((32, 32), np.uint8)
    classes[:4], classes[4:8], classes[8:12], classes[20:24] = 1, 2, 3, 4
    put(tmp_path / "Label/GT_CAVF", ())
    for stem in IDS_3M:
        Image.fromarray(classes).save(tmp_path / f"Label/GT_CAVF/{stem}.bmp")
    listing = list_octa500(tmp_path, "3M")
    assert splits_of(listing) == OFFICIAL_3M
    assert any("RV masks of 1 case are made from the classes" in note for note in listing.notes)
    assert any("FAZ masks of 5 cases are made from the classes" in note for note in listing.notes)
    both, one = (read_case(case) for case in listing.cases[:2])
    np.testing.assert_array_equal(both.rv, (classes == 2) | (classes == 3))
    np.testing.assert_array_equal(both.faz, classes == 4)
    assert not one.rv.any()  # from GT_LargeVessel
    np.testing.assert_array_equal(one.faz, classes == 4)
    shutil.rmtree(tmp_path / "Label/GT_FAZ")
    shutil.rmtree(tmp_path / "Label/GT_LargeVessel")
    assert splits_of(list_octa500(tmp_path, "3M")) == OFFICIAL_3M
    put(tmp_path / "Label/GT_CAVF", ["10301"])  # a mask of zeros
    with pytest.raises(UserError, match=r"GT_CAVF/10301\.bmp holds no artery, vein or FAZ"):
        read_case(listing.cases[0])


def test_another_slab(tmp_path):
    new_release(tmp_path)
    assert [case.image.parent.name for case in list_octa500(tmp_path, "3M", "ILM_OPL").cases] == [
        "OCTA(ILM_OPL)"
    ] * len(IDS_3M)
    put(tmp_path / "OCTA_3mm/Projection Maps/OCTA(FULL)", IDS_3M)
    full = list_octa500(tmp_path, "3M", "FULL")
    assert {case.image.parent.name for case in full.cases} == {"OCTA(FULL)"}
    assert splits_of(full) == OFFICIAL_3M
    with pytest.raises(UserError, match="'DVC': octa500 3M has ILM_OPL, FULL, OPL_BM"):
        list_octa500(tmp_path, "3M", "DVC")


def test_split_folders_have_no_slabs(tmp_path):
    for split in ("train", "val"):
        put(tmp_path / split / "images", ["a"], "png")
        put(tmp_path / split / "masks", ["a"], "png")
    with pytest.raises(UserError, match=r"'FULL'.*one kind of image"):
        list_octa500(tmp_path, "3M", "FULL")


def test_both_subsets_by_their_ids(tmp_path):
    new_release(tmp_path)
    new_release(tmp_path, "OCTA_6mm", IDS_6M)
    assert splits_of(list_octa500(tmp_path, "6M")) == {
        "train": ["10001", "10180"],
        "val": ["10181"],
        "test": ["10201"],
    }


@pytest.mark.parametrize("label", ["OCTA_3mm/Label", "OCTA_3mm", "."])
def test_labels_inside_the_subset_or_without_label_folder(tmp_path, label):
    new_release(tmp_path, label=label)
    assert splits_of(list_octa500(tmp_path, "3M")) == OFFICIAL_3M


@pytest.mark.parametrize("root", ["", "octa500", "octa500/OCTA_3mm"])
def test_root_may_be_parent_data_set_or_subset(tmp_path, root):
    new_release(tmp_path / "octa500")
    assert splits_of(list_octa500(tmp_path / root, "3M")) == OFFICIAL_3M


def test_renamed_subset_folder_is_known_by_its_ids(tmp_path):
    new_release(tmp_path, "mine")
    assert splits_of(list_octa500(tmp_path / "mine", "3M")) == OFFICIAL_3M
    with pytest.raises(UserError, match="does not hold the subset 6M"):
        list_octa500(tmp_path / "mine", "6M")


def test_old_release(tmp_path):
    put(tmp_path / "OCTA_3M" / "Projection Maps" / "OCTA(ILM_OPL)", IDS_3M, "BMP")
    put(tmp_path / "OCTA_3M" / "GroundTruth", IDS_3M)
    # Labels of the other subset lie beside it.
    put(tmp_path / "Label" / "GT_LargeVessel", IDS_6M)
    listing = list_octa500(tmp_path, "3M")
    assert "old release" in listing.layout
    assert splits_of(listing) == OFFICIAL_3M
    case = listing.cases[0]
    assert case.combined == tmp_path / "OCTA_3M" / "GroundTruth" / "10301.bmp"
    assert (case.rv, case.faz) == (None, None)
    assert listing.notes == ()


@pytest.mark.parametrize("list_cases", [list_user_folder, lambda root: list_octa500(root, "3M")])
def test_our_split_folders(tmp_path, list_cases):
    for split in ("train", "val", "test"):
        put(tmp_path / split / "images", ["a", "b"], "png")
        put(tmp_path / split / "masks", ["a", "b_rv", "b_faz"], "png")
    listing = list_cases(tmp_path)
    assert splits_of(listing) == {split: ["a", "b"] for split in ("train", "val", "test")}
    a, b = listing.cases[:2]
    masks = tmp_path / "train" / "masks"
    assert (a.combined, a.rv, a.faz) == (masks / "a.png", None, None)
    assert (b.combined, b.rv, b.faz) == (None, masks / "b_rv.png", masks / "b_faz.png")
    assert any("more than one split" in note for note in listing.notes)


@pytest.mark.parametrize(
    ("image", "masks", "val", "present"),
    [
        ("image", ("label_RV", "label_FAZ"), "val", ("rv", "faz")),
        ("image", ("label",), "val", ("rv",)),
        ("img", ("gt_VES", "gt_FAZ"), "val", ("rv", "faz")),
        ("img", ("gt",), "valid", ("combined",)),
    ],
)
def test_split_folders_of_others(tmp_path, image, masks, val, present):
    for number, split in enumerate(("train", val, "test")):
        for folder in (image, *masks):
            put(tmp_path / "OCTA_3M" / split / folder, [number])
    listing = list_octa500(tmp_path, "3M")
    assert splits_of(listing) == {"train": ["0"], "val": ["1"], "test": ["2"]}
    case = listing.cases[0]
    expected = dict.fromkeys(("rv", "faz", "combined"))
    home = tmp_path / "OCTA_3M/train"
    expected |= {kind: home / mask / "0.bmp" for kind, mask in zip(present, masks, strict=True)}
    assert {name: getattr(case, name) for name in expected} == expected
    assert case.image == home / image / "0.bmp"


def test_val_is_split_off_train(tmp_path):
    put(tmp_path / "train" / "images", range(1, 21))
    put(tmp_path / "train" / "masks", range(1, 21))
    listing = list_user_folder(tmp_path)
    assert splits_of(listing) == {
        "train": [str(number) for number in range(1, 19)],
        "val": ["19", "20"],
        "test": [],
    }
    assert any("last 2 of 20 train cases" in note for note in listing.notes)
    assert "There is no test split." in listing.notes


def test_absent_official_val_is_split_off_train(tmp_path):
    new_release(tmp_path, ids=(10301, 10302, 10303))
    assert splits_of(list_octa500(tmp_path, "3M"))["val"] == ["10303"]


def test_images_without_any_mask_are_left_out(tmp_path):
    new_release(tmp_path)
    put(tmp_path / "OCTA_3mm" / "Projection Maps" / "OCTA(ILM_OPL)", [10303])
    (tmp_path / "OCTA_3mm" / "Projection Maps" / "OCTA(ILM_OPL)" / "._10304.bmp").touch()
    listing = list_octa500(tmp_path, "3M")
    assert splits_of(listing) == OFFICIAL_3M
    assert "Left out, without a mask: 1 of 6 images: train/10303." in listing.notes


def test_missing_root_says_how_to_get_data(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist.*IEEE DataPort.*synthetic\.py"):
        list_octa500(tmp_path / "nowhere", "3M")


def test_empty_or_unknown_root_is_named(tmp_path):
    with pytest.raises(UserError, match=rf"{tmp_path} is empty"):
        list_octa500(tmp_path, "3M")
    put(tmp_path / "pictures", ["a"])
    with pytest.raises(UserError, match=rf"{tmp_path}; looked for.*GroundTruth.*gt_VES"):
        list_octa500(tmp_path, "3M")
    with pytest.raises(UserError, match=f"No images with masks in {tmp_path}"):
        list_user_folder(tmp_path)


def test_absent_subset_names_the_present_one(tmp_path):
    new_release(tmp_path)
    with pytest.raises(UserError, match=r"not hold the subset 6M of OCTA-500, only 3M.*OCTA_3mm"):
        list_octa500(tmp_path, "6M")
    with pytest.raises(UserError, match=r"subset='9M': octa500 has 3M, 6M\."):
        list_octa500(tmp_path, "9M")


def test_ids_outside_the_ranges_are_named(tmp_path):
    new_release(tmp_path, ids=(*IDS_3M, 10001, 99999))
    with pytest.raises(UserError, match=r"OCTA\(ILM_OPL\).*: 10001, 99999; .*10301 to 10500"):
        list_octa500(tmp_path, "3M")


def test_no_labels_at_all(tmp_path):
    put(tmp_path / "OCTA_3mm" / "Projection Maps" / "OCTA(ILM_OPL)", IDS_3M)
    put(tmp_path / "Label" / "GT_Artery", IDS_3M)
    named = "OCTA_3mm has images but no masks.*GT_LargeVessel, GT_FAZ, GT_CAVF.*no other label"
    with pytest.raises(UserError, match=named):
        list_octa500(tmp_path, "3M")


def test_no_train_split(tmp_path):
    new_release(tmp_path, ids=(10441, 10451))
    with pytest.raises(UserError, match="OCTA_3mm has no train split"):
        list_octa500(tmp_path, "3M")
    for split, id_ in (("val", "10441"), ("test", "10451")):  # an evaluation needs none
        assert [case.id for case in list_octa500(tmp_path, "3M", None, Wanted(split)).cases] == [
            id_
        ]
    with pytest.raises(UserError, match=r"train_split=train_sam: .* official splits; leave it out"):
        list_octa500(tmp_path, "3M", None, Wanted(train_split="train_sam"))


def test_lone_train_case_without_val(tmp_path):
    new_release(tmp_path, ids=(10301,))
    with pytest.raises(UserError, match="OCTA_3mm has one train case"):
        list_octa500(tmp_path, "3M")


def test_two_files_for_one_image(tmp_path):
    new_release(tmp_path)
    put(tmp_path / "OCTA_3mm" / "Projection Maps" / "OCTA(ILM_OPL)", [10301], "png")
    with pytest.raises(UserError, match=r"10301\.bmp and .*10301\.png"):
        list_octa500(tmp_path, "3M")


def test_combined_and_separate_mask_for_one_image(tmp_path):
    put(tmp_path / "train" / "images", ["a", "b"])
    put(tmp_path / "train" / "masks", ["a", "a_rv", "b"])
    with pytest.raises(UserError, match=r"a\.bmp has a combined mask .*a_rv\.bmp"):
        list_user_folder(tmp_path)


def test_several_data_sets_are_named(tmp_path):
    new_release(tmp_path / "one")
    new_release(tmp_path / "two")
    with pytest.raises(UserError, match=r"several data sets: .*one.*two"):
        list_octa500(tmp_path, "3M")


def test_release_by_id_wins_over_split_folders_of_something_else(tmp_path):
    new_release(tmp_path / "octa500")
    put(tmp_path / "synthetic" / "train" / "images", ["a", "b"])
    put(tmp_path / "synthetic" / "train" / "masks", ["a", "b"])
    assert splits_of(list_octa500(tmp_path, "3M")) == OFFICIAL_3M
