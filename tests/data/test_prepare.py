"""`python -m s2a_jax prepare` and reading back what it wrote."""

import json
import shutil
import signal
import time
from dataclasses import fields

import numpy as np
import pytest
import tifffile
from PIL import Image
from refusals import assert_refused

from s2a_jax.cli import run as main
from s2a_jax.config.load import load_config
from s2a_jax.data.load import load_run_data
from s2a_jax.data.prepared.builders import builder_class
from s2a_jax.data.sets import DATA_SETS
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.errors import UserError
from tests.inputs.files import write_bits


def picture(seed, sixteen_bit=False):
    pixels = np.random.default_rng(seed).integers(0, 65536 if sixteen_bit else 256, (32, 32))
    return pixels.astype(np.uint16 if sixteen_bit else np.uint8)


def mask(seed):
    return np.where(np.random.default_rng(seed).uniform(size=(32, 32)) < 0.2, 255, 0)


def put(folder, stem, pixels, extension="png"):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, getattr(pixels, "dtype", None))).save(
        folder / f"{stem}.{extension}"
    )


def put_mask(folder, stem, seed):
    put(folder, stem, mask(seed).astype(np.uint8))


def octa500(root):
    for ids, name in (((10301, 10302, 10440, 10441, 10451), "3"), ((10001, 10181, 10201), "6")):
        for i in ids:
            for slab in ("ILM_OPL", "FULL"):
                put(root / f"OCTA_{name}mm/Projection Maps/OCTA({slab})", i, picture(i), "bmp")
            put_mask(root / "Label/GT_LargeVessel", i, i)
        put_mask(root / "Label/GT_FAZ", ids[0], 1)


def rose(root, subset):
    for split, numbers in (("train", range(4)), ("test", range(4, 6))):
        for number in numbers:
            put(root / f"ROSE-{subset}" / split / "img", number, picture(number))
            put_mask(root / f"ROSE-{subset}" / split / "gt", number, number)


def own_folder(root):
    for i in range(20):
        put(root / "images", f"eye{i}", picture(i, sixteen_bit=i % 2 == 0))
        put_mask(root / "faz", f"eye{i}", i)


def prepare(*arguments):
    return main(["prepare", *map(str, arguments)])


def section(**values):
    data = load_config("default").data
    data.update({"size": 32} | {key: str(value) for key, value in values.items()})
    return data


def assert_same(first, second):
    for split in ("train", "val", "test"):
        one, other = getattr(first, split), getattr(second, split)
        for field in fields(one):
            if field.name == "notes":  # only the report keeps them
                continue
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.mark.parametrize(
    ("name", "subset"),
    [("octa500", "3M"), ("octa500", "6M"), ("folder", None)] + [("rose", s) for s in "12OZH"],
)
def test_a_prepared_data_set_reads_like_its_raw_folder(tmp_path, name, subset, capsys):
    raw, to = tmp_path / "raw", tmp_path / "to"
    {"octa500": octa500, "folder": own_folder}.get(name, lambda r: rose(r, subset))(raw)
    where = [] if subset is None else ["--subset", subset]
    assert prepare(name, "--from", raw, "--to", to, *where) == 0
    assert "unreadable cases: 0" in capsys.readouterr().out
    chosen = {} if subset is None else {"subset": subset}
    direct = load_run_data(section(name=name, root=raw, **chosen))
    prepared = load_run_data(section(name="prepared", root=to))
    assert_same(direct, prepared)
    # Every mask that the raw folder lacks is reported.
    report = json.loads(next(to.rglob("report.json")).read_text())
    without = report["splits"]["train"]["faz"]["missing"]
    assert sorted(without) == sorted(
        case for case, has in zip(direct.train.ids, direct.train.has_faz, strict=True) if not has
    )


@pytest.mark.parametrize("kind", ["12 bits", "pixels twice as high as wide", "float"])
@pytest.mark.parametrize("slab", [None, "whole,deep"])
def test_images_that_16_bits_cannot_hold(tmp_path, kind, slab):
    rng = np.random.default_rng(0)
    for i in range(20):
        for folder in slab.split(",") if slab else ("",):
            path = tmp_path / "raw/images" / folder / f"eye{i}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "12 bits":
                write_bits(path, rng.integers(0, 4096, (32, 32), np.uint16), 12)
            elif kind == "float":
                tifffile.imwrite(path, rng.uniform(size=(32, 32)).astype(np.float32))
            else:
                write = {"resolution": (1000, 500), "resolutionunit": "CENTIMETER"}
                tifffile.imwrite(path, rng.integers(0, 256, (16, 32), np.uint8), **write)
        rows = 16 if kind.startswith("pixels") else 32
        put(tmp_path / "raw/masks", f"eye{i}_rv", mask(i).astype(np.uint8)[:rows])
    more = ["--slab", slab] if slab else []
    assert prepare("folder", "--from", tmp_path / "raw", "--to", tmp_path / "to", *more) == 0
    chosen = {"slab": slab} if slab else {}
    direct = load_run_data(section(name="folder", root=tmp_path / "raw", **chosen))
    assert direct.train.images.dtype == np.float32
    if kind == "12 bits":
        levels = direct.train.images * 4095
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
        assert (np.rint(levels) % 2).any()  # all 12 bits
    assert_same(direct, load_run_data(section(name="prepared", root=tmp_path / "to")))


