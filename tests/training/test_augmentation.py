"""What the augmentation may change, and what it must leave alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax.errors import UserError
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.photometry import PHOTOMETRY

KEY = jax.random.key(3)
OFF = Augmentation(
    probability=1.0, shift=0, scale=0, aspect=0, rotate_degrees=0,
    flip=False, rot90=False, elastic=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def batch():
    """Three noisy images and masks of their bright pixels, [3, 32, 32, 1] and [3, 32, 32, 2]."""
    images = np.random.default_rng(0).uniform(0.1, 0.9, (3, 32, 32)).astype(np.float32)
    images[:, 10:20] += 0.05
    masks = jnp.stack([images > 0.5, images > 0.7], -1).astype(jnp.float32)
    return jnp.asarray(images)[..., None], masks


def test_nothing_on_changes_nothing(batch):
    images, masks = OFF(KEY, *batch)
    np.testing.assert_allclose(images, batch[0], atol=1e-6)
    np.testing.assert_array_equal(masks, batch[1])


def test_the_draw_depends_on_the_key_and_the_place_in_the_batch(batch):
    augment = Augmentation(gamma=0.5, noise=0.3, local_shadow=0.5)
    first, again = augment(KEY, *batch), augment(KEY, *batch)
    np.testing.assert_array_equal(first[0], again[0])
    shorter = augment(KEY, batch[0][:2], batch[1][:2])
    np.testing.assert_allclose(first[0][:2], shorter[0], atol=1e-6)
    other = augment(jax.random.key(4), *batch)
    assert np.any(np.asarray(first[0]) != np.asarray(other[0]))


def test_image_and_masks_are_warped_alike():
    y, x = np.mgrid[:64, :64]
    disc = ((y - 30) ** 2 + (x - 36) ** 2 < 200).astype(np.float32)
    images = jnp.stack([disc] * 8)[..., None]
    warped, masks = Augmentation(probability=1.0)(KEY, images, images)
    np.testing.assert_array_equal(warped >= 0.5, masks == 1)
    areas = masks.sum(axis=(1, 2, 3))
    assert areas.std() > 1 and 200 < areas.min() and areas.max() < 1200


def test_flips_and_turns_only_move_pixels(batch):
    augment = dataclasses.replace(OFF, probability=0.5, flip=True, rot90=True)
    images, _ = augment(KEY, *batch)
    for before, after in zip(batch[0], images, strict=True):
        np.testing.assert_allclose(np.sort(before.ravel()), np.sort(after.ravel()), atol=1e-5)


def test_crop(batch):
    images, masks = dataclasses.replace(OFF, crop=16)(KEY, *batch)
    assert images.shape == (3, 16, 16, 1) and masks.shape == (3, 16, 16, 2)
    whole = np.asarray(batch[0][0, ..., 0])
    windows = np.lib.stride_tricks.sliding_window_view(whole, (16, 16))
    assert np.abs(windows - np.asarray(images[0, ..., 0])).max(axis=(2, 3)).min() < 1e-5


@pytest.mark.parametrize("name", PHOTOMETRY)
def test_photometry_changes_the_image_alone_and_stays_in_range(batch, name):
    images, masks = dataclasses.replace(OFF, **{name: 0.5})(KEY, *batch)
    assert np.abs(np.asarray(images) - np.asarray(batch[0])).max() > 0.01
    assert images.min() >= 0 and images.max() <= 1
    np.testing.assert_array_equal(masks, batch[1])


@pytest.mark.parametrize("name", [*PHOTOMETRY, "gamma"])
def test_slabs_of_a_case_share_what_hits_the_scan(batch, name):
    augment = dataclasses.replace(OFF, rotate_degrees=20, elastic=True, **{name: 0.5})
    images, masks = batch
    slabs, warped = augment(KEY, jnp.repeat(images, 3, axis=-1), masks)
    assert slabs.shape == (3, 32, 32, 3)
    lone, lone_warped = augment(KEY, images, masks)
    np.testing.assert_allclose(slabs[..., :1], lone, atol=1e-6)
    np.testing.assert_array_equal(warped, lone_warped)
    alike = [np.allclose(slabs[..., 0], slabs[..., i], atol=1e-6) for i in (1, 2)]
    assert alike == [name not in ("contrast", "noise")] * 2


def test_each_artefact_is_what_it_is_called():
    flat = jnp.full((64, 64), 0.5)
    keys = jax.random.split(KEY, 20)

    def drawn(name, limit):
        return np.asarray(jax.vmap(lambda key: PHOTOMETRY[name](key, flat, limit))(keys))

    assert drawn("local_shadow", 0.5).max() <= 0.5 + 1e-6
    assert drawn("local_shadow", 0.5).min() > 0.2
    stripes = drawn("motion_stripes", 0.5)
    np.testing.assert_allclose(stripes.std(axis=2), 0, atol=1e-6)  # whole rows
    assert (np.abs(stripes[:, :, 0] - 0.5) > 0.1).mean() < 0.2  # few of them
    noisy = drawn("noise", 0.4)
    assert abs(noisy.mean() - 0.5) < 0.06 and 0.02 < noisy.std() < 0.3
    np.testing.assert_allclose(drawn("blur", 1.0), 0.5, atol=1e-5)  # keeps the light
    assert drawn("contrast", 0.4).std(axis=(1, 2)).max() < 1e-6
    point = jnp.zeros((64, 64)).at[32, 32].set(1.0)
    blurred = jax.vmap(lambda key: PHOTOMETRY["blur"](key, point, 2.0))(keys)
    assert blurred[:, 32, 32].mean() < 0.8
    np.testing.assert_allclose(blurred.sum(axis=(1, 2)), 1, atol=1e-4)


@pytest.mark.parametrize(
    "field", [{"noise": -0.1}, {"blur": 9.0}, {"probability": 2.0}, {"contrast": 1.5}]
)
def test_values_out_of_range_are_refused(field):
    with pytest.raises(UserError, match=f"config.augment.{next(iter(field))}"):
        Augmentation(**field)
