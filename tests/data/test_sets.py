"""A data set is one entry of the table: a made-up one is loaded, evaluated and prepared."""

import numpy as np
import pytest
from PIL import Image

from s2a_jax.cli import run as main
from s2a_jax.config.load import load_config
from s2a_jax.data.entry import DataSet, Subset
from s2a_jax.data.layouts import SplitLayout, list_slabs
from s2a_jax.data.load import image_size, load_run_data
from s2a_jax.data.selection import select_cases
from s2a_jax.data.sets import DATA_SETS, synthetic_slabs
from s2a_jax.data.splits import TRAINING
from s2a_jax.errors import UserError

SPLITS = {"train": "ab", "val": "c", "test": "d"}


def list_tiny(root, subset, slab, wanted=TRAINING):
    places = [
        (root, SplitLayout("tiny", image=f"pictures/{name}", rv=("vessels", "")))
        for name in TINY.chosen_slabs(subset, slab)
    ]
    return list_slabs(places, wanted)


TINY = DataSet(
    name="tiny",
    about="eyes drawn for a test",
    list_cases=list_tiny,
    subsets={"one": Subset(64, {"upper": "superficial", "lower": "deep"})},
    marks=lambda folder: folder.name == "tiny",
    pitch=lambda subset, _: lambda id_, size: {"one": 7.0}[subset],
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setitem(DATA_SETS, "tiny", TINY)
    rng = np.random.default_rng(0)
    for split, stems in SPLITS.items():
        for folder in ("pictures/upper", "pictures/lower", "vessels"):
            home = tmp_path / "tiny" / split / folder
            home.mkdir(parents=True)
            for stem in stems:
                pixels = rng.integers(0, 256, (64, 64), np.uint8)
                pixels = np.where(pixels > 200, 255, 0) if folder == "vessels" else pixels
                Image.fromarray(pixels.astype(np.uint8)).save(home / f"{stem}.png")
    return tmp_path / "tiny"


def section(**fields):
    data = load_config("default").data
    data.update(fields)
    return data


def test_it_is_loaded_at_its_size_with_its_slabs_and_pitch(root, tmp_path):
    data = section(name="tiny", root=str(root), subset="one", slab="lower")
    assert image_size(data) == 64
    dataset = load_run_data(data)
    assert (dataset.train.ids, dataset.slab) == (("a", "b"), "lower")
    assert dataset.pitch("d", (64, 64)) == 7
    lower = Image.open(root / "train/pictures/lower/a.png")
    np.testing.assert_array_equal(dataset.train.images[0], lower)
    # Synthetic eyes in a mixture show the same layer.
    data.mixture.synthetic = 0.5
    data.synthetic.update({"root": str(tmp_path / "eyes"), "train": 1, "val": 1, "test": 0})
    assert load_run_data(data).sources["synthetic"][0] == range(2, 3)
    assert synthetic_slabs("lower") == ("deep",)
    for fields, words in (
        ({"subset": "two"}, "subset='two': tiny has one"),
        ({"slab": "middle"}, "slab='middle': tiny one has upper, lower"),
        ({"name": "tinny"}, "expected one of octa500, rose, folder, synthetic, tiny, prepared"),
    ):
        with pytest.raises(UserError, match=words):
            load_run_data(section(**{"name": "tiny", "root": str(root), "subset": "one"} | fields))


def test_it_is_recognised_and_evaluated(root, capsys):
    selection = select_cases(root, "test", slab="DCC", takes_own_names=True)
    assert (selection.ids, selection.um_per_px) == (("d",), (7.0,))
    assert "lower of this data set stands for DCC." in selection.notes
    assert main(["evaluate", "--help"]) == 0
    assert "tiny (eyes drawn for a test)" in " ".join(capsys.readouterr().out.split())


def test_it_is_prepared_and_read_back(root, tmp_path):
    flags = ["--from", str(root), "--to", str(tmp_path / "to"), "--subset", "one"]
    assert main(["prepare", "tiny", *flags, "--slab", "upper,lower"]) == 0
    assert (tmp_path / "to/tiny/one_upper+lower/1.0.0/report.md").is_file()
    raw = section(name="tiny", root=str(root), subset="one", slab="upper,lower")
    prepared = section(name="prepared", root=str(tmp_path / "to"), size=64)
    first, second = load_run_data(raw), load_run_data(prepared)
    assert second.slabs == first.slabs == ("upper", "lower")
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert select_cases(tmp_path / "to", "test", slab="upper,lower").um_per_px == (7.0,)
