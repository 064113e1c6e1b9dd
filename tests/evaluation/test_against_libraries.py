"""Every metric of one realistic eye against other libraries and written-out formulas."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from skimage.measure import label
from skimage.morphology import skeletonize
from skimage.segmentation import find_boundaries
from sklearn import metrics

from s2a_jax.evaluation.labels import METRIC_LABELS
from s2a_jax.evaluation.protocols import PROTOCOLS
from s2a_jax.evaluation.regions import Window
from s2a_jax.evaluation.scoring import Prediction, Settings, score_cases

SIDE, UM, WINDOW = 160, 9.87, 60
NOT_EXACT = ("cl_dice", "hd95", "assd")  # to 1e-3; all others to 1e-6


@pytest.fixture(scope="module")
def eye():
    """Winding vessels around a ragged FAZ, and a plausible prediction of both."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIDE, :SIDE] - [[[84.3]], [[71.6]]]
    wobble = 300 * gaussian_filter(rng.normal(size=(2, SIDE, SIDE)), (0, 9, 9))
    faz = np.hypot(y, x) < 19 + wobble[0] / 3
    vessels = (np.abs(np.sin((x + wobble[0]) / 12)) < 0.14) | (np.abs(y + wobble[1] - 40) < 2)
    truth = {"rv": vessels & (np.hypot(y, x) > 26), "faz": faz}
    probability = {}
    for task, mask in truth.items():
        doubt = 16 * gaussian_filter(rng.normal(size=mask.shape), 3)
        logit = 12 * gaussian_filter(mask.astype(float), 1) - 5 + doubt + rng.normal(size=y.shape)
        probability[task] = (1 / (1 + np.exp(-logit))).astype(np.float32)
    return Prediction("eye", rng.integers(0, 256, y.shape, np.uint8), truth, probability, UM)


def pixel_metrics(predicted, true):
    p, t = predicted.ravel(), true.ravel()
    sensitivity, specificity = metrics.recall_score(t, p), metrics.recall_score(~t, ~p)
    return {
        "dice": metrics.f1_score(t, p),
        "jaccard": metrics.jaccard_score(t, p),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "precision": metrics.precision_score(t, p),
        "accuracy": metrics.accuracy_score(t, p),
        "fdr": (p & ~t).sum() / p.sum(),
        "g_mean": np.sqrt(sensitivity * specificity),
        "kappa": metrics.cohen_kappa_score(t, p),
    }


def shape_metrics(predicted, true):
    # Padded: pixels beyond the image count as outside the mask, but scikit-image ignores them.
    ours, theirs = (
        np.argwhere(find_boundaries(np.pad(mask, 1), connectivity=1, mode="inner"))
        for mask in (predicted, true)
    )
    there, back = cKDTree(theirs).query(ours)[0], cKDTree(ours).query(theirs)[0]
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    assd = (there.mean() + back.mean()) / 2
    components = [label(mask, connectivity=2).max() for mask in (predicted, true)]
    return {
        "hd95_px": hd95, "hd95_um": hd95 * UM, "assd_px": assd, "assd_um": assd * UM,
        "betti0_error": abs(components[0] - components[1]),
    }  # fmt: skip


def cl_dice(predicted, true):
    ours, theirs = skeletonize(predicted), skeletonize(true)
    precision, recall = (ours & true).sum() / ours.sum(), (theirs & predicted).sum() / theirs.sum()
    return 2 * precision * recall / (precision + recall)


def window(faz):
    """Slices of WINDOW pixels around the FAZ's centroid; they lie inside the image here."""
    starts = [round(centre - (WINDOW - 1) / 2) for centre in np.argwhere(faz).mean(axis=0)]
    assert all(0 <= start <= SIDE - WINDOW for start in starts)
    return tuple(slice(start, start + WINDOW) for start in starts)


def test_every_metric(eye):
    settings = Settings(PROTOCOLS["native"], Window(WINDOW, "px"))
    result = score_cases([eye], 1, settings)
    inside = window(eye.truth["faz"])
    for task, true in eye.truth.items():
        predicted = eye.probability[task] >= 0.5
        p, t = eye.probability[task].ravel(), true.ravel()
        assert 0.6 < metrics.f1_score(t, predicted.ravel()) < 0.98
        expected = pixel_metrics(predicted, true) | shape_metrics(predicted, true)
        expected["auc"] = metrics.roc_auc_score(t, p)
        expected["pvr_dice"] = metrics.f1_score(true[inside].ravel(), predicted[inside].ravel())
        if task == "rv":
            expected["cl_dice"] = cl_dice(predicted, true)
        assert set(expected) == METRIC_LABELS.keys() - ({"cl_dice"} if task == "faz" else set())
        assert set(result.values[task]) == set(expected)
        for name, value in expected.items():
            error = 1e-3 if name.startswith(NOT_EXACT) else 1e-6
            assert result.values[task][name] == pytest.approx([value], abs=error), (task, name)
        # The pooled scores of a single image are its own.
        for name, value in result.pooled[task].items():
            assert value == pytest.approx(expected[name], abs=1e-6), (task, name)
        found = result.curves[task]["pr"]["average_precision"]
        assert found == pytest.approx(metrics.average_precision_score(t, p), abs=1e-6)
