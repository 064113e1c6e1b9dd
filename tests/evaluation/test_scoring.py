"""Protocols, and the scores of several cases."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from s2a_jax.errors import UserError
from s2a_jax.evaluation.counts import TASKS
from s2a_jax.evaluation.protocols import PROTOCOLS, find_protocol
from s2a_jax.evaluation.regions import Window
from s2a_jax.evaluation.results import summarise
from s2a_jax.evaluation.scoring import Prediction, Settings, score_case, score_cases
from s2a_jax.evaluation.shared import score_shared
from tests.meeting import Meeting


def test_thresholds_of_the_protocols():
    above = np.nextafter(np.float32(128 / 255), np.float32(1))
    s2anet = PROTOCOLS["s2anet"]
    assert s2anet.side == 320
    assert not np.float32(128 / 255) >= s2anet.cut(np.zeros((2, 2)))
    assert above >= s2anet.cut(np.zeros((2, 2)))
    assert np.float32(0.3) >= find_protocol("native", 0.3, "--").cut(np.zeros((2, 2)))

    rng = np.random.default_rng(0)
    probability = rng.beta(1, 9, (50, 60)).astype(np.float32)
    probability[10:20, 10:30] = rng.beta(6, 4, (10, 20))
    levels = (probability * 255).astype(np.uint8)
    mask = probability >= PROTOCOLS["otsu"].cut(probability)
    np.testing.assert_array_equal(mask, levels > threshold_otsu(levels))
    assert not (np.full((4, 4), 0.1) >= PROTOCOLS["otsu"].cut(np.full((4, 4), 0.1))).any()


def test_invalid_protocols_thresholds_and_windows_are_refused():
    for name, threshold in (("best", None), ("native", 1.5), ("native", float("nan"))):
        with pytest.raises(UserError, match="--"):
            find_protocol(name, threshold, "--")
    for text in ("", "0", "-5", "12mm", "1e9999"):
        with pytest.raises(UserError, match="--window"):
            Window.parse(text, "--window")


def test_nan_is_refused_with_the_name_of_the_case():
    mask, probability = np.zeros((32, 32), bool), np.full((32, 32), np.nan, np.float32)
    damaged = Prediction("eye7", mask, {"rv": mask, "faz": None}, dict.fromkeys(TASKS, probability))
    with pytest.raises(UserError, match="eye7: the network predicts values that are not numbers"):
        score_cases([damaged], 1, Settings(PROTOCOLS["native"], Window.parse("20", "--window")))


@pytest.fixture(scope="module")
def cases():
    """Eight cases of three sizes; some lack a mask, one has an empty FAZ."""
    rng = np.random.default_rng(0)
    made = []
    for number, shape in enumerate([(64, 64), (40, 56), (64, 64), (40, 56), (32, 32)] * 2):
        truth = {task: rng.uniform(size=shape) < 0.2 for task in ("rv", "faz")}
        truth["faz"][:] = False
        truth["faz"][12:22, 10:24] = number != 4
        noise = {task: rng.normal(size=shape) for task in truth}
        probability = {
            task: (1 / (1 + np.exp(-(6 * mask - 3 + 1.5 * noise[task])))).astype(np.float32)
            for task, mask in truth.items()
        }
        if number in (1, 6):
            truth["faz"] = None
        image = rng.integers(0, 256, shape, np.uint8)
        made.append(Prediction(f"eye{number}", image, truth, probability, 10.0))
    return made


def test_means_and_pooled_scores_of_all_cases(cases):
    settings = Settings(PROTOCOLS["native"], Window(24, "px"), postprocess=True)
    result = score_cases(iter(cases), len(cases), settings)
    assert result.ids == [case.id for case in cases]
    assert result.um_per_px == 10.0

    masks = [(case.probability["faz"] >= 0.5, case.truth["faz"]) for case in cases]
    dice = [
        np.nan if true is None else 2 * (p & true).sum() / (p.sum() + true.sum())
        for p, true in masks
    ]
    np.testing.assert_allclose(result.values["faz"]["dice"], dice)
    both = [(p, true) for p, true in masks if true is not None]
    pooled = 2 * sum((p & t).sum() for p, t in both) / sum(p.sum() + t.sum() for p, t in both)
    summary = summarise(result)
    one = summary["faz"]["dice"]
    assert one.pooled == pytest.approx(pooled)
    assert (one.mean, one.sd, one.cases) == pytest.approx((np.nanmean(dice), np.nanstd(dice), 8))
    assert one.low < one.mean < one.high
    # The empty FAZ has neither a centroid nor a pixel for the ROC curve.
    assert summary["faz"]["pvr_dice"].cases == summary["faz"]["auc"].cases == 7
    assert summary["rv"]["dice"].cases == 10 and summary["rv"]["pvr_dice"].cases == 7
    first = masks[0]
    inside = np.s_[5:29, 5:29]  # the centroid is (16.5, 16.5)
    expected = 2 * (first[0] & first[1])[inside].sum() / sum(m[inside].sum() for m in first)
    assert result.values["faz"]["pvr_dice"][0] == pytest.approx(expected)
    assert (result.values["rv"]["hd95_um"] == 10 * result.values["rv"]["hd95_px"]).all()
    assert "cl_dice" in summary["rv"] and "cl_dice" not in summary["faz"]
    assert summary["faz_post"]["dice"].mean > one.mean
    assert summary["faz_post"]["betti0_error"].mean < summary["faz"]["betti0_error"].mean
    score = [shown.score for shown in (*result.best(), *reversed(result.worst()))]
    assert score == sorted(score, reverse=True) and len(score) == 6


def test_a_window_in_micrometres_needs_the_pitch(cases):
    case = cases[0]
    unknown = Prediction(case.id, case.image, case.truth, case.probability)
    settings = Settings(PROTOCOLS["otsu"], Window(200, "um"))
    result = score_cases([case], 1, settings)
    assert all(one.pooled is None for one in summarise(result)["rv"].values())
    with pytest.raises(UserError, match="pitch"):
        score_cases([unknown], 1, settings)
    result = score_cases([unknown], 1, Settings(PROTOCOLS["otsu"], Window(20, "px")))
    assert "hd95_um" not in result.values["rv"]


def test_a_task_without_predictions_is_not_scored(cases):
    settings = Settings(PROTOCOLS["native"], Window(24, "px"), postprocess=True)
    both = score_cases(iter(cases), len(cases), settings)
    vessels = [replace(case, probability={"rv": case.probability["rv"]}) for case in cases]
    result = score_cases(iter(vessels), len(cases), settings)
    assert set(result.values) == set(result.pooled) == set(result.curves) == {"rv"}
    np.testing.assert_array_equal(result.values["rv"]["dice"], both.values["rv"]["dice"])
    assert "faz_area_mm2" not in result.biomarkers
    zones = [replace(case, probability={"faz": case.probability["faz"]}) for case in cases]
    result = score_cases(iter(zones), len(cases), settings)
    dice = [row for row in result.values["faz"]["dice"] if not np.isnan(row)]
    assert result.best()[0].score == max(dice)
    assert len(dice) == 8  # the other two have no such mask


@pytest.mark.parametrize("number", [1, 2, 3])
def test_any_number_of_processes_gives_the_same_numbers_and_pictures(cases, number):
    """Two rows a process and batch; the last batch has four cases."""
    settings = Settings(PROTOCOLS["native"], Window(24, "px"), postprocess=True)
    expected = score_cases(iter(cases), len(cases), settings)
    meeting, ids = Meeting(number), [case.id for case in cases]

    def scored(index):
        batches = (range(first, 10) for first in range(0, 10, 2 * number))
        own = [i for batch in batches for i in batch[2 * index : 2 * (index + 1)]]
        mine = (cases[i] for i in own)
        return score_shared(mine, own, ids, settings, meeting.exchange(index))

    with ThreadPoolExecutor(number) as pool:
        results = list(pool.map(scored, range(number)))
    for result in results:
        with np.printoptions(floatmode="unique"):
            assert repr(vars(result) | {"shown": ()}) == repr(vars(expected) | {"shown": ()})
        for ours, theirs in zip(result.shown, expected.shown, strict=True):
            assert (ours.id, ours.score) == (theirs.id, theirs.score)
            np.testing.assert_array_equal(ours.image, theirs.image)
            for task in TASKS:
                np.testing.assert_array_equal(ours.masks[task], theirs.masks[task])
                np.testing.assert_equal(ours.truth[task], theirs.truth[task])


def test_a_case_that_nobody_or_everybody_scores_is_no_result(cases):
    settings = Settings(PROTOCOLS["native"], Window(24, "px"))
    for mine, ids in (([0, 1], ["eye0", "eye1", "eye2"]), ([0, 0], ["eye0"])):
        with pytest.raises(RuntimeError, match="twice, or not at all"):
            score_shared(cases[:2], mine, ids, settings, lambda work: [work()])


def test_processes_with_other_cases_all_say_so(cases):
    settings, meeting = Settings(PROTOCOLS["native"], Window(24, "px")), Meeting(2)

    def scored(index):
        ids = ["eye0", "eye1" if index else "eye7"]
        with pytest.raises(UserError, match="evaluate different cases"):
            score_shared([cases[index]], [index], ids, settings, meeting.exchange(index))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(scored, range(2)))


@pytest.mark.parametrize("bare", [range(4, 7), range(10)])
def test_cases_without_masks_are_neither_best_nor_worst(cases, bare):
    settings = Settings(PROTOCOLS["native"], Window(24, "px"))
    without = [
        dataclasses.replace(case, truth=dict.fromkeys(TASKS)) if i in bare else case
        for i, case in enumerate(cases)
    ]
    dice = {case.id: float(row.score) for case in cases for row in [score_case(case, settings)]}
    order = sorted((c.id for i, c in enumerate(cases) if i not in bare), key=lambda one: -dice[one])
    result = score_cases(iter(without), len(cases), settings)
    assert [one.id for one in result.shown] == [*order[:3], *order[3:][-3:]]
    assert result.ids == [case.id for case in cases]
