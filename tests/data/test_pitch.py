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
    for config in (made, *read):
        pitch = load_run_data(config).pitch
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
    selection = select_cases(tmp_path / "to", "test", slab="FULL")
    assert selection.um_per_px == (dataset.pitch("10451", (304, 304)),) == (3000 / 304,)
    alike = select_cases(tmp_path / "to", "test", slab="whole", takes_own_names=True)
    assert alike.ids == selection.ids and "FULL of this data set stands for whole." in alike.notes
    with pytest.raises(SlabError, match="prepared with FULL, not OPL_BM"):
        select_cases(tmp_path / "to", "test", slab="OPL_BM")
