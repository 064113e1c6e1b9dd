"""What the augmentation may change, and what it must leave alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax.errors import UserError
from s2a_jax.training.augmentation import Augmentation

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
    images, masks = jax.jit(OFF)(KEY, *batch)
    np.testing.assert_allclose(images, batch[0], atol=1e-6)
    np.testing.assert_array_equal(masks, batch[1])


def test_the_draw_depends_on_the_key_and_the_place_in_the_batch(batch):
    augment = jax.jit(Augmentation(gamma=0.5, noise=0.3))
    images, masks = (jnp.stack([a[0]] * 3) for a in batch)
    first, again = augment(KEY, images, masks), augment(KEY, images, masks)
    np.testing.assert_array_equal(first[0], again[0])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert np.any(np.asarray(first[0][i]) != np.asarray(first[0][j]))
    others = augment(KEY, images.at[2].set(0.5), masks.at[2].set(0))
    np.testing.assert_array_equal(first[0][:2], others[0][:2])
    other = augment(jax.random.key(4), images, masks)
    assert np.any(np.asarray(first[0]) != np.asarray(other[0]))


def test_intensities_stay_in_range_and_leave_masks_alone(batch):
    strong = dataclasses.replace(OFF, gamma=2.0, contrast=1.0, noise=1.0)
    images, masks = jax.jit(strong)(KEY, *batch)
    assert images.min() == 0 and images.max() == 1  # both ends are clipped
    np.testing.assert_array_equal(masks, batch[1])


@pytest.mark.parametrize(
    ("names", "is_shared"),
    [
        (("gamma", "motion_stripes", "local_shadow", "blur"), True),
        (("contrast",), False),
        (("noise",), False),
    ],
)
def test_slabs_of_a_case_share_what_hits_the_scan(batch, names, is_shared):
    changes = dict.fromkeys(names, 0.5)
    augment = jax.jit(dataclasses.replace(OFF, rotate_degrees=20, elastic=True, **changes))
    images, masks = batch
    slabs, warped = augment(KEY, jnp.repeat(images, 3, axis=-1), masks)
    assert slabs.shape == (3, 32, 32, 3)
    lone, lone_warped = augment(KEY, images, masks)
    np.testing.assert_allclose(slabs[..., :1], lone, atol=1e-5)
    np.testing.assert_array_equal(warped, lone_warped)
    alike = [np.allclose(slabs[..., 0], slabs[..., i], atol=1e-6) for i in (1, 2)]
    assert alike == [is_shared] * 2


@pytest.mark.parametrize(
    "field", [{"noise": -0.1}, {"blur": 9.0}, {"probability": 2.0}, {"contrast": 1.5}]
)
def test_values_out_of_range_are_refused(field):
    with pytest.raises(UserError, match=f"config.augment.{next(iter(field))}"):
        Augmentation(**field)
