"""Synthetic eyes: labels as graders draw them, the deep slab as an image, and exported images."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.morphology import skeletonize

from s2a_jax.config.load import load_config
from s2a_jax.data.load import load_run_data
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.data.synthesis.export import exported
from s2a_jax.data.synthetic import eye_recipe, is_deep
from s2a_jax.data.synthetic_source import EyeSource
from s2a_jax.errors import UserError

WIDE = EyeParameters(size=400, field_mm=6.0, motion_shifts=0.0)
PLAIN = dataclasses.replace(WIDE, resampling_probability=0.0, jpeg_probability=0.0)


@pytest.fixture(scope="module")
def wide():
    return synthesize_eye(11, PLAIN)


def test_labels_in_coarse_pixels_are_wider_by_what_graders_add(wide):
    # 1.6 um for each of the 2.6 mm beyond 3.4: 4.16 um on either side, of pixels of 15 um.
    assert PLAIN.widening_um == pytest.approx(4.16)
    assert dataclasses.replace(PLAIN, field_mm=3.0).widening_um == 0
    narrow = synthesize_eye(11, dataclasses.replace(PLAIN, label_widening_um=0.0))
    np.testing.assert_array_equal(narrow.image, wide.image)  # a label rule draws nothing
    length = np.sum(skeletonize(narrow.rv))
    added_um = 15 * (wide.rv.sum() - narrow.rv.sum()) / length / 2
    # Pixels on the diagonal are counted as one, so the length is too short by up to 1.41.
    assert 4.16 < added_um < 1.41 * 4.16


def test_the_faz_reaches_the_middle_of_the_innermost_capillaries(wide):
    tight = synthesize_eye(11, dataclasses.replace(PLAIN, faz_label_um=0.0)).faz
    grown = synthesize_eye(11, dataclasses.replace(PLAIN, faz_label_um=30.0)).faz
    assert np.all(grown[tight])
    # 30 um are two pixels.
    ring = ndimage.binary_dilation(tight, iterations=3) & ~tight
    assert not np.any(grown & ~tight & ~ring)
    assert np.sum(grown & ~tight) == pytest.approx(np.sum(ring) * 2 / 3, rel=0.35)
    assert tight.sum() < wide.faz.sum() < grown.sum()


def test_the_deep_avascular_zone_ends_where_the_deep_plexus_is_half_complete():
    ratios, profiles = [], []
    for seed in range(6):
        eye = synthesize_eye((12, seed), dataclasses.replace(PLAIN, size=256, field_mm=3.0))
        assert np.all(eye.deep_faz[eye.faz])
        ratios.append(eye.deep_faz.sum() / eye.faz.sum())
        beyond = ndimage.distance_transform_edt(~eye.deep_faz)
        beyond -= ndimage.distance_transform_edt(eye.deep_faz)
        dark = eye.deep[beyond < -6].mean()  # more than 70 um inside
        bright = eye.deep[(beyond > 20) & (beyond < 40)].mean()
        edge = eye.deep[np.abs(beyond) <= 1].mean()
        profiles.append((edge - dark) / (bright - dark))
    assert 1.2 < np.mean(ratios) < 3.5
    assert 0.3 < np.mean(profiles) < 0.7


def test_exported_images_were_smaller_or_a_jpeg_in_between(wide):
    def once(**changes):
        return exported(
            np.random.default_rng(3), (wide.image, wide.deep), dataclasses.replace(PLAIN, **changes)
        )

    for untouched, image in zip(once(), (wide.image, wide.deep), strict=True):
        np.testing.assert_array_equal(untouched, image)

    rng = np.random.default_rng(3)
    rng.uniform(), rng.uniform(), rng.uniform()
    quality = int(rng.integers(*PLAIN.jpeg_quality))
    for jpeg, image in zip(once(jpeg_probability=1.0), (wide.image, wide.deep), strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        np.testing.assert_array_equal(jpeg, np.asarray(Image.open(file)))

    small = once(resampling_probability=1.0, resampling=(0.5, 0.5))[0].astype(float)
    assert small.shape == wide.image.shape
    assert small.mean() == pytest.approx(wide.image.mean(), rel=0.02)
    # Half the pixels cannot show the finest detail: neighbours become alike.
    change = [np.abs(np.diff(x.astype(float))).mean() for x in (small, wide.image)]
    assert change[0] < 0.6 * change[1]


def _section(tmp_path, **changes):
    config = load_config("default").data
    config.update({"name": "synthetic", "size": 64})
    config.synthetic.update({"root": str(tmp_path), "train": 6, "val": 2, "test": 1, **changes})
    return config


def test_a_share_of_the_training_eyes_is_shown_as_the_deep_slab(tmp_path):
    data = load_run_data(_section(tmp_path, deep_share=0.5))
    chosen = [is_deep(0, (0, number), 0.5) for number in range(6)]
    assert 0 < sum(chosen) < 6
    np.testing.assert_array_equal(data.train.has_rv, ~np.array(chosen))
    assert data.train.has_faz.all()
    assert data.val.has_rv.all()
    assert not is_deep(0, (1, 0), 1.0)  # a validation eye
    source = EyeSource(6, 64, 0, (3.0, 3.0), deep_share=0.5)
    for number, deep in enumerate(chosen):
        seed, parameters = eye_recipe(0, 64, (3.0, 3.0), (0, number))
        eye = synthesize_eye(seed, parameters)
        streamed = source.case(number, 0, eye)
        for row in (data.train.row(number), streamed.row(0)):
            np.testing.assert_array_equal(row.image, eye.deep if deep else eye.image)
            np.testing.assert_array_equal(row.faz > 0, eye.deep_faz if deep else eye.faz)
        assert streamed.has_rv[0] == (not deep)
    (folder,) = Path(tmp_path).iterdir()
    assert folder.name.endswith("-deep0.5")


@pytest.mark.parametrize(
    "changes", [{"deep_share": 1.5}, {"deep_share": -0.1}], ids=["above", "below"]
)
def test_a_share_that_is_none_is_refused(tmp_path, changes):
    with pytest.raises(UserError, match=r"deep_share=.*expected a share in \[0, 1\]"):
        load_run_data(_section(tmp_path, **changes))


def test_other_slabs_cannot_be_replaced_by_the_deep_one(tmp_path):
    config = _section(tmp_path, deep_share=0.2)
    config.slab = "superficial,deep"
    with pytest.raises(UserError, match=r"deep_share=0\.2"):
        load_run_data(config)
