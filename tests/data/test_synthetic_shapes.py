"""Synthetic anatomy against its own geometry, and the recipes of eyes, without growing vessels."""

import dataclasses

import numpy as np
import pytest

from s2a_jax.data.synthesis.acquisition import displaced
from s2a_jax.data.synthesis.eye import Eye
from s2a_jax.data.synthesis.faz import FazContour, draw_faz
from s2a_jax.data.synthesis.parameters import EyeParameters
from s2a_jax.data.synthesis.render import draw_anatomy, largest_region
from s2a_jax.data.synthesis.vessels import VesselTrees
from s2a_jax.data.synthetic import eye_image, eye_recipe
from s2a_jax.data.synthetic_source import EyeSource

PITCH = 0.005  # mm
POINTS = np.stack(np.mgrid[-1:1:PITCH, -1:1:PITCH], -1).reshape(-1, 2) + PITCH / 2


def contour(**changed):
    values = {
        "centre": np.array([0.1, -0.2]), "area_mm2": 0.3, "axis_ratio": 1.6, "tilt": 0.5,
        "amplitudes": np.zeros(22), "phases": np.zeros(22),
    }  # fmt: skip
    return FazContour(**values | changed)


def test_the_ellipse_of_a_faz():
    faz = contour()
    inside = POINTS[faz.level(POINTS) < 1]
    assert len(inside) * PITCH**2 == pytest.approx(0.3, rel=0.005)
    np.testing.assert_allclose(inside.mean(axis=0), [0.1, -0.2], atol=0.002)
    values, vectors = np.linalg.eigh(np.cov(inside.T))
    assert np.sqrt(values[1] / values[0]) == pytest.approx(1.6, rel=0.01)
    y, x = vectors[:, 1]  # the long axis
    assert np.arctan2(y, x) % np.pi == pytest.approx(0.5, abs=0.02)
    # Half way out the level is a half.
    ahead = np.array([[np.sin(0.5), np.cos(0.5)]])
    far = np.sqrt(0.3 / np.pi * 1.6)
    np.testing.assert_allclose(faz.level(faz.centre + 0.5 * far * ahead), 0.5, atol=1e-3)


def test_the_waves_of_a_faz():
    """A third harmonic of a tenth: the radius swings three times around."""
    faz = contour(axis_ratio=1.0, tilt=0.0, amplitudes=np.array([0.1, *[0] * 21]))
    angle = np.linspace(-np.pi, np.pi, 13)
    direction = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    radius = np.sqrt(0.3 / np.pi) * (1 + 0.1 * np.cos(3 * angle))
    np.testing.assert_allclose(faz.level(faz.centre + radius[:, None] * direction), 1, atol=2e-3)


def test_drawn_faz_fill_the_disc_and_have_the_stated_areas():
    rng = np.random.default_rng(0)
    parameters = EyeParameters()
    drawn = [draw_faz(rng, parameters) for _ in range(600)]
    offset = np.array([np.hypot(*faz.centre) for faz in drawn])
    assert offset.max() <= parameters.faz_offset_mm
    assert np.mean(offset**2) == pytest.approx(parameters.faz_offset_mm**2 / 2, rel=0.08)
    area = np.array([faz.area_mm2 for faz in drawn])
    assert area.mean() == pytest.approx(0.26, abs=0.015) and area.std() == pytest.approx(0.1, 0.12)
    assert (area.min(), area.max()) >= (0.05, 0.4) and area.max() <= 0.8
    ratios = [faz.axis_ratio for faz in drawn]
    assert min(ratios) >= 1 and max(ratios) <= 1.35 and max(ratios) > 1.3


def straight(start, end, steps=40):
    """Starts and ends of the segments of a straight vessel."""
    points = np.linspace(start, end, steps + 1)
    return points[:-1], points[1:]