def test_every_subset_and_slab_is_a_configuration():
    names = {name: set(builder_class(one).builder_configs) for name, one in DATA_SETS.items()}
    assert names["octa500"] >= {"3m", "6m", "3m_full"}
    assert names["rose"] >= {*"12OZH", "1_SVC_DVC"}
    assert names["folder"] == {"default"}


def test_another_slab(tmp_path):
    octa500(tmp_path / "raw")
    arguments = ("octa500", "--from", tmp_path / "raw", "--to", tmp_path / "to", "--subset", "3M")
    assert prepare(*arguments, "--slab", "FULL") == 0
    assert (tmp_path / "to/octa500/3m_full").is_dir()


def test_two_slabs_are_not_the_one_that_shows_both(tmp_path):
    folder = tmp_path / "raw/ROSE-1"
    for slab in ("SVC", "DVC", "SVC_DVC"):
        for split, numbers in (("train", range(4)), ("test", range(4, 6))):
            for number in numbers:
                put(folder / slab / split / "img", number, picture(number))
                put_mask(folder / slab / split / "gt", number, number)
    arguments = ("rose", "--from", tmp_path / "raw", "--to", tmp_path / "to", "--subset", "1")
    for slab in ("SVC_DVC", "SVC,DVC"):
        assert prepare(*arguments, "--slab", slab) == 0
    assert {path.name for path in tmp_path.glob("to/rose/1*")} == {"1_SVC_DVC", "1_SVC+DVC"}
    data = section(name="prepared", root=tmp_path / "to/rose/1_SVC+DVC")
    assert load_run_data(data).slabs == ("SVC", "DVC")


def test_a_finished_data_set_is_not_written_again(tmp_path, capsys):
    own_folder(tmp_path / "raw")
    arguments = ("folder", "--from", tmp_path / "raw", "--to", tmp_path / "to")
    assert prepare(*arguments) == 0
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*array_record*")}
    assert times
    assert prepare(*arguments) == 0
    assert "was not written again" in capsys.readouterr().out
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*array_record*")}
    report = (tmp_path / "to/folder/default/1.0.0/report.md").read_bytes()
    # A mask that was turned covers as many pixels as before.
    put(tmp_path / "raw/faz", "eye0", np.rot90(mask(0)).astype(np.uint8))
    assert_refused(prepare(*arguments), capsys.readouterr().err, "prepared from other cases")
    assert report == (tmp_path / "to/folder/default/1.0.0/report.md").read_bytes()


def test_synthetic_eyes(tmp_path):
    assert prepare("synthetic", "--to", tmp_path, "--size", 64, "--train", 2, "--val", 1,
                   "--test", 0, "--field", 3, 6) == 0  # fmt: skip
    data = section(name="prepared", root=tmp_path)
    data.size = 64
    dataset = load_run_data(data)
    assert dataset.train.has_rv.all() and dataset.train.has_faz.all()
    assert (len(dataset.train), len(dataset.val)) == (2, 1)


@pytest.mark.parametrize(
    ("stop", "where"),
    [
        (signal.SIGTERM, "to/folder/default/incomplete*"),  # while the data set is written
        (signal.SIGKILL, "to/folder/.partial-default/*/eye30.example"),  # while cases are read
    ],
)
def test_a_stopped_run_is_resumed(tmp_path, capsys, forks, stop, where):
    for i in range(400):
        put(tmp_path / "raw/images", f"eye{i}", picture(i))
        put_mask(tmp_path / "raw/faz", f"eye{i}", i)
    command = ["-m", "s2a_jax", "prepare", "folder", "--from", tmp_path / "raw",
               "--to", tmp_path / "to"]  # fmt: skip
    for _ in range(5):  # on a busy machine it may finish before the signal
        started = forks.start(command)
        while not started.have_ended() and not list(tmp_path.glob(where)):
            time.sleep(0.002)
        started.signal(stop)
        (stopped,) = started.wait()
        if stopped.returncode:
            break
        shutil.rmtree(tmp_path / "to")
    assert stopped.returncode == (128 + stop if stop == signal.SIGTERM else -stop)
    assert not list(tmp_path.glob("to/folder/default/*"))
    kept = list(tmp_path.glob("to/folder/.partial-default/*/[!.]*.example"))
    kept[0].write_bytes(b"damaged")
    changed = tmp_path / "raw/images" / f"{kept[1].stem}.png"
    put(changed.parent, changed.stem, 255 - picture(1000))
    assert prepare("folder", "--from", tmp_path / "raw", "--to", tmp_path / "to") == 0
    assert f"had read {len(kept) - 2} of 400 cases" in capsys.readouterr().err
    assert {path.name for path in tmp_path.glob("to/folder/*")} == {"default", ".config"}
    direct = load_run_data(section(name="folder", root=tmp_path / "raw"))
    assert_same(direct, load_run_data(section(name="prepared", root=tmp_path / "to")))


