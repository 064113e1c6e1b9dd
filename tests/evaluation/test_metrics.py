"""Metrics from counts, and evaluations that count every case once."""

import csv

import numpy as np
import pytest

from s2a_jax.data.cases import CaseSet
from s2a_jax.data.pipeline import TrainStream, evaluation_batches
from s2a_jax.evaluation.evaluate import count_pixels, evaluate, write_csv
from s2a_jax.evaluation.metrics import scores


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


def test_scores_of_masks():
    predicted, true = np.random.default_rng(0).integers(0, 2, (2, 50)).astype(bool)
    counts = {
        "tp": (predicted & true).sum(),
        "fp": (predicted & ~true).sum(),
        "fn": (~predicted & true).sum(),
        "tn": (~predicted & ~true).sum(),
    }
    found = scores(counts)
    both = (predicted & true).sum()
    assert found["dice"] == pytest.approx(2 * both / (predicted.sum() + true.sum()))
    assert found["jaccard"] == pytest.approx(both / (predicted | true).sum())
    assert found["accuracy"] == pytest.approx((predicted == true).mean())


def test_empty_masks_are_defined():
    assert scores({"tp": 0, "fp": 0, "fn": 0, "tn": 9})["dice"] == 1
    assert scores({"tp": 0, "fp": 0, "fn": 4, "tn": 5})["dice"] == 0
    assert scores({"tp": 0, "fp": 4, "fn": 0, "tn": 5})["jaccard"] == 0


def test_padded_batches_count_each_case_once(cases, tmp_path):
    def count(batch):  # the truth itself as the prediction, for the vessels alone
        truth = {"rv": batch["rv"], "faz": batch["faz"]}
        return count_pixels({"rv": batch["rv"], "faz": 1 - batch["faz"]}, truth, 0.5)

    present = {"rv": cases.has_rv, "faz": cases.has_faz}
    evaluation = evaluate(evaluation_batches(cases, 2), count, cases.ids, present)
    assert (evaluation.per_image("rv")["dice"] == 1).all()
    assert len(evaluation.per_image("faz")["dice"]) == 2
    assert evaluation.counts["rv"]["tp"].tolist() == cases.rv.sum(axis=(1, 2)).tolist()
    assert evaluation.score() == 1.0  # vessels 1, avascular zone 0

    write_csv(evaluation, tmp_path / "cases.csv")
    with (tmp_path / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list("abcde")
    assert [row["faz_dice"] for row in rows] == ["0.000000", "", "", "0.000000", ""]


def test_batch_k_depends_on_the_seed_and_k_alone(cases):
    def batches(step, process=0, processes=1):
        stream = TrainStream(cases, {"all": (range(5), 1.0)}, 2, 7, process, processes)
        iterator = stream.starting_at(step)
        return [next(iterator)["image"] for _ in range(10 - step)]

    whole = batches(0)
    np.testing.assert_array_equal(whole[4:], batches(4))
    for process in (0, 1):
        np.testing.assert_array_equal([b[process::2] for b in whole], batches(0, process, 2))


def test_names_match_batches_and_epochs_are_complete(cases):
    stream = TrainStream(cases, {"all": (range(5), 1.0)}, 5, 7)
    images = next(stream.starting_at(3))["image"]
    names = stream.ids(3)
    assert sorted(names) == list("abcde")
    for name, image in zip(names, images, strict=True):
        np.testing.assert_array_equal(image, cases.images["abcde".index(name)])


def test_sources_are_mixed_by_weight(cases):
    stream = TrainStream(cases, {"most": (range(4), 0.75), "few": (range(4, 5), 0.25)}, 4, 7)
    drawn = [name for step in range(25) for name in stream.ids(step)]
    assert drawn.count("e") == 25
    assert stream.source_counts(0, 25) == {"most": 75, "few": 25}
    assert sum(stream.source_counts(3, 4).values()) == 4
