"""The protocol `s2anet` from files to tables: sizes, thresholds and pixel pitch."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from s2a_jax.cli import run as main
from s2a_jax.inference.pieces import Computed
from s2a_jax.inference.scale import scale_for
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.images import to_unit_float
from s2a_jax.inputs.pitch import resized_pitch

SIDE = 320
SEEN = []  # shapes of the images that the network saw


def weights(old):
    """Weights that resize `old` pixels to 320: triangles two new pixels wide."""
    scale = old / SIDE
    centres = (np.arange(SIDE)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centres) / max(scale, 1)
    found = np.maximum(0, 1 - distance)
    return found / found.sum(axis=1, keepdims=True)


def at_320(pixels):
    return weights(pixels.shape[0]) @ pixels.astype(float) @ weights(pixels.shape[1]).T


def smooth(rng, shape):
    return 7 * ndimage.gaussian_filter(rng.normal(size=shape), 4)


def make_eye(folder, name, shape, seed):
    """Writes and returns an image with many pixels of 128 and 129, and both masks."""
    rng = np.random.default_rng(seed)
    image = np.clip(128.5 + 60 * smooth(rng, shape), 0, 255).astype(np.uint8)
    image[20:80, 20:80], image[100:160, 20:80] = 128, 129
    masks = [smooth(rng, shape) > 0.5 for _ in range(2)]
    masks[0][10:90, 10:90] = True  # so that the two levels matter
    for path, pixels in (
        (f"images/{name}", image),
        *((f"masks/{name}_{task}", mask.astype(np.uint8) * 255)
          for task, mask in zip(("rv", "faz"), masks, strict=True)),
    ):  # fmt: skip
        path = folder / f"{path}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return image, *masks


def levels_of(_, image, **__):
    """Replaces the network: the image on 256 levels is the probability."""
    SEEN.append(image.shape)
    level = np.rint(to_unit_float(image) * 255).astype(np.float32)
    maps = dict.fromkeys(("rv", "faz"), level / np.float32(255))
    return Computed(maps, maps, None, None, scale_for(image.shape, None, None))


def dice(predicted, true):
    return 2 * (predicted & true).sum() / (predicted.sum() + true.sum())


def test_s2anet_from_files_to_numbers(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Segmenter, "compute", levels_of)
    SEEN.clear()
    data, out = tmp_path / "eyes", tmp_path / "out"
    for split in ("train", "val"):
        make_eye(data / split, split, (64, 64), 9)
    square = make_eye(data / "test", "a", (400, 400), 0)
    make_eye(data / "test", "b", (400, 200), 1)
    flags = ["--protocol", "s2anet", "--um-per-px", "10", "--weights", "sim_to_real"]
    flags += ["--data", str(data), "--out", str(out)]
    assert main(["evaluate", *flags]) == 0
    printed = capsys.readouterr().out
    assert SEEN == [(SIDE, SIDE)] * 2
    note = "1 of 2 images are not square and were stretched to 320x320 px: they get no values"
    assert note in printed.replace("\n", " ")
    with (out / "test.csv").open() as file:
        rows = list(csv.DictReader(file))

    predicted = np.rint(at_320(square[0])) > 128
    for task, mask in zip(("rv", "faz"), square[1:], strict=True):
        true = at_320(mask) >= 0.5
        found = float(rows[0][f"{task}_dice"])
        # A few pixels lie halfway between two levels; rounding decides.
        assert found == pytest.approx(dice(predicted, true), abs=1e-4)
        nearest = mask[np.ix_(*[np.arange(SIDE) * 5 // 4] * 2)]
        assert abs(found - dice(predicted, nearest)) > 3e-4
        assert rows[1][f"{task}_dice"] and not rows[1][f"{task}_hd95_um"]
        for name in ("hd95", "assd"):
            px, um = (float(rows[0][f"{task}_{name}_{unit}"]) for unit in ("px", "um"))
            assert um == pytest.approx(12.5 * px, abs=1e-4) and px > 0
    # 128 is negative, 129 is positive.
    assert not predicted[20:60, 20:60].any() and predicted[84:124, 20:60].all()

    result = json.loads((out / "test.json").read_text())
    assert any(note in one for one in result["notes"])
    area = result["biomarkers"]["vessel_density"]
    assert area["ids"] == ["a"]
    assert area["true"] == [pytest.approx((at_320(square[1]) >= 0.5).mean(), abs=1e-4)]
    assert area["predicted"] == [pytest.approx(predicted.mean(), abs=1e-4)]
    assert result["biomarkers"]["perimeter_index_per_mm"]["true"][0] == pytest.approx(
        result["biomarkers"]["perimeter_index_per_px"]["true"][0] / 0.0125
    )


def test_pixels_that_are_not_square_have_no_pitch():
    assert resized_pitch(10.0, (400, 200), (SIDE, SIDE)) is None
    assert resized_pitch(10.0, (400, 200), (400, 200)) == 10.0
    assert resized_pitch(10.0, (400, 400), (SIDE, SIDE)) == pytest.approx(12.5)
    assert resized_pitch(10.0, (400, 398), (SIDE, SIDE)) == pytest.approx(12.5, rel=0.005)
    assert resized_pitch(10.0, (400, 390), (SIDE, SIDE)) is None  # 2.5 %
    assert resized_pitch(None, (400, 400), (SIDE, SIDE)) is None
