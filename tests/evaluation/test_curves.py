"""Curves and areas against scikit-learn."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from s2a_jax.evaluation.curves import Histogram, Pool, roc_auc


def curves_of(*pairs):
    pool = Pool()
    for pair in pairs:
        pool.add(Histogram.count(*pair))
    return pool.curves()


def maps(seed, share, decimals=None):
    rng = np.random.default_rng(seed)
    true = rng.uniform(size=(60, 50)) < share
    logit = rng.normal(2.0 * true - 1.5, 1.5)
    probability = (1 / (1 + np.exp(-logit))).astype(np.float32)
    return (probability if decimals is None else probability.round(decimals)), true


@pytest.mark.parametrize("share", [0.07, 0.5, 0.93, 1 / 3000])
@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_area_of_one_image(share, decimals):
    probability, true = maps(0, share, decimals)
    true[0, 0], true[-1, -1] = True, False
    expected = roc_auc_score(true.ravel(), probability.ravel())
    assert roc_auc(probability, true) == pytest.approx(expected, abs=1e-6)


def test_area_needs_both_classes():
    probability, true = maps(0, 0.3)
    assert np.isnan(roc_auc(probability, np.zeros_like(true)))
    assert np.isnan(roc_auc(probability, np.ones_like(true)))


def eye(seed, gain):
    """A map like a network's: most pixels near 0 or 1; from a gain of 30 on, many exactly 1."""
    rng = np.random.default_rng(seed)
    true = (texture := gaussian_filter(rng.normal(size=(304, 304)), 3)) > np.quantile(texture, 0.92)
    doubt = 16 * gaussian_filter(rng.normal(size=true.shape), 3) + 0.5 * rng.normal(size=true.shape)
    logit = gain * (gaussian_filter(true.astype(float), 1) - 0.45 + doubt / 12)
    return (1 / (1 + np.exp(-logit))).astype(np.float32), true


@pytest.mark.parametrize("gain", [12, 40, 150])
def test_areas_and_calibration_error_of_realistic_maps(gain):
    pairs = [eye(seed, gain) for seed in range(2)]
    for chosen in (pairs[:1], pairs):
        curves = curves_of(*chosen)
        p, true = (np.concatenate([part.ravel() for part in kind])
                   for kind in zip(*chosen, strict=True))  # fmt: skip
        area, precision = roc_auc_score(true, p), average_precision_score(true, p)
        assert curves["roc"]["auc"] == pytest.approx(area, abs=1e-6)
        assert curves["pr"]["average_precision"] == pytest.approx(precision, abs=1e-6)
        edges = np.arange(16) / 15
        parts = [(p >= low) & (p < high if high < 1 else p <= 1) for low, high in pairwise(edges)]
        error = sum(
            abs(true[part].sum() - p[part].sum(dtype=np.float64)) for part in parts if part.any()
        ) / len(p)
        assert curves["calibration"]["ece"] == pytest.approx(error, abs=1e-6)
        assert curves["calibration"]["pixels"] == [n for part in parts if (n := part.sum())]


def test_curves_of_several_images():
    pairs = [maps(seed, 0.1) for seed in range(4)]
    probability, true = (np.concatenate([part.ravel() for part in kind])
                         for kind in zip(*pairs, strict=True))  # fmt: skip
    curves = curves_of(*pairs)
    roc, pr, calibration = curves["roc"], curves["pr"], curves["calibration"]
    assert roc["auc"] == pytest.approx(roc_auc_score(true, probability), abs=1e-6)
    expected = average_precision_score(true, probability)
    assert pr["average_precision"] == pytest.approx(expected, abs=1e-6)
    fpr, tpr, _ = roc_curve(true, probability)
    assert (roc["fpr"][0], roc["fpr"][-1], roc["tpr"][-1]) == (0, 1, 1)
    np.testing.assert_allclose(roc["tpr"], np.interp(roc["fpr"], fpr, tpr), atol=0.015)
    assert all(len(values) <= 200 for values in (roc["fpr"], roc["tpr"], pr["recall"]))
    frequency, confidence = calibration_curve(true, probability, n_bins=15)
    np.testing.assert_allclose(calibration["confidence"], confidence, atol=1e-5)
    np.testing.assert_allclose(calibration["frequency"], frequency, atol=1e-5)
    assert sum(calibration["pixels"]) == true.size
    weights = np.array(calibration["pixels"]) / true.size
    assert calibration["ece"] == pytest.approx((np.abs(frequency - confidence) * weights).sum())


def test_saturated_probabilities_and_one_class():
    probability = np.array([[0, 1, 1e-7, 1]], np.float32)
    curves = curves_of((probability, np.array([[False, True, False, True]])))
    assert curves["roc"]["auc"] == 1 and curves["calibration"]["ece"] < 1e-6
    assert "roc" not in curves_of((probability, np.zeros((1, 4), bool)))
