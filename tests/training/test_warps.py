"""Every switch of the geometry: what it does to coordinates, by how much, and how often.

Images are planes of row and column numbers, which bilinear interpolation reproduces: a warped image
shows where each of its pixels comes from.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax.training.augmentation import Augmentation, sample_bilinear

SIZE, COUNT = 32, 200
NONE = dict(shift=0, scale=0, aspect=0, rotate_degrees=0, flip=False, rot90=False, elastic=False)


def warped(count=COUNT, size=SIZE, probability=1.0, **switches):
    """Where pixels come from [N, S', S', 2], which of them lie inside [N, S', S'], and masks.

    The masks are the right and the lower half.
    """
    rows, columns = np.mgrid[:size, :size]
    planes = np.stack([rows / size, columns / size, np.ones((size, size))], axis=-1)
    halves = np.stack([columns >= size / 2, rows >= size / 2], axis=-1)
    batch = [jnp.asarray(np.stack([a] * count), jnp.float32) for a in (planes, halves)]
    augment = jax.jit(Augmentation(probability=probability, **NONE | switches))
    images, masks = (np.asarray(a) for a in augment(jax.random.key(0), *batch))
    return images[..., :2] * size, images[..., 2] > 1 - 1e-5, masks


@functools.cache
def linear_maps(probability=1.0, crop=0, **switches):
    """Matrices [N, 2, 2] and offsets [N, 2] of input pixels by output pixels about the centre."""
    coordinates, inside, _ = warped(probability=probability, crop=crop, **switches)
    side = coordinates.shape[1]
    output = np.stack(np.mgrid[:side, :side], axis=-1) - (SIZE - 1) / 2
    matrices, offsets = [], []
    for points, valid in zip(coordinates, inside, strict=True):
        # Not at the border, where rounding decides whether a pixel lies inside.
        rows = np.column_stack([output[valid], np.ones(valid.sum())])
        found, *_ = np.linalg.lstsq(rows, points[valid] - (SIZE - 1) / 2, rcond=None)
        np.testing.assert_allclose(rows @ found, points[valid] - (SIZE - 1) / 2, atol=2e-3)
        matrices.append(found[:2].T)
        offsets.append(found[2])
    return np.array(matrices), np.array(offsets)


def assert_uniform(values, low, high):
    """The range is filled and not left; mean and deviation are those of a uniform draw."""
    width = high - low
    assert low - 1e-3 * width <= values.min() <= low + 0.06 * width
    assert high - 0.06 * width <= values.max() <= high + 1e-3 * width
    assert abs(values.mean() - (low + high) / 2) < 0.09 * width
    assert abs(values.std() / width - 12**-0.5) < 0.04


def assert_identity(matrices):
    np.testing.assert_allclose(matrices, np.broadcast_to(np.eye(2), matrices.shape), atol=1e-3)


def test_shift_moves_by_a_fraction_of_the_side():
    matrices, offsets = linear_maps(shift=0.25)
    assert_identity(matrices)
    for axis in (0, 1):
        assert_uniform(offsets[:, axis], -0.25 * SIZE, 0.25 * SIZE)
    assert abs(np.corrcoef(offsets.T)[0, 1]) < 0.25


def test_scale_is_a_relative_change_of_size():
    matrices, offsets = linear_maps(scale=0.4)
    np.testing.assert_allclose(offsets, 0, atol=1e-3)
    factor = 1 / matrices[:, 0, 0]  # the input is read at smaller steps where things grow
    assert_uniform(factor, 0.6, 1.4)
    np.testing.assert_allclose(matrices, np.eye(2) / factor[:, None, None], atol=1e-3)


def test_aspect_changes_the_ratio_and_keeps_the_area():
    matrices, offsets = linear_maps(aspect=0.4)
    np.testing.assert_allclose(offsets, 0, atol=1e-3)
    np.testing.assert_allclose(matrices[:, [0, 1], [1, 0]], 0, atol=1e-3)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-3)
    assert_uniform(matrices[:, 0, 0] / matrices[:, 1, 1], 0.6, 1.4)


def test_rotation_is_in_degrees_about_the_centre():
    matrices, offsets = linear_maps(rotate_degrees=30.0)
    np.testing.assert_allclose(offsets, 0, atol=1e-3)
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1) - np.eye(2), 0, atol=2e-3)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=2e-3)
    angles = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert_uniform(angles, -30, 30)


def test_shift_scale_aspect_and_rotation_are_one_draw():
    matrices, offsets = linear_maps(
        probability=0.3, shift=0.25, scale=0.2, aspect=0.2, rotate_degrees=20.0
    )
    still = np.isclose(matrices, np.eye(2), atol=2e-3).all(axis=(1, 2))
    assert 0.6 < still.mean() < 0.8
    np.testing.assert_allclose(offsets[still], 0, atol=1e-3)
    assert (np.abs(offsets[~still]).max(axis=1) > 1e-2).all()
    sizes = 1 / np.sqrt(np.linalg.det(matrices[~still]))
    angles = np.arctan2(matrices[~still, 1, 0], matrices[~still, 0, 0])
    drawn = np.stack([sizes, angles, *offsets[~still].T])
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 0.45  # amounts are independent


def test_flips_are_two_independent_draws():
    matrices, offsets = linear_maps(probability=0.3, flip=True)
    np.testing.assert_allclose(offsets, 0, atol=1e-3)
    np.testing.assert_allclose(matrices[:, [0, 1], [1, 0]], 0, atol=1e-3)
    np.testing.assert_allclose(np.abs(matrices[:, [0, 1], [0, 1]]), 1, atol=1e-3)
    rows, columns = (matrices[:, axis, axis] < 0 for axis in (0, 1))
    assert 0.2 < rows.mean() < 0.4 and 0.2 < columns.mean() < 0.4
    assert 0.02 < (rows & columns).mean() < 0.17


def test_quarter_turns_are_90_180_and_270_degrees():
    matrices, offsets = linear_maps(probability=0.6, rot90=True)
    np.testing.assert_allclose(offsets, 0, atol=1e-3)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-3)
    quarters = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]) / (np.pi / 2)
    np.testing.assert_allclose(quarters, np.round(quarters), atol=1e-3)
    counts = np.bincount(np.round(quarters).astype(int) % 4, minlength=4) / COUNT
    assert 0.3 < counts[0] < 0.5
    assert (counts[1:] > 0.13).all() and (counts[1:] < 0.27).all()


def test_a_crop_is_any_window_of_the_whole_image():
    matrices, offsets = linear_maps(crop=16)
    assert_identity(matrices)
    corners = offsets.round().astype(int)
    np.testing.assert_allclose(offsets, corners, atol=1e-3)
    for axis in (0, 1):
        assert set(corners[:, axis]) == set(range(17))
    assert abs(np.corrcoef(corners.T)[0, 1]) < 0.25


def test_a_crop_is_taken_from_an_image_turned_about_its_own_centre():
    _, offsets = linear_maps(crop=16, scale=0.4)
    matrices, _ = linear_maps(crop=16, scale=0.4)
    corners = np.linalg.solve(matrices, offsets[..., None])[..., 0]
    np.testing.assert_allclose(corners, corners.round(), atol=2e-2)
    assert corners.min() > -0.1 and corners.max() < 16.1


@pytest.mark.parametrize("size", [80, 112])
def test_elastic_moves_by_four_pixels_smoothly(size):
    coordinates, inside, _ = warped(50, size, elastic=True)
    moved = coordinates - np.stack(np.mgrid[:size, :size], axis=-1)
    middle = slice(size // 4, -size // 4)
    assert inside[:, middle, middle].all()
    moved = moved[:, middle, middle]
    np.testing.assert_allclose(moved.std(), 4.07, rtol=0.12)  # 2 / (0.16 sqrt(pi)) / sqrt(3)
    assert abs(moved.mean()) < 0.6
    # Noise smoothed by a Gaussian of sigma has slopes of its deviation / (sqrt(2) sigma).
    for axis in (1, 2):
        slopes = np.diff(moved, axis=axis).std()
        np.testing.assert_allclose(slopes, moved.std() / (np.sqrt(2) * 0.08 * size), rtol=0.15)
    rows, columns = moved[..., 0].ravel(), moved[..., 1].ravel()
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.2


def test_elastic_is_as_likely_as_everything_else():
    coordinates, _, _ = warped(elastic=True, probability=0.3)
    still = np.isclose(coordinates, np.stack(np.mgrid[:SIZE, :SIZE], -1), atol=1e-3)
    assert 0.6 < still[:, 8:-8, 8:-8].all(axis=(1, 2, 3)).mean() < 0.8


def test_masks_go_where_the_image_goes():
    switches = {"shift": 0.1, "rotate_degrees": 40.0, "flip": True, "rot90": True, "elastic": True}
    coordinates, inside, masks = warped(20, probability=0.5, crop=16, **switches)
    assert masks.shape == (20, 16, 16, 2) and set(np.unique(masks)) == {0, 1}
    for channel, axis in ((0, 1), (1, 0)):  # the right half by columns, the lower by rows
        # The halves begin between two pixels: half way, a mask is at its threshold.
        away = inside & (np.abs(coordinates[..., axis] - (SIZE / 2 - 0.5)) > 1e-3)
        expected = coordinates[..., axis] > SIZE / 2 - 0.5
        np.testing.assert_array_equal(masks[away][:, channel], expected[away])
        assert 0.3 < masks[away][:, channel].mean() < 0.7


def test_interpolation_is_bilinear_and_zero_outside():
    image = jnp.array([[[1.0], [2.0]], [[3.0], [5.0]]])
    points = [
        (0, 0),
        (1, 1),
        (0.5, 0),
        (0, 0.25),
        (0.5, 0.5),
        (-0.5, 0),
        (1, 1.5),
        (3, 0),
        (-1, -1),
    ]
    expected = [1, 5, 2, 1.25, 2.75, 0.5, 2.5, 0, 0]
    found = jax.jit(sample_bilinear)(image, jnp.array(points, jnp.float32))
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)


def test_gamma_is_a_power_of_two_to_the_limit_for_all_slabs():
    images = jnp.full((COUNT, 16, 16, 2), 0.25)
    images = images.at[..., 1].set(0.5)
    augment = jax.jit(Augmentation(probability=0.5, gamma=0.8, **NONE))
    found, masks = augment(jax.random.key(1), images, images[..., :1])
    logs = np.log(np.asarray(found[:, 0, 0])) / np.log([0.25, 0.5])
    np.testing.assert_allclose(logs[:, 0], logs[:, 1], rtol=1e-4)
    amounts = np.log2(logs[:, 0])
    changed = np.abs(amounts) > 1e-5
    assert 0.4 < changed.mean() < 0.6
    assert_uniform(amounts[changed], -0.8, 0.8)
    assert not masks.any()