def test_vessels_are_drawn_where_and_as_wide_as_they_are():
    """An artery along a row, a vein down a column, and a vessel too thin to be labelled."""
    size, pitch = 128, 3 / 128
    lines = [straight((-0.9, -2), (-0.9, 2)), straight((-2, 0.2), (2, 0.2)),
             straight((1.1, -2), (1.1, 2))]  # fmt: skip
    radius = np.repeat([100.0, 60.0, 5.0], 40)
    trees = VesselTrees(
        start=np.concatenate([line[0] for line in lines]),
        end=np.concatenate([line[1] for line in lines]),
        radius_um=radius,
        artery=np.repeat([True, False, True], 40),
    )
    parameters = EyeParameters(size=size)
    faz = contour(centre=np.zeros(2), area_mm2=0.2)
    drawn = draw_anatomy(np.random.default_rng(0), faz, trees, parameters)
    row, column = (place / pitch + (size - 1) / 2 for place in (-0.9, 0.2))
    y, x = np.mgrid[:size, :size]
    artery, vein = np.abs(y - row) < 0.1 / pitch, np.abs(x - column) < 0.06 / pitch
    for found, true in ((drawn.vessel_class == 1, artery & ~vein), (drawn.rv, artery | vein)):
        assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.97
    assert set(np.unique(drawn.vessel_class)) == {0, 1, 2}
    assert (drawn.vessel_class[:20, round(column)] == 2).all()
    axis = drawn.centreline_radius_um
    assert axis[round(row), 5] == 100 and axis[5, round(column)] == 60
    assert axis[round(row), round(column)] == 100 and (axis > 0).sum() < 3 * size
    # All three are bright; the thin one is drawn fainter, and not labelled.
    thin = round(1.1 / pitch + (size - 1) / 2)
    assert drawn.vessels[round(row), 20] == pytest.approx(1, abs=0.02)
    assert 0 < drawn.vessels[thin, 20] < 0.6 and not drawn.rv[thin, 20]
    points = (np.stack([y, x], -1).reshape(-1, 2) - (size - 1) / 2) * pitch
    beyond = np.hypot(*points.T) * (1 - 1 / faz.level(points))  # mm along the ray
    inside = (beyond <= 0.008).reshape(size, size)
    assert (inside & drawn.rv).any()  # the vein cuts off a part
    np.testing.assert_array_equal(drawn.faz, largest_region(inside & ~drawn.rv))
    dark = (beyond < -0.05).reshape(size, size)
    assert dark.sum() > 100 and drawn.bed[dark].max() < 0.3 * drawn.bed.max()


def test_the_largest_region():
    mask = np.zeros((9, 9), bool)
    mask[0, :3] = mask[4:7, 4:7] = mask[7, 7] = True  # touches the square at a corner
    found = largest_region(mask)
    assert found.sum() == 9 and found[5, 5]
    assert not largest_region(np.zeros((3, 3), bool)).any()


def test_a_displaced_row_shows_the_columns_that_were_scanned():
    field = np.arange(12).reshape(3, 4)
    columns = np.array([[0, 1, 2, 3], [1, 2, 3, 3], [0, 0, 1, 2]])
    assert displaced(field, columns).tolist() == [[0, 1, 2, 3], [5, 6, 7, 7], [8, 8, 9, 10]]


def test_recipes_tell_seeds_splits_numbers_and_passes_apart():
    keys = [(seed, split, number, *more) for seed in (0, 1) for split in range(3)
            for number in range(4) for more in ((), (1,), (2,))]  # fmt: skip
    recipes = [eye_recipe(seed, 64, (2.0, 6.0), which) for seed, *which in keys]
    assert len({recipe[0] for recipe in recipes}) == len(keys)
    assert len({recipe[1].field_mm for recipe in recipes}) > 0.95 * len(keys)
    assert all(2 <= recipe[1].field_mm <= 6 and recipe[1].size == 64 for recipe in recipes)
    fields = [eye_recipe(5, 64, (2.0, 6.0), (0, n))[1].field_mm for n in range(1000)]
    # Uniform in the logarithm; the mean logarithm of a uniform field is 1.34.
    assert np.log(fields).mean() == pytest.approx(np.log(12) / 2, abs=0.04)
    source = EyeSource(count=4, size=64, seed=5, field_mm=(2.0, 6.0))
    assert source.recipe(3, 0) == eye_recipe(5, 64, (2.0, 6.0), (0, 3))
    assert source.recipe(3, 2) == eye_recipe(5, 64, (2.0, 6.0), (0, 3, 2))


def test_the_slabs_of_an_eye():
    image, deep = (np.random.default_rng(n).integers(0, 256, (4, 5), np.uint8) for n in (0, 1))
    rest = dict.fromkeys(field.name for field in dataclasses.fields(Eye))
    eye = Eye(**rest | {"image": image, "deep": deep})
    np.testing.assert_array_equal(eye_image(eye, ["superficial"]), image)
    both = eye_image(eye, ["whole", "deep"])
    np.testing.assert_array_equal(both[..., 0], np.maximum(image, deep))
    np.testing.assert_array_equal(both[..., 1], deep)
