"""Metrics from pixel counts, and evaluations that count every case once."""

import numpy as np
import pytest
from sklearn import metrics

from s2a_jax.data.cases import CaseSet
from s2a_jax.data.pipeline import TrainStream, evaluation_batches
from s2a_jax.evaluation.counts import Evaluation, count_pixels, evaluate
from s2a_jax.evaluation.metrics import confusion, scores


@pytest.fixture
def cases():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (2, 5, 8, 8), np.uint8)
    return CaseSet(
        ids=tuple("abcde"),
        images=rng.integers(0, 256, (5, 8, 8), np.uint8),
        rv=masks[0],
        faz=masks[1],
        has_rv=np.ones(5, bool),
        has_faz=np.array([True, False, False, True, False]),
        native_sizes=np.full((5, 2), 8, np.int32),
    )


MASKS = {
    "random": np.random.default_rng(0).uniform(size=(2, 40, 30)) < [[[0.1]], [[0.4]]],
    "equal": np.repeat(np.random.default_rng(1).uniform(size=(1, 40, 30)) < 0.2, 2, axis=0),
    "opposite": np.stack([np.eye(30, dtype=bool), ~np.eye(30, dtype=bool)]),
    "one pixel": np.stack([np.arange(900).reshape(30, 30) == k for k in (17, 18)]),
    "nearly full": np.stack([np.arange(900).reshape(30, 30) != k for k in (17, 18)]),
}


@pytest.mark.parametrize("name", MASKS)
def test_scores_agree_with_scikit_learn(name):
    predicted, true = MASKS[name]
    p, t = predicted.ravel(), true.ravel()
    found = scores(confusion(predicted, true))
    sensitivity = metrics.recall_score(t, p, zero_division=1)
    specificity = metrics.recall_score(~t, ~p, zero_division=1)
    expected = {
        "dice": metrics.f1_score(t, p, zero_division=1),
        "jaccard": metrics.jaccard_score(t, p, zero_division=1),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "precision": metrics.precision_score(t, p, zero_division=1),
        "accuracy": metrics.accuracy_score(t, p),
        "fdr": 1 - metrics.precision_score(t, p, zero_division=1),
        "g_mean": np.sqrt(sensitivity * specificity),
        "kappa": metrics.cohen_kappa_score(t, p),
    }
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("predicted", "true", "expected"),
    [
        (0, 0, {"dice": 1, "jaccard": 1, "sensitivity": 1, "precision": 1, "fdr": 0, "kappa": 1}),
        (0, 1, {"dice": 0, "jaccard": 0, "sensitivity": 0, "precision": 1, "fdr": 0, "kappa": 0}),
        (1, 0, {"dice": 0, "jaccard": 0, "sensitivity": 1, "precision": 0, "fdr": 1, "kappa": 0}),
        (1, 1, {"dice": 1, "jaccard": 1, "specificity": 1, "g_mean": 1, "kappa": 1}),
    ],
)
def test_empty_and_full_masks_are_defined(predicted, true, expected):
    found = scores(confusion(*(np.full((3, 3), value, bool) for value in (predicted, true))))
    assert {name: found[name] for name in expected} == expected


def test_counts_inside_a_window():
    predicted, true = MASKS["random"]
    probability = {"rv": np.stack([predicted, true]).astype(np.float32)}
    windows = np.array([[3, 5, 13, 30], [0, 0, 40, 30]], np.int32)
    counts = count_pixels(probability, {"rv": np.stack([true, true])}, 0.5, windows)["rv"]
    inside = confusion(predicted[3:13, 5:30], true[3:13, 5:30])
    assert {name: int(value[0]) for name, value in counts.items()} == inside
    assert int(counts["tp"][1]) == true.sum() and int(counts["fp"][1]) == 0


def test_a_probability_at_the_threshold_is_inside():
    """One threshold for all, and one for each image of a task."""
    below, above = np.nextafter(np.float32(0.5), np.float32([0, 1]))
    probability = np.array([[[below, 0.5, above, 0.25]]] * 2, np.float32)
    truth = np.array([[[1, 1, 0, 0]]] * 2)
    for threshold, second in ((0.5, (1, 1, 1, 1)), ({"rv": np.float32([0.5, 0.25])}, (2, 2, 0, 0))):
        counts = count_pixels({"rv": probability}, {"rv": truth}, threshold)["rv"]
        found = np.array([counts[name] for name in ("tp", "fp", "fn", "tn")]).T
        np.testing.assert_array_equal(found, [(1, 1, 1, 1), second])


def test_the_score_is_the_mean_dice_over_all_masks():
    counts = {
        "rv": {"tp": [6, 1], "fp": [2, 1], "fn": [2, 1], "tn": [0, 0]},  # Dice 3 / 4 and 1 / 2
        "faz": {"tp": [1, 9], "fp": [3, 9], "fn": [3, 9], "tn": [5, 5]},  # 1 / 4 and 1 / 2
    }
    counts = {task: {k: np.array(v) for k, v in one.items()} for task, one in counts.items()}
    every, first, none = np.array([True, True]), np.array([True, False]), np.zeros(2, bool)
    for has_faz, expected in ((every, 2 / 4), (first, 1.5 / 3), (none, 1.25 / 2)):
        found = Evaluation(("a", "b"), counts, {"rv": every, "faz": has_faz})
        assert found.score() == pytest.approx(expected)
        assert found.mean("rv", "dice") == 0.625


def test_padded_batches_count_each_case_once(cases):
    def count(batch):  # predicts the vessels right and the FAZ inverted
        truth = {"rv": batch["rv"], "faz": batch["faz"]}
        return count_pixels({"rv": batch["rv"], "faz": 1 - batch["faz"]}, truth, 0.5)

    present = {"rv": cases.has_rv, "faz": cases.has_faz}
    evaluation = evaluate(evaluation_batches(cases, 3), count, cases.ids, present)
    assert (evaluation.per_image("rv")["dice"] == 1).all()
    assert len(evaluation.per_image("faz")["dice"]) == 2
    assert evaluation.counts["rv"]["tp"].tolist() == cases.rv.sum(axis=(1, 2)).tolist()
    assert evaluation.score() == 5 / 7  # vessels 1 in five cases, FAZ 0 in two


def test_batch_k_depends_on_the_seed_and_k_alone(cases):
    def batches(step, process=0, processes=1):
        stream = TrainStream(cases, {"all": (range(5), 1.0)}, 2, 7, process, processes)
        iterator = stream.starting_at(step)
        return [next(iterator)["image"] for _ in range(10 - step)]

    whole = batches(0)
    np.testing.assert_array_equal(whole[4:], batches(4))
    for process in (0, 1):
        rows = slice(process, process + 1)  # half of a batch of 2
        np.testing.assert_array_equal([b[rows] for b in whole], batches(0, process, 2))


def test_batches_of_one_case(cases):
    stream = TrainStream(cases, {"all": (range(5), 1.0)}, 1, 7)
    iterator = stream.starting_at(3)
    for step in range(3, 12):
        (name,) = stream.ids(step)
        expected = cases.images["abcde".index(name)]
        np.testing.assert_array_equal(next(iterator)["image"], expected[None])


def test_sources_are_mixed_by_weight(cases):
    stream = TrainStream(cases, {"most": (range(4), 0.75), "few": (range(4, 5), 0.25)}, 4, 7)
    drawn = [name for step in range(25) for name in stream.ids(step)]
    assert drawn.count("e") == 25
    assert stream.source_counts(0, 25) == {"most": 75, "few": 25}
    assert sum(stream.source_counts(3, 4).values()) == 4
