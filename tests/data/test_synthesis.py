"""Synthetic eyes: reproducible, labelled as documented, and similar to real scans."""

import collections
import dataclasses
import os
import shutil

import numpy as np
import pytest
from scipy import ndimage

from s2a_jax.config.load import load_config
from s2a_jax.data import synthetic
from s2a_jax.data.load import load_run_data
from s2a_jax.data.synthesis import EyeParameters, stream_eyes, synthesize_eye
from s2a_jax.data.synthesis.faz import draw_faz
from s2a_jax.data.synthesis.vessels import grow_vessels
from s2a_jax.data.synthetic import FIELD_MM, make_set
from s2a_jax.errors import UserError

SMALL = EyeParameters(size=128)


@pytest.fixture(scope="module")
def eyes():
    """Eight eyes at the native size."""
    return [synthesize_eye((7, index)) for index in range(8)]


def test_same_seed_same_eye_and_global_random_state_untouched():
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    first, second = synthesize_eye(5, SMALL), synthesize_eye(5, SMALL)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    for field in dataclasses.fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))


def test_different_seeds_differ():
    first, second = synthesize_eye((5, 0), SMALL), synthesize_eye((5, 1), SMALL)
    assert np.mean(first.image != second.image) > 0.9
    assert np.any(first.rv != second.rv)
    assert np.any(first.faz != second.faz)


@pytest.mark.parametrize("size", [128, 304])
def test_types_and_shapes(size):
    eye = synthesize_eye(0, EyeParameters(size=size))
    assert eye.image.dtype == np.uint8
    assert eye.rv.dtype == eye.faz.dtype == bool
    assert eye.image.shape == eye.rv.shape == eye.faz.shape == (size, size)


def test_masks_are_disjoint_and_faz_is_one_region(eyes):
    for eye in eyes:
        assert not np.any(eye.rv & eye.faz)
        assert ndimage.label(eye.faz)[1] == 1


def test_vessel_share(eyes):
    shares = [eye.rv.mean() for eye in eyes]
    assert min(shares) > 0.03
    assert max(shares) < 0.13
    assert 0.05 < np.mean(shares) < 0.10


def test_faz_area_in_range(eyes):
    smallest, largest = EyeParameters().faz_area_clip_mm2
    slack = 0.002  # mm^2, about 20 px: rounding, and pixels that vessels or saccades cut off
    for eye in eyes:
        assert smallest - slack < eye.faz.mean() * 3.0**2 < largest + slack


def test_faz_follows_the_drawn_area():
    parameters = EyeParameters(
        size=128, faz_area_mean_mm2=0.5, faz_area_sd_mm2=0.0, faz_label_um=0.0
    )
    assert synthesize_eye(1, parameters).faz.mean() * 9 == pytest.approx(0.5, rel=0.05)


def test_contrast(eyes):
    for eye in eyes:
        ring = ndimage.binary_dilation(eye.faz, iterations=25) & ~eye.faz & ~eye.rv
        assert eye.image[eye.faz].mean() < 0.6 * eye.image[ring].mean()
        assert eye.image[eye.rv].mean() > 1.4 * eye.image[~eye.rv & ~eye.faz].mean()


def test_labelled_vessels_are_no_thinner_than_the_cut(eyes):
    # 2 x 9.5 um are about two pixels: nearly every labelled pixel lies in a labelled 2x2 block.
    for eye in eyes:
        blocks = ndimage.binary_opening(eye.rv, np.ones((2, 2)))
        assert blocks.sum() > 0.85 * eye.rv.sum()


def test_higher_cut_labels_fewer_vessels():
    thick = synthesize_eye(2, dataclasses.replace(SMALL, label_radius_um=14.0))
    every = synthesize_eye(2, SMALL)
    np.testing.assert_array_equal(thick.image, every.image)
    assert not np.any(thick.rv & ~every.rv)
    assert 0 < thick.rv.sum() < every.rv.sum()


def test_trees_taper_and_stay_out_of_the_faz():
    parameters = EyeParameters()
    rng = np.random.default_rng(0)
    faz = draw_faz(rng, parameters)
    trees = grow_vessels(rng, faz, parameters)
    assert faz.level(trees.end).min() > 1.0
    assert {True, False} == set(trees.artery.tolist())
    assert trees.radius_um.min() > 2.0
    assert trees.radius_um.max() < 80.0


