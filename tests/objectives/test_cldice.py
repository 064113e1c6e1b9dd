"""Soft clDice against SciPy's morphology, by hand, and its gradient against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from precision import enable_x64
from scipy import ndimage

from s2a_jax.objectives.cldice import soft_cldice_loss
from s2a_jax.objectives.joint import Objective

PLUS = ndimage.generate_binary_structure(2, 1)
SQUARE = np.ones((3, 3), bool)
ITERATIONS = 3


def skeleton(x):
    """Of one image, as the authors write it, with SciPy's grey morphology."""

    def removed(x):
        eroded = ndimage.grey_erosion(x, footprint=PLUS, mode="nearest")
        return np.maximum(x - ndimage.grey_dilation(eroded, footprint=SQUARE, mode="nearest"), 0)

    total = removed(x)
    for _ in range(ITERATIONS):
        x = ndimage.grey_erosion(x, footprint=PLUS, mode="nearest")
        delta = removed(x)
        total = total + np.maximum(delta - total * delta, 0)
    return total


def loss(logits, target):
    p = 1 / (1 + np.exp(-logits))
    ours, theirs = skeleton(p), skeleton(target)
    precision = ((ours * target).sum() + 1) / (ours.sum() + 1)
    sensitivity = ((theirs * p).sum() + 1) / (theirs.sum() + 1)
    return 1 - 2 * precision * sensitivity / (precision + sensitivity)


@pytest.fixture(scope="module")
def pair():
    """Two smooth random images of logits and masks, [2, 17, 12]."""
    rng = np.random.default_rng(0)
    fields = ndimage.gaussian_filter(rng.normal(size=(2, 2, 17, 12)), (0, 0, 1.5, 1.5))
    return 20 * fields[0], (fields[1] > 0.05).astype(float)


@jax.jit
def losses(logits, target):
    return soft_cldice_loss(logits[..., None], target[..., None], ITERATIONS)


def test_the_loss_is_its_definition(pair):
    with enable_x64(True):
        found = np.asarray(losses(*pair))
    expected = [loss(*one) for one in zip(*pair, strict=True)]
    assert 0.1 < min(expected) and abs(expected[0] - expected[1]) > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_gradient_is_that_of_differences(pair):
    logits, target = pair
    rng, h = np.random.default_rng(1), 1e-6
    places = [tuple(rng.integers(logits.shape)) for _ in range(16)]

    def moved(place, by):
        z = logits.copy()
        z[place] += by
        return float(losses(z, target).sum())

    with enable_x64(True):
        gradient = jax.jit(jax.grad(lambda z: losses(z, target).sum()))(jnp.asarray(logits))
        change = [(moved(place, h) - moved(place, -h)) / (2 * h) for place in places]
        found = np.array([gradient[place] for place in places])
    assert (np.abs(found) > 1e-5).sum() > 8
    np.testing.assert_allclose(found, change, rtol=1e-5, atol=1e-9)


def test_a_gap_costs_more_than_as_many_pixels_beside_the_line():
    truth = np.zeros((17, 12))
    truth[:, 5:8] = 1
    gap, thin = truth.copy(), truth.copy()
    gap[6:9, 5:8] = 0  # 9 pixels each
    thin[4:13, 5] = 0
    with enable_x64(True):
        found = np.asarray(losses(40 * np.stack([gap, thin]) - 20, np.stack([truth, truth])))
    # By hand: the skeletons are centre lines of 17 and 14 pixels; all of the second lie in truth.
    assert found[0] == pytest.approx(1 - 2 * (15 / 18) / (1 + 15 / 18), abs=1e-6)
    assert found[1] < 0.03


def test_it_is_added_to_the_vessels_alone(pair):
    logits, target = (jnp.asarray(one[..., None], jnp.float32) for one in pair)
    tasks = [{task: one for task in ("rv", "faz")} for one in (logits, target)]
    present = {"rv": jnp.array([1.0, 0.0]), "faz": jnp.ones(2)}
    plain, added = Objective("fixed"), Objective("fixed", 0.8, False, 0.0, 0.5, ITERATIONS)
    without, parts = jax.jit(lambda: [o(*tasks, present, 0.5)[1] for o in (plain, added)])()
    expected = float(without["loss_rv"]) + 0.5 * loss(pair[0][0], pair[1][0])
    assert parts["loss_rv"] == pytest.approx(expected, rel=1e-5)
    assert parts["loss_faz"] == without["loss_faz"]
