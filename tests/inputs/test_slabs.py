"""Several slabs of one eye: listed, read, mixed with synthetic eyes, prepared."""

from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from s2a_jax.cli import run as main
from s2a_jax.config.load import load_config
from s2a_jax.data.load import data_slabs, load_run_data
from s2a_jax.errors import UserError
from s2a_jax.inputs.images import read_image
from s2a_jax.inputs.slabs import slabs_to_unit_float

SIDE = 64
ORDER = {
    "octa500": "FULL,OPL_BM,ILM_OPL",
    "rose": "WRCC,DCC,SCC",
    "rose1": "SVC_DVC,DVC,SVC",
    "folder": "whole,deep,superficial",
    "split": "whole,deep,superficial",
}
SUBSET = {"octa500": "3M", "rose": "Z", "rose1": "1"}
IDS = {"train": ("10301", "10302", "10303"), "val": ("10441",), "test": ("10451",)}


def put(folder, stem, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{stem}.png")


def picture(stem, slab):
    rng = np.random.default_rng([int(stem), *slab.encode()])
    return rng.integers(0, 256, (SIDE, SIDE), np.uint8)


def image_folder(root, kind, split, slab):
    return {
        "octa500": root / f"OCTA_3mm/Projection Maps/OCTA({slab})",
        "rose": root / f"ROSE-Z/{split}/img/{slab}",
        "rose1": root / f"ROSE-1/{slab}/{split}/img",
        "folder": root / f"images/{slab}",
        "split": root / f"{split}/images/{slab}",
    }[kind]


def make(root, kind):
    """Makes a tree of one layout in which every slab of every case is a different picture."""
    for split, ids in IDS.items():
        for stem in ids:
            for slab in ORDER[kind].split(","):
                put(image_folder(root, kind, split, slab), stem, picture(stem, slab))
                rv = {
                    "octa500": root / "Label/GT_LargeVessel",
                    "rose": root / f"ROSE-Z/{split}/gt/vessel",
                    "rose1": root / f"ROSE-1/{slab}/{split}/gt",
                    "folder": root / "rv",
                }.get(kind, root / split / "masks")
                name = f"{stem}_rv" if kind == "split" else stem
                put(rv, name, np.where(picture(stem, "mask") > 220, 255, 0).astype(np.uint8))
    return root


def section(kind, root, **values):
    data = load_config("default").data
    name = {"rose1": "rose", "split": "folder"}.get(kind, kind)
    data.update({"name": name, "root": str(root), "slab": ORDER.get(kind), "size": SIDE})
    data.update({"subset": SUBSET.get(kind, "3M")} | values)
    data.synthetic.update({"root": str(root / "eyes"), "train": 1, "val": 1, "test": 0})
    return data


@pytest.mark.parametrize("kind", ORDER)
def test_every_layout_keeps_the_order_of_the_slabs(tmp_path, kind):
    data = section(kind, make(tmp_path, kind))
    dataset = load_run_data(data)
    names = dataset.slabs
    assert names == data_slabs(data) == tuple(ORDER[kind].split(","))
    assert dataset.train.images.dtype == np.uint8
    if kind != "folder":  # a hash of the ids makes its splits
        assert dataset.train.ids[:2] == IDS["train"][:2]
    for cases in (dataset.train, dataset.val):
        for stem, image in zip(cases.ids, cases.images, strict=True):
            np.testing.assert_array_equal(image, np.stack([picture(stem, s) for s in names], -1))
    data.slab = ",".join(names[:0:-1])
    backwards = load_run_data(data).val.images
    np.testing.assert_array_equal(backwards, dataset.val.images[..., :0:-1])


@pytest.mark.parametrize("kind", ["octa500", "rose"])
@pytest.mark.parametrize("lacking", [0, 2])
def test_incomplete_cases_are_named_or_skipped_on_demand(tmp_path, kind, lacking):
    data = section(kind, make(tmp_path, kind))
    slab = ORDER[kind].split(",")[lacking]
    folder = image_folder(tmp_path, kind, "train", slab)
    for stem in IDS["train"][1:]:
        (folder / f"{stem}.png").unlink()
    with pytest.raises(UserError, match=rf"2 cases lack a slab \(train/10302, train/10303;.*{slab}"
                                        r".*config\.data\.incomplete=skip"):  # fmt: skip
        load_run_data(data)
    put(folder, "10302", picture("10302", slab))
    data.incomplete = "skip"
    dataset = load_run_data(data)
    assert dataset.train.ids == ("10301", "10302")
    assert any(note.startswith("1 case lacks a slab (train/10303") for note in dataset.notes)
    data.incomplete = "ignore"
    with pytest.raises(UserError, match=r"config\.data\.incomplete='ignore'"):
        load_run_data(data)


@pytest.mark.parametrize(
    ("kind", "slab", "words"),
    [
        ("octa500", "FULL,SCC", "'SCC': octa500 3M has ILM_OPL, FULL, OPL_BM"),
        ("octa500", "FULL,FULL", "expected one name, or different names"),
        ("octa500", "FULL,", "expected one name, or different names"),
        ("rose", "WRCC,FULL", "'FULL': rose Z has SCC, WRCC, DCC"),
        ("folder", "whole,macular", r"images/macular"),
    ],
)
def test_missing_slabs_are_named(tmp_path, kind, slab, words):
    with pytest.raises(UserError, match=words):
        load_run_data(section(kind, make(tmp_path, kind), slab=slab))


def test_one_kind_of_image_is_not_taken_for_several(tmp_path):
    for stem in "1234":
        put(tmp_path / "Z/train/img", stem, picture(stem, ""))
        put(tmp_path / "Z/train/gt", stem, picture(stem, ""))
    with pytest.raises(UserError, match=r"slab='WRCC,DCC,SCC': .*one kind of image"):
        load_run_data(section("rose", tmp_path))


def test_a_slab_of_another_size_names_both_files(tmp_path):
    make(tmp_path, "octa500")
    folder = image_folder(tmp_path, "octa500", "train", "OPL_BM")
    put(folder, "10302", np.zeros((SIDE, 32), np.uint8))
    with pytest.raises(UserError, match=r"OPL_BM\)/10302.png is 32x64 .*FULL\)/10302.png is 64x64"):
        load_run_data(section("octa500", tmp_path))


def test_synthetic_eyes_match_the_slabs_of_the_main_source(tmp_path):
    data = section("octa500", make(tmp_path, "octa500"))
    data.mixture.synthetic = 0.5
    dataset = load_run_data(data)
    whole, deep, superficial = np.moveaxis(dataset.train.images[3], -1, 0)
    assert not np.array_equal(deep, superficial)
    np.testing.assert_array_equal(whole, np.maximum(deep, superficial))
    alone = section("synthetic", tmp_path, slab="superficial")  # the same eye of the same seed
    np.testing.assert_array_equal(load_run_data(alone).train.images[0], superficial)
    data.mixture.others = (f"name=folder,root={make(tmp_path / 'own', 'folder')},weight=0.2,"
                           "slab=whole+deep",)  # fmt: skip
    with pytest.raises(UserError, match="folder have 2 slabs, those of the main source 3"):
        load_run_data(data)
    with pytest.raises(UserError, match="'macular': synthetic eyes have superficial, deep, whole"):
        load_run_data(section("synthetic", tmp_path, slab="deep,macular"))


def test_synthetic_eyes_match_the_one_slab_of_a_prepared_set(tmp_path):
    make(tmp_path / "raw", "octa500")
    assert main(["prepare", "octa500", "--from", str(tmp_path / "raw"), "--to",
                 str(tmp_path / "to"), "--slab", "FULL", "--subset", "3M"]) == 0  # fmt: skip
    data = section("prepared", tmp_path / "to", slab=None)
    data.mixture.synthetic = 0.5
    dataset = load_run_data(data)
    assert dataset.slabs == data_slabs(data) == ()
    alone = section("synthetic", tmp_path / "to", slab="whole")
    np.testing.assert_array_equal(dataset.train.images[3], load_run_data(alone).train.images[0])


def test_a_prepared_slab_without_a_match_is_refused(tmp_path):
    make(tmp_path / "raw", "folder")
    (tmp_path / "raw/images/deep").rename(tmp_path / "raw/images/macular")
    assert main(["prepare", "folder", "--from", str(tmp_path / "raw"), "--to",
                 str(tmp_path / "to"), "--slab", "macular"]) == 0  # fmt: skip
    data = section("prepared", tmp_path / "to", slab=None)
    data.mixture.synthetic = 0.5
    with pytest.raises(UserError, match="no slab that stands for macular of the main source"):
        load_run_data(data)


@pytest.mark.parametrize("kind", ["octa500", "rose1", "folder"])
def test_a_prepared_set_reads_as_its_raw_folder(tmp_path, kind):
    data = section(kind, make(tmp_path / "raw", kind))
    flags = ["--subset", SUBSET[kind]] if kind in SUBSET else []
    assert main(["prepare", data.name, "--from", str(tmp_path / "raw"), "--to",
                 str(tmp_path / "to"), "--slab", ORDER[kind], *flags]) == 0  # fmt: skip
    again = section("prepared", tmp_path / "to", slab=None)
    first, second = load_run_data(data), load_run_data(again)
    assert second.slabs == data_slabs(again) == first.slabs
    for split in ("train", "val", "test"):
        one, other = getattr(first, split), getattr(second, split)
        for field in fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
        assert one.images.dtype == other.images.dtype


def test_arrays_of_several_slabs(tmp_path):
    slabs = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    for i in range(3):
        put(tmp_path, str(i), slabs[..., i])
    read = np.stack([read_image(tmp_path / f"{i}.png") for i in range(3)], axis=-1)
    np.testing.assert_array_equal(slabs_to_unit_float(slabs, "abc"), read)
    with pytest.raises(UserError, match=r"takes \[H, W, 3\], the slabs a, b, c"):
        slabs_to_unit_float(slabs[..., 0], "abc")
    with pytest.raises(UserError, match="one picture 3 times"):
        slabs_to_unit_float(np.repeat(slabs[..., :1], 3, axis=-1), "abc")