def test_murrays_law_holds_at_branchings():
    k, ratio = 2.9, 1.15
    parameters = EyeParameters(
        murray_exponent=(k, k), tree_radius_sd=0, vein_to_artery=ratio, arcade_end_radius_um=(0, 0)
    )
    rng = np.random.default_rng(1)
    trees = grow_vessels(rng, draw_faz(rng, parameters), parameters)
    children = collections.defaultdict(list)
    for child, start in enumerate(trees.start):
        children[start.tobytes()].append(child)
    branchings = 0
    for parent, end in enumerate(trees.end):
        found = children[end.tobytes()]
        if len(found) == 2:
            branchings += 1
            assert (trees.artery[found] == trees.artery[parent]).all()
            # Besides its branches a segment feeds its own bed, as much as a tip does.
            tip = parameters.tip_radius_um * ratio ** (-0.5 if trees.artery[parent] else 0.5)
            expected = np.sum(trees.radius_um[found] ** k) + tip**k
            assert trees.radius_um[parent] ** k == pytest.approx(expected, rel=1e-9)
    assert branchings > 200


def test_fields_reach_as_far_as_vessels_grow():
    parameters = EyeParameters()
    assert FIELD_MM[1] == parameters.macula_mm + 2 * parameters.margin_mm
    data = load_config("default").data
    data.update({"name": "synthetic", "size": 64})
    data.synthetic.field_mm = (3.0, 6.6)
    with pytest.raises(UserError, match=r"synthetic\.field_mm=3 6\.6: expected 2 to 6\.5 mm"):
        load_run_data(data)


def test_labels_agree_with_each_other(eyes):
    for eye in eyes:
        np.testing.assert_array_equal(eye.vessel_class > 0, eye.rv)
        assert {1, 2} <= set(np.unique(eye.vessel_class))
        assert np.mean(eye.rv[eye.centreline]) > 0.97
        # Every labelled pixel is near an axis: no farther than the widest vessel's radius.
        # (At the border the axis may lie outside.)
        far = ndimage.distance_transform_edt(~eye.centreline)
        far = (far * eye.rv)[20:-20, 20:-20]
        assert far.max() < 2 + eye.radius_um.max() / (3000 / 304)
        assert eye.radius_um[eye.centreline].min() >= EyeParameters().label_radius_um
        assert not eye.capillaries[eye.faz].mean() > 0.1


def test_a_wider_field_shows_more_of_the_same_eye():
    # 6 mm at 256 px has the pitch of 3 mm at 128 px, so with the same smallest labelled radius its
    # middle shows the same vessels.
    same = dataclasses.replace(SMALL, motion_shifts=0.0, label_field_power=0, label_widening_um=0.0)
    near = synthesize_eye(4, same)
    wide = synthesize_eye(4, dataclasses.replace(same, size=256, field_mm=6.0))
    middle = wide.rv[64:192, 64:192]
    assert 2 * np.sum(middle & near.rv) / (middle.sum() + near.rv.sum()) > 0.95


def test_deep_slab_shows_a_larger_avascular_zone(eyes):
    for eye in eyes:
        ring = ndimage.binary_dilation(eye.faz, iterations=3) & ~eye.faz & ~eye.rv
        far = ndimage.binary_dilation(eye.faz, iterations=60) & ~eye.rv
        far &= ~ndimage.binary_dilation(eye.faz, iterations=45)
        assert eye.deep[ring].mean() < 0.8 * eye.deep[far].mean()


def test_stream_continues_with_any_number_of_processes():
    first = stream_eyes(3, SMALL, processes=0)
    for _ in range(2):
        next(first)
    third = next(first)
    other = stream_eyes(3, SMALL, start=2, processes=1)
    np.testing.assert_array_equal(next(other).image, third.image)
    other.close()


SECTION = {
    "root": None, "seed": 0, "field_mm": (3.0, 3.0), "stream": False, "deep_share": 0.0,
    "train": 1, "val": 1, "test": 0,
}  # fmt: skip


def test_a_set_can_be_read_by_all_whom_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        folder = make_set(SECTION | {"root": tmp_path}, 64)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_two_processes_that_make_one_set(tmp_path, monkeypatch):
    """The slower one takes the other's set, but a signal stops it even then."""
    folder, write = make_set(SECTION | {"root": tmp_path / "whole"}, 64), synthetic._write_eye
    theirs = tmp_path / "raced" / folder.name

    def be_slower(*eye):
        write(*eye)
        theirs.mkdir(exist_ok=True)
        (theirs / "made").touch()

    monkeypatch.setattr(synthetic, "_write_eye", be_slower)
    assert make_set(SECTION | {"root": tmp_path / "raced"}, 64) == theirs
    assert [path.name for path in theirs.iterdir()] == ["made"]
    assert list(theirs.parent.iterdir()) == [theirs]

    def be_stopped(*eye):
        be_slower(*eye)
        raise KeyboardInterrupt

    shutil.rmtree(theirs)
    monkeypatch.setattr(synthetic, "_write_eye", be_stopped)
    with pytest.raises(KeyboardInterrupt):
        make_set(SECTION | {"root": tmp_path / "raced"}, 64)
    assert list(theirs.parent.iterdir()) == [theirs]
