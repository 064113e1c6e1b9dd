"""What each change of intensities does, measured on 300 draws of simple images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.photometry import PHOTOMETRY

COUNT = 300
OFF = dict(shift=0, scale=0, aspect=0, rotate_degrees=0, flip=False, rot90=False, elastic=False)


@functools.cache
def keys():
    return jax.random.split(jax.random.key(7), COUNT)


def drawn(name, image, limit):
    """[N, H, W]: one draw a key."""
    change = jax.jit(jax.vmap(lambda key: PHOTOMETRY[name](key, jnp.asarray(image), limit)))
    return np.asarray(change(keys()), np.float64)


def assert_uniform(values, low, high):
    width = high - low
    assert low - 0.02 * width <= values.min() <= low + 0.06 * width
    assert high - 0.06 * width <= values.max() <= high + 0.02 * width
    assert abs(values.mean() - (low + high) / 2) < 0.08 * width
    assert abs(values.std() / width - 12**-0.5) < 0.03


def test_contrast_stretches_about_the_mean_and_shifts():
    image = np.repeat([0.2, 0.6, 0.6, 0.6], 16).reshape(8, 8).astype(np.float32)  # mean 0.5
    found = drawn("contrast", image, 0.4)
    dark, bright = found[:, 0, 0], found[:, -1, -1]
    assert_uniform((bright - dark) / 0.4 - 1, -0.4, 0.4)
    shift = found.mean(axis=(1, 2)) - 0.5
    assert_uniform(shift, -0.2, 0.2)
    assert abs(np.corrcoef(bright - dark, shift)[0, 1]) < 0.2


def test_noise_is_speckle_and_a_floor_of_a_quarter():
    image = np.zeros((64, 64), np.float32)
    image[:, 32:] = 1
    found = drawn("noise", image, 0.4)
    dark, bright = found[:, :, :32], found[:, :, 32:]
    assert (dark >= 0).all()
    half_normal = np.sqrt(2 / np.pi)
    amount = 4 * dark.mean(axis=(1, 2)) / half_normal
    assert_uniform(amount, 0, 0.4)
    np.testing.assert_allclose(dark.std(axis=(1, 2)), amount / 4 * np.sqrt(1 - 2 / np.pi), rtol=0.1)
    expected = amount * np.sqrt(1 + (1 - 2 / np.pi) / 16)
    np.testing.assert_allclose(bright.std(axis=(1, 2)), expected, rtol=0.1)
    mean = 1 + amount / 4 * half_normal  # speckle keeps the mean
    np.testing.assert_allclose(bright.mean(axis=(1, 2)), mean, atol=0.045)
    assert abs((bright.mean(axis=(1, 2)) - mean).mean()) < 0.003


def test_stripes_are_rows_and_bands_of_up_to_three_rows():
    found = drawn("motion_stripes", np.full((64, 8), 0.5, np.float32), 0.6)
    np.testing.assert_allclose(found, found[:, :, :1] * np.ones(8), atol=1e-6)
    gain = found[:, :, 0] / 0.5 - 1
    middle = np.percentile(np.abs(gain), 50 * (1 - 0.09))  # without the 9 % of rows in bands
    np.testing.assert_allclose(middle, 0.6745 * 0.06, rtol=0.12)
    far = np.abs(gain) > 0.24  # four deviations of a single row
    # Four bands of 1.5 rows on average, 60 % of them beyond this; few overlap.
    np.testing.assert_allclose(far.sum(axis=1).mean(), 4 * 1.5 * 0.6, rtol=0.15)
    assert gain[far].max() > 0.5 and gain[far].min() < -0.5
    assert np.percentile(np.abs(gain), 99.5) < 0.7
    assert 0.4 < (gain[far] > 0).mean() < 0.6
    assert 0.2 < np.argmax(far, axis=1).mean() / 64 < 0.4  # the first of four, anywhere
    runs = np.diff(np.pad(far, ((0, 0), (1, 1))).astype(int), axis=1)
    lengths = np.flatnonzero(runs.ravel() == -1) - np.flatnonzero(runs.ravel() == 1)
    assert set(lengths[lengths <= 3]) == {1, 2, 3} and (lengths > 3).mean() < 0.06


def test_a_shadow_is_an_ellipse_that_takes_up_to_its_limit():
    side, step = 64, 4
    found = drawn("local_shadow", np.full((side, side), 0.5, np.float32), 0.6)
    taken = 1 - found / 0.5
    assert (taken > -1e-6).all()
    depths, centres, axes = [], [], []
    for one in taken:
        # Near the deepest pixel its logarithm is a parabola along each axis.
        row, column = np.clip(np.unravel_index(one.argmax(), one.shape), step, side - 1 - step)
        if one[row, column] < 0.03:
            continue  # float32 shows no parabola
        lines = one[:, column], one[row]
        top = np.log(one[row, column])
        for line, place in zip(lines, (row, column), strict=True):
            before, at, after = np.log(line[[place - step, place, place + step]])
            h = step / (side - 1)
            axis = np.sqrt(-2 * h**2 / (before + after - 2 * at))
            distance = (after - before) / (4 * h) * axis**2
            centres.append(place / (side - 1) + distance)
            axes.append(axis)
            top += (distance / axis) ** 2
        depths.append(np.exp(top))
    depths = np.array(depths)
    assert len(depths) > 0.85 * COUNT
    assert 0.56 < depths.max() < 0.603 and abs(depths.mean() - 0.3) < 0.04
    for i in (0, 1):
        assert_uniform(np.array(axes[i::2]), 0.08, 0.35)
        assert_uniform(np.array(centres[i::2]), 0, 1)
    assert abs(np.corrcoef(axes[::2], axes[1::2])[0, 1]) < 0.2
    assert abs(np.corrcoef(centres[::2], centres[1::2])[0, 1]) < 0.2


def test_blur_is_a_gaussian_up_to_its_limit():
    point = np.zeros((33, 33), np.float32)
    point[16, 16] = 1
    found = drawn("blur", point, 1.5)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), 1, atol=1e-4)
    distance = np.arange(33) - 16.0
    for axis in (1, 2):
        spread = (found.sum(axis=3 - axis) * distance**2).sum(axis=1)
        sigmas = np.sqrt(spread)
        # Below half a pixel a sampled Gaussian is narrower than its sigma.
        assert 1.4 < sigmas.max() < 1.51 and 0.25 < (sigmas < 0.5).mean() < 0.42
    np.testing.assert_allclose(found, found.transpose(0, 2, 1), atol=1e-6)
    peak = found[:, 16, 16]
    wide = sigmas > 0.8
    np.testing.assert_allclose(peak[wide], 1 / (2 * np.pi * sigmas[wide] ** 2), rtol=0.03)


def test_changes_are_drawn_with_the_probability():
    images = jnp.full((100, 16, 16, 1), 0.5)

    def share_of_changed(probability, **strengths):
        augment = jax.jit(Augmentation(probability=probability, **OFF, **strengths))
        found, _ = augment(jax.random.key(0), images, images)
        return (np.abs(np.asarray(found) - 0.5) > 1e-6).any(axis=(1, 2, 3)).mean()

    assert share_of_changed(0.0, **dict.fromkeys(PHOTOMETRY, 0.5)) == 0
    assert 0.15 < share_of_changed(0.3, contrast=0.5) < 0.45


def test_changes_are_applied_in_the_order_of_the_docs():
    assert list(PHOTOMETRY) == ["contrast", "noise", "motion_stripes", "local_shadow", "blur"]
