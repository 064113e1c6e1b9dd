"""Entropy and expected Dice against values computed by hand."""

import numpy as np
import pytest

from s2a_jax.quality.confidence import entropy, expected_dice


def test_expected_dice_by_hand():
    row = np.array([[0.8, 0.3, 0.0]])
    assert expected_dice(row, row >= 0.5) == pytest.approx(1.6 / 2.1)  # 2 * 0.8 / (1.1 + 1)
    assert expected_dice(row, row >= 0.3) == pytest.approx(2.2 / 3.1)  # 2 * 1.1 / (1.1 + 2)
    assert expected_dice(row, row >= 0.9) == 0


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
