import numpy as np
import pytest
from PIL import Image

from s2a_jax.config.load import load_config
from s2a_jax.data.cases import load_cases
from s2a_jax.data.load import load_run_data
from s2a_jax.data.rose import ROSE, list_rose
from s2a_jax.data.selection import select_cases
from s2a_jax.errors import UserError
from s2a_jax.inputs.slabs import SlabError

RNG = np.random.default_rng(0)


def put(folder, stems, extension):
    """Grey pictures with every value; the masks of ROSE have grey edges."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem in stems:
        pixels = RNG.integers(0, 256, (32, 32), np.uint8)
        Image.fromarray(pixels).save(folder / f"{stem}.{extension}")


def moved(path):
    """Makes the parent of a path; returns the path."""
    path.parent.mkdir(parents=True)
    return path


def make(home, image, *masks, counts=(("train", 5), ("test", 2))):
    for split, count in counts:
        stems = [f"{split}{i}" for i in range(count)]
        for folder, extension in ((image, "tif"), *((mask, "png") for mask in masks)):
            put(home / split / folder.format(split=split), stems, extension)


@pytest.mark.parametrize(
    ("subset", "home", "image", "masks", "slab"),
    [
        ("1", "ROSE-1/SVC", "img", ["gt"], None),
        ("1", "ROSE-1/SVC_DVC", "img", ["gt"], "SVC_DVC"),
        ("1", "rose1", "rose1_{split}_img", ["rose1_{split}_gt", "rose1_{split}_faz"], None),
        ("2", "ROSE-2", "original", ["gt"], None),
        ("O", "ROSE-O", "img/SCC", ["gt/vessel", "gt/FAZ"], None),
        ("H", "H", "img/WRCC", ["gt/vessel", "gt/FAZ"], "WRCC"),
        ("Z", "Z", "img", ["gt", "faz"], None),
        ("Z", ".", "img", ["gt", "faz"], None),
    ],
)
def test_every_layout(tmp_path, subset, home, image, masks, slab):
    make(tmp_path / home, image, *masks)
    cases = list_rose(tmp_path, subset, slab).cases
    assert [case.split for case in cases] == ["train"] * 4 + ["val"] + ["test"] * 2
    first = cases[0]
    folder = (tmp_path / home / "train").resolve()
    assert first.image.resolve() == folder / image.format(split="train") / "train0.tif"
    assert first.rv.resolve() == folder / masks[0].format(split="train") / "train0.png"
    faz = [folder / mask.format(split="train") / "train0.png" for mask in masks[1:]]
    assert [first.faz and first.faz.resolve()] == (faz or [None])
    loaded = load_cases([first], 32)
    grey = np.asarray(Image.open(first.rv))
    np.testing.assert_array_equal(loaded.rv[0], grey >= 128)
    assert loaded.has_faz[0] == (len(masks) == 2)


@pytest.mark.parametrize(("subset", "size"), [("1", 304), ("Z", 512)])
def test_the_configuration_trains_at_the_subset_s_size(tmp_path, subset, size):
    make(tmp_path / "ROSE-1/SVC", "img", "gt")
    make(tmp_path / "ROSE-Z", "img", "gt", "faz")
    config = load_config("rose")
    config.data.update({"root": str(tmp_path), "subset": subset})
    dataset = load_run_data(config.data)
    assert (dataset.size, len(dataset.train), len(dataset.test)) == (size, 4, 2)
    assert dataset.train.has_rv.all() and dataset.train.has_faz.all() == (subset == "Z")


def test_the_error_about_an_unreadable_data_set_names_the_subset_in_the_folder(tmp_path):
    make(tmp_path / "ROSE-Z", "img", "gt", counts=(("test", 2),))
    assert len(select_cases(tmp_path, "test").ids) == 2
    with pytest.raises(UserError, match=r"'FULL': rose Z has SCC, WRCC, DCC"):
        select_cases(tmp_path, "test", slab="FULL")
    (tmp_path / "empty/notes").mkdir(parents=True)
    with pytest.raises(UserError, match=r"looked for 1, 2, O, Z, H\. Of 1: .* not recognised"):
        select_cases(tmp_path / "empty", "test", "rose")


def test_slabs_of_one_subset_are_distinguished(tmp_path):
    for slab, count in (("SCC", 5), ("DCC", 3)):
        make(tmp_path / "Z", f"img/{slab}", "gt/vessel", counts=(("train", count), ("test", 1)))
    assert len(list_rose(tmp_path, "Z", "SCC").cases) == 6
    assert len(list_rose(tmp_path, "Z", "DCC").cases) == 4


@pytest.mark.parametrize(
    ("subset", "image", "default"),
    [("1", "rose1_{split}_img", "SVC"), ("Z", "img", "SCC"), ("O", "img", "SCC")],
)
def test_a_layout_without_slab_names_holds_the_first_slab(tmp_path, subset, image, default):
    make(tmp_path, image, image.replace("img", "gt"))
    assert list_rose(tmp_path, subset, default).cases == list_rose(tmp_path, subset, None).cases
    slabs = tuple(ROSE.subset(subset).slabs)
    for other in set(slabs) - {default}:
        with pytest.raises(SlabError, match=f"slab='{other}': {tmp_path} has.*one kind of image"):
            list_rose(tmp_path, subset, other)
    # Unless the folder is named after a slab.
    other = slabs[1]
    (tmp_path / "train").rename(moved(tmp_path / other / "train"))
    cases = list_rose(tmp_path, subset, other).cases
    assert cases == list_rose(tmp_path / other, subset, other).cases
    with pytest.raises(SlabError, match="one kind of image"):
        list_rose(tmp_path / other, subset, slabs[2])


def test_a_missing_slab_is_not_read_from_the_folder_above(tmp_path):
    make(tmp_path / "Z", "img/WRCC", "gt/vessel")
    for slab in ("DCC", None):
        with pytest.raises(UserError, match=r"not recognised.*looked for: .*img/[DS]CC"):
            list_rose(tmp_path, "Z", slab)


@pytest.mark.parametrize(
    ("subset", "slab", "named"),
    [
        ("3M", None, "config.data.subset='3M'"),
        ("1", "SCC", "config.data.slab='SCC': rose 1 has SVC, DVC, SVC_DVC"),
        ("2", "SVC", "leave it out"),
        ("H", None, "ROSE-H was not recognised in .*looked for: .*img/SCC"),
    ],
)
def test_mistakes_are_named(tmp_path, subset, slab, named):
    make(tmp_path / "ROSE-1/SVC", "img", "gt")
    with pytest.raises(UserError, match=named):
        list_rose(tmp_path, subset, slab)
