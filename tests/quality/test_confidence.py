"""Mean, spread, entropy and expected Dice against values computed by hand."""

import numpy as np
import pytest

from s2a_jax.quality.confidence import confidence, entropy, expected_dice


def test_two_predictions_of_one_row():
    two = np.array([[[0.9, 0.5, 0.0]], [[0.7, 0.1, 0.0]]], np.float32)
    found = confidence(two)
    np.testing.assert_allclose(found.mean, [[0.8, 0.3, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(found.spread, [[0.1, 0.2, 0.0]], rtol=1e-6)
    # The mask is the first pixel: -0.8 log2(0.8) - 0.2 log2(0.2), and 2 * 0.8 / (1.1 + 1).
    assert found.mask_entropy == pytest.approx(0.721928, rel=1e-5)
    assert found.expected_dice == pytest.approx(1.6 / 2.1, rel=1e-6)
    assert found.mean.dtype == found.spread.dtype == np.float32


def test_the_threshold_makes_the_mask():
    found = confidence(np.array([[[0.8, 0.3]]]), threshold=0.3)
    assert found.expected_dice == pytest.approx(2 * 1.1 / (1.1 + 2))
    assert not found.spread.any()  # one prediction


def test_an_empty_mask_has_no_entropy():
    found = confidence(np.full((3, 4, 4), 0.1))
    assert np.isnan(found.mask_entropy) and found.expected_dice == 0


def test_nothing_expected_and_nothing_found_agree():
    assert expected_dice(np.zeros((2, 2)), np.zeros((2, 2), bool)) == 1


def test_entropy_in_bits():
    np.testing.assert_allclose(entropy(np.array([0, 0.5, 1, 0.25])), [0, 1, 0, 0.811278], atol=1e-6)


def test_expected_dice_is_the_mean_dice_of_what_the_probabilities_foresee():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.3, 0.5, (60, 60))
    mask = probability >= 0.5
    truths = rng.uniform(size=(200, 60, 60)) < probability
    dice = 2 * (truths & mask).sum((1, 2)) / (truths.sum((1, 2)) + mask.sum())
    assert expected_dice(probability, mask) == pytest.approx(dice.mean(), abs=2e-3)
