"""A data set that changes under a run is noticed."""

import numpy as np
import pytest
from PIL import Image

from s2a_jax.config.load import load_config
from s2a_jax.data.load import load_run_data
from s2a_jax.errors import UserError
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training.data_record import check_record, write_record


def draw(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path):
    """Three train cases and one of val; `b` has no FAZ mask."""
    rng = np.random.default_rng(0)
    for split, names in (("train", "abc"), ("val", "v")):
        for name in names:
            home = tmp_path / "data" / split
            draw(home / f"images/{name}.png", rng.integers(0, 256, (32, 32), np.uint8))
            for kind in ("rv",) if name == "b" else ("rv", "faz"):
                mask = np.where(rng.uniform(size=(32, 32)) > 0.8, 255, 0).astype(np.uint8)
                draw(home / f"masks/{name}_{kind}.png", mask)
    return tmp_path / "data"


def read(root, **fields):
    data = load_config("default").data
    data.update({"name": "folder", "root": str(root), "size": 32} | fields)
    return load_run_data(data).fingerprints()


def invert(path):
    draw(path, 255 - np.asarray(Image.open(path)))


def turn(path):
    draw(path, np.rot90(np.asarray(Image.open(path))).copy())


def empty(path):
    draw(path, np.zeros((32, 32), np.uint8))


def rename(path):
    path.rename(path.with_name("d.png"))
    mask = path.parents[1] / "masks/c_rv.png"
    mask.rename(mask.with_name("d_rv.png"))


def sixteen_bit(path):
    draw(path, np.asarray(Image.open(path)).astype(np.uint16) * 257 + 1)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("train/images/a.png", invert, "1 case has other pixels or masks (folder/train/a)"),
        ("train/images/a.png", sixteen_bit, "1 case has other pixels or masks (folder/train/a)"),
        ("train/masks/b_rv.png", turn, "1 case has other pixels or masks (folder/train/b)"),
        ("val/masks/v_faz.png", lambda path: path.unlink(), "other pixels or masks (val/v)"),
        ("train/masks/b_faz.png", empty, "1 case has other pixels or masks (folder/train/b)"),
        ("train/images/c.png", lambda path: path.unlink(), "1 case is missing (folder/train/c)"),
        ("train/images/c.png", rename, "1 case is missing (folder/train/c), 1 case is new"),
    ],
)
def test_a_change_is_refused_until_it_is_accepted(root, tmp_path, file, change, words):
    workdir = Workdir(tmp_path / "run")
    write_record(workdir, read(root))
    assert check_record(workdir, read(root), accept=False) is None
    change(root / file)
    with pytest.raises(UserError) as refusal:
        check_record(workdir, read(root), accept=False)
    assert words in str(refusal.value)
    assert "--config.data.accept_changes=True" in str(refusal.value)
    before = workdir.data.read_bytes()
    assert words in check_record(workdir, read(root), accept=True)
    assert workdir.data.read_bytes() == before  # an evaluation records nothing
    with pytest.raises(UserError):
        check_record(workdir, read(root), accept=False)


def test_a_file_that_is_saved_anew_or_moved_is_no_change(root, tmp_path):
    workdir = Workdir(tmp_path / "run")
    write_record(workdir, read(root))
    for path in root.rglob("images/*.png"):
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    moved = root.rename(tmp_path / "moved")
    assert check_record(workdir, read(moved), accept=False) is None


def test_every_source_and_split_has_its_names(root, tmp_path):
    first, other = read(root), f"name=folder,root={root},weight=0.5"
    assert list(first) == [*(f"folder/train/{name}" for name in "abc"), "val/v"]
    assert len(set(first.values())) == 4
    both = read(root, mixture={"synthetic": 0.0, "others": (other,)})
    assert both.keys() - first.keys() == {f"folder+/train/{name}" for name in "abc"}
    assert both["folder+/train/a"] == both["folder/train/a"] == first["folder/train/a"]


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_record_that_cannot_be_read_is_no_record(root, tmp_path, content):
    workdir = Workdir(tmp_path / "run")
    workdir.path.mkdir()
    if content is not None:
        workdir.data.write_text(content)
    with pytest.raises(UserError, match=r"data\.json.*accept_changes=True"):
        check_record(workdir, read(root), accept=False)
    assert "data.json, the record of" in check_record(workdir, read(root), accept=True)