def test_duplicates_across_splits(tmp_path):
    eyes = [synthesize_eye((1, i), EyeParameters(size=64)) for i in range(6)]
    for split, numbers in (("train", (0, 1, 2, 3)), ("val", (4,)), ("test", (5, 0, 1))):
        for number in numbers:
            eye = eyes[number]
            image = eye.image.copy()
            if (split, number) == ("test", 1):  # not the same pixels, but the same eye
                image = np.clip(image.astype(int) + 3, 0, 255).astype(np.uint8)
            put(tmp_path / "raw" / split / "images", f"{split}{number}", image)
            both = np.where(eye.rv, 255, np.where(eye.faz, 100, 0)).astype(np.uint8)
            put(tmp_path / "raw" / split / "masks", f"{split}{number}", both)
    assert prepare("folder", "--from", tmp_path / "raw", "--to", tmp_path / "to") == 0
    found = json.loads(next(tmp_path.rglob("report.json")).read_text())["duplicates"]
    assert found == {"exact": [["train/train0", "test/test0"]],
                     "near": [["train/train1", "test/test1"]]}  # fmt: skip


def test_unreadable_files_are_all_named(tmp_path, capsys):
    own_folder(tmp_path / "raw")
    bad = [tmp_path / "raw/images/eye3.png", tmp_path / "raw/faz/eye5.png"]
    for path in bad:
        path.write_bytes(path.read_bytes()[:60])
    arguments = ("folder", "--from", tmp_path / "raw", "--to", tmp_path / "to")
    assert prepare(*arguments) == 2
    error = capsys.readouterr().err
    assert all(str(path) in error for path in bad)
    assert not list(tmp_path.glob("to/**/*.json"))
    assert prepare(*arguments, "--skip-unreadable") == 0
    assert "unreadable cases: 2" in capsys.readouterr().out
    assert len(load_run_data(section(name="prepared", root=tmp_path / "to")).train) < 20


def test_dangling_links_are_named(tmp_path, capsys):
    own_folder(tmp_path / "raw")
    bad = [tmp_path / "raw/images/eye3.png", tmp_path / "raw/faz/eye5.png"]
    for path in bad:
        path.unlink()
        path.symlink_to(tmp_path / "nothing.png")
    arguments = ("folder", "--from", tmp_path / "raw", "--to", tmp_path / "to")
    assert prepare(*arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error and all(str(path) in error for path in bad)
    assert prepare(*arguments, "--skip-unreadable") == 0


@pytest.mark.parametrize("file", ["to/folder/.partial-default", "to/folder"])
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, capsys, file):
    own_folder(tmp_path / "raw")
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("")
    code = prepare("folder", "--from", tmp_path / "raw", "--to", tmp_path / "to",
                   "--skip-unreadable")  # fmt: skip
    assert_refused(code, capsys.readouterr().err, "--to: cannot write below")
    assert (tmp_path / file).read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("octa500", "--subset", "3M"), "--from is missing"),
        (("octa500", "--from", "RAW", "--subset", "4M"), "has 3M, 6M"),
        (("octa500", "--from", "RAW", "--subset", "3M", "--slab", "WRCC"), "ILM_OPL"),
        (("folder", "--from", "RAW", "--subset", "3M"), "--subset='3M': folder has no subsets"),
        (("folder", "--from", "/nowhere"), "does not exist"),
        (("synthetic", "--from", "RAW"), "leave it out"),
        (("synthetic", "--size", "8"), "--size=8: expected 64"),
        (("synthetic", "--field", "6", "3"), "--field=6 3: expected 2 to 6.5 mm"),
        (("synthetic", "--field", "3", "6.6"), "--field=3 6.6: expected 2 to 6.5 mm"),
        (("synthetic", "--val", "0"), "--val=0: expected 1 to 1,000,000"),
    ],
)
def test_wrong_arguments(tmp_path, arguments, words, capsys):
    arguments = [str(tmp_path) if part == "RAW" else part for part in arguments]
    assert prepare(*arguments, "--to", tmp_path / "to") == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json", "*train.array_record*"])
def test_a_damaged_data_set_is_named(tmp_path, file):
    own_folder(tmp_path / "raw")
    assert prepare("folder", "--from", tmp_path / "raw", "--to", tmp_path / "to") == 0
    path = next((tmp_path / "to").rglob(file))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=rf"{path.parent} cannot be read .* prepare it again\."):
        load_run_data(section(name="prepared", root=tmp_path / "to"))


def test_an_error_in_our_own_code_is_not_taken_for_damage(tmp_path, monkeypatch):
    own_folder(tmp_path / "raw")
    assert prepare("folder", "--from", tmp_path / "raw", "--to", tmp_path / "to") == 0
    monkeypatch.setattr("s2a_jax.data.prepared.load.case_of", lambda example: example["typo"])
    with pytest.raises(KeyError, match="typo"):
        load_run_data(section(name="prepared", root=tmp_path / "to"))


def test_a_folder_without_a_prepared_data_set_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="python -m s2a_jax prepare"):
        load_run_data(section(name="prepared", root=tmp_path / "empty"))
