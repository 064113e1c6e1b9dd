"""Pixel pitch of a case: a run and the evaluate command get the same one."""

import numpy as np
import pytest
from PIL import Image

from s2a_jax.cli import run as main
from s2a_jax.config.load import load_config
from s2a_jax.data.load import load_run_data
from s2a_jax.data.prepared.load import find_prepared, prepared_origin
from s2a_jax.data.selection import select_cases
from s2a_jax.data.synthetic import eye_recipe
from s2a_jax.inputs.slabs import SlabError


def section(**values):
    data = load_config("default").data
    data.update({k: v if isinstance(v, int) else str(v) for k, v in values.items()})
    return data


def test_synthetic_eyes_of_several_fields(tmp_path):
    flags = "--size 64 --seed 3 --field 2 6 --train 1 --val 1 --test 2".split()
    assert main(["prepare", "synthetic", "--to", str(tmp_path), *flags]) == 0
    (raw,) = (tmp_path / "eyes").iterdir()
    (prepared,) = (path for path in tmp_path.iterdir() if path.name == raw.name)
    made = section(name="synthetic", size=64)
    made.synthetic.update({"root": str(tmp_path / "eyes"), "seed": 3, "field_mm": (2.0, 6.0)})
    made.synthetic.update({"train": 1, "val": 1, "test": 2})
    fields = [eye_recipe(3, 64, (2.0, 6.0), (2, number))[1].field_mm for number in (0, 1)]
    assert fields[0] != fields[1]
    expected = pytest.approx([1000 * field / 64 for field in fields])
    for root in (raw, prepared):
        assert select_cases(root, "test").um_per_px == expected
    read = (section(name=name, root=root, size=64)
            for name, root in (("prepared", prepared), ("folder", raw)))  # fmt: skip
    trained = eye_recipe(3, 64, (2.0, 6.0), (0, 0))[1].field_mm
    for config in (made, *read):
        dataset = load_run_data(config)
        assert dataset.pitches_um == pytest.approx([1000 * trained / 64] * 2)
        pitch = dataset.pitch
        assert [pitch(f"test000{number}", (64, 64)) for number in (0, 1)] == expected
    unnamed = raw.rename(tmp_path / "unnamed")
    assert select_cases(unnamed, "test").um_per_px == (None, None)


def test_prepared_octa500_and_its_slab(tmp_path):
    mask = np.zeros((304, 304), np.uint8)
    mask[50:60] = 255
    for number in (10301, 10302, 10441, 10451):
        for folder in ("OCTA_3mm/Projection Maps/OCTA(FULL)", "Label/GT_LargeVessel"):
            path = tmp_path / "raw" / folder / f"{number}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(path)
    flags = ["--from", str(tmp_path / "raw"), "--to", str(tmp_path / "to"), "--subset", "3M"]
    assert main(["prepare", "octa500", *flags, "--slab", "FULL"]) == 0
    data = section(name="prepared", root=tmp_path / "to", size=304)
    assert prepared_origin(find_prepared(tmp_path / "to")) == ("octa500", "3M")
    dataset = load_run_data(data)
    assert dataset.slab == "FULL"
    assert dataset.pitches_um == (3000 / 304,) * 2 and dataset.trained_tasks() == ("rv",)
    data.size = 320  # the network sees resized pixels
    assert load_run_data(data).pitches_um == pytest.approx([3000 / 320] * 2)
    selection = select_cases(tmp_path / "to", "test", slab="FULL")
    assert selection.um_per_px == (dataset.pitch("10451", (304, 304)),) == (3000 / 304,)
    alike = select_cases(tmp_path / "to", "test", slab="whole", takes_own_names=True)
    assert alike.ids == selection.ids and "FULL of this data set stands for whole." in alike.notes
    with pytest.raises(SlabError, match="prepared with FULL, not OPL_BM"):
        select_cases(tmp_path / "to", "test", slab="OPL_BM")


def split_folders(root, stems, side):
    """Two train cases, one val and one test case of `side` pixels; masks of a few rows."""
    mask = np.zeros((side, side), np.uint8)
    mask[5:9] = 255
    for split, names in (("train", stems[:2]), ("val", stems[2:3]), ("test", stems[3:])):
        for folder in ("image", "label"):
            (root / split / folder).mkdir(parents=True, exist_ok=True)
            for name in names:
                Image.fromarray(mask).save(root / split / folder / f"{name}.png")
    return root


IDS_3M, IDS_6M, OWN = (
    ("10301", "10302", "10441", "10500"),
    ("10001", "10002", "10181", "10300"),
    "abcd",
)


@pytest.mark.parametrize(
    ("folder", "stems", "side", "expected"),
    [
        ("mine", IDS_3M, 304, 3000 / 304),
        ("mine", IDS_6M, 400, 6000 / 400),
        ("OCTA500_3M", OWN, 304, 3000 / 304),
        ("OCTA_6mm", OWN, 400, 6000 / 400),
        ("OCTA500_6M", IDS_3M, 304, 3000 / 304),  # an id says more than the folder's name
        ("mine", OWN, 304, None),  # the size alone says nothing
        ("mine", OWN, 400, None),
        ("mine", ("10501", "10502", "9999", "20301"), 304, None),
        ("mine", IDS_3M, 400, None),  # resized
        ("mine", IDS_6M, 304, None),
        ("OCTA500_3M", OWN, 320, None),
    ],
)
def test_octa500_is_known_by_ids_or_the_folder_and_not_by_its_size(
    tmp_path, folder, stems, side, expected
):
    home = split_folders(tmp_path / "data" / folder, stems, side)
    expected = None if expected is None else pytest.approx(expected)
    for root in (home, tmp_path / "data"):
        assert select_cases(root, "test").um_per_px == (expected,)
    assert select_cases(home / "test", "test").um_per_px == (expected,)
    subset = "6M" if folder.endswith(("6M", "6mm")) or stems == IDS_6M else "3M"
    assert select_cases(home, "test", "octa500", subset).um_per_px == (expected,)
    for name in ("octa500", "folder"):
        pitch = load_run_data(section(name=name, root=home, subset=subset, size=64)).pitch
        assert pitch(stems[3], (side, side)) == expected
        assert pitch(stems[3], (side, side - 1)) is None


def test_a_prepared_copy_is_known_by_its_ids_alone(tmp_path):
    for name, stems in (("ids", IDS_3M), ("own", OWN)):
        raw = split_folders(tmp_path / name, stems, 304)
        flags = ["--from", str(raw), "--to", str(tmp_path / "to" / name), "--subset", "3M"]
        assert main(["prepare", "octa500", *flags]) == 0
        known = pytest.approx(3000 / 304) if name == "ids" else None
        assert select_cases(tmp_path / "to" / name, "test").um_per_px == (known,)
