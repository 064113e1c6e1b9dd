"""What a run leaves of its best network: counts, pictures, notes, pitch, weights."""

from types import SimpleNamespace

import flax.linen as nn
import numpy as np
import pytest

from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.console import make_console
from s2a_jax.convert.weights import Description, read_weights
from s2a_jax.data.cases import Case, stacked
from s2a_jax.evaluation.protocols import PROTOCOLS
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training import checkpoint, results
from s2a_jax.training.evaluator import count_cases, make_evaluator
from s2a_jax.training.results import (
    _predictions,
    draw_overlays,
    resizing_notes,
    write_run_results,
)
from s2a_jax.training.sharding import make_mesh


class Copy(nn.Module):
    """Takes the image for the vessels' logits, and its negative for the FAZ's."""

    def __call__(self, x, *, train):
        return {"rv": x, "faz": -x}


EVALUATOR = make_evaluator(
    Copy(), Description("copy", {}), (), make_mesh(), batch_size=8, threshold=0.6
)


def test_every_case_is_counted_once():
    dark, bright = np.zeros((32, 32), np.float32), np.ones((32, 32), np.float32)
    truth = np.ones((32, 32), bool)
    cases = [Case(image, truth, None, (32, 32)) for image in [dark, bright] * 5]  # two batches
    evaluation = count_cases(EVALUATOR, {}, stacked(list("abcdefghij"), cases, 32))
    assert evaluation.ids == tuple("abcdefghij") and evaluation.tasks() == ["rv"]
    np.testing.assert_array_equal(evaluation.counts["rv"]["tp"], [0, 1024] * 5)


def test_both_tasks_are_counted_with_their_own_masks():
    """A network whose vessels are the bright half and whose FAZ lies nowhere."""
    image = np.zeros((32, 32), np.float32)
    image[:, 16:] = 1
    case = Case(image, image > 0, image == 0, (32, 32))
    counts = count_cases(EVALUATOR, {}, stacked(["a"], [case], 32)).counts
    assert {name: counts["rv"][name][0] for name in ("tp", "fp", "fn", "tn")} == {
        "tp": 512, "fp": 0, "fn": 0, "tn": 512
    }  # fmt: skip
    assert {name: counts["faz"][name][0] for name in ("tp", "fp", "fn", "tn")} == {
        "tp": 0, "fp": 0, "fn": 512, "tn": 512
    }  # fmt: skip


def eight_cases():
    """Cases of growing brightness; the first and the last lack a FAZ."""
    images = [np.full((32, 32), i / 8, np.float32) for i in range(8)]
    masks = [None if i in (0, 7) else image < 2 for i, image in enumerate(images)]
    return stacked(
        [f"eye{i}" for i in range(8)],
        [Case(a, a < 2, b, (32, 32)) for a, b in zip(images, masks, strict=True)],
        32,
    )


@pytest.mark.parametrize(
    ("number", "chosen"), [(3, [1, 3, 6]), (2, [1, 6]), (7, [1, 2, 3, 4, 5, 6, 0]), (0, [])]
)
def test_pictures_are_spread_over_the_cases_with_both_masks(monkeypatch, tmp_path, number, chosen):
    drawn = []
    monkeypatch.setattr(results, "save_comparison", lambda *a: drawn.append(a))
    draw_overlays(EVALUATOR, {}, eight_cases(), tmp_path / "x", number=number, threshold=0.6)
    assert [path.name for path, *_ in drawn] == [f"eye{i}.png" for i in chosen]
    for i, (_, image, truth, predicted, caption) in zip(chosen, drawn, strict=True):
        np.testing.assert_allclose(image, i / 8, atol=0.01)
        is_vessel = 1 / (1 + np.exp(-i / 8)) >= 0.6
        assert predicted["rv"].all() == is_vessel and not predicted["faz"].any()
        assert truth["rv"].all() and (truth["faz"] is None) == (i in (0, 7))
        dice = f"RV Dice {is_vessel:.3f}" + ("" if i in (0, 7) else "   FAZ Dice 0.000")
        assert caption == f"eye{i}   threshold 0.6   {dice}"


@pytest.mark.parametrize(("choose", "chosen"), [("best", 4), ("last", 6)])
def test_the_chosen_checkpoint_is_evaluated_and_shipped(monkeypatch, tmp_path, choose, chosen):
    class Scaled(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            x = x * self.param("scale", nn.initializers.ones, ())
            return {"rv": x, "faz": x}

    description = Description("unet", {"widths": [1]})
    evaluator = make_evaluator(Scaled(), description, (), make_mesh(), batch_size=8, threshold=0.5)
    cases = eight_cases()
    test = stacked(["t"], [Case(np.ones((32, 32), np.float32), None, None, (32, 32))], 32)
    dataset = SimpleNamespace(val=cases, test=test, size=32, pitch=lambda *_: 7.0)
    setup = SimpleNamespace(
        dataset=dataset, evaluator=evaluator, training=SimpleNamespace(abstract="abstract")
    )
    restored, written, drawn = [], [], []

    class Checkpoints:
        best, latest_step, chosen = (4, 0.9), 6, checkpoint.Checkpoints.chosen

        def set_damaged_aside(self):
            restored.append("checked")

        def restore(self, step, abstract):
            restored.append((step, abstract))
            variables = {"params": {"scale": np.float32(step)}}
            return SimpleNamespace(variables=lambda: variables)

    def score_set(evaluator, variables, cases, settings, pitch):
        return cases.ids, variables["params"]["scale"], settings.protocol.name, pitch("x", (1, 1))

    def write_results(scores, subject, folder):
        written.append((scores, subject.split, subject.step, subject.network, folder))
        return subject.split

    monkeypatch.setattr(results, "score_set", score_set)
    monkeypatch.setattr(results, "write_results", write_results)
    monkeypatch.setattr(results, "draw_overlays", lambda *a, **b: drawn.append((a[2], b)))
    config = resolve(load_config("default")).eval
    config.update({"overlays": 2, "threshold": 0.7, "choose": choose})
    workdir, console = Workdir(tmp_path), make_console(quiet=True)
    workdir.results.mkdir()
    write_run_results(config, setup, Checkpoints(), workdir, console)
    assert restored == ["checked", (chosen, "abstract")]
    assert written == [
        ((of.ids, chosen, "native", 7.0), split, chosen, "unet", workdir.results)
        for split, of in (("val", cases), ("test", test))
    ]
    assert drawn == [(cases, {"number": 2, "threshold": 0.7})]
    shipped, variables = read_weights(workdir.weights)
    assert shipped == description and variables["params"]["scale"] == chosen
    assert (workdir.results / "table.txt").read_text().split() == ["val", "test"]


@pytest.mark.parametrize(
    ("native", "protocol", "expected"),
    [
        ((64, 64), "s2anet", ()),
        ((96, 96), "native", ("1 image was resized to 64 px",)),
        ((96, 96), "s2anet", ("1 image was resized to 64 px", "again, to 320 px")),
        (
            (96, 48),
            "native",
            ("1 image was resized", "stretched to 64x64 px: they get no values"),
        ),
        ((64, 48), "native", ("1 image was resized", "stretched to 64x64 px")),
        ((96, 48), "s2anet", ("again, to 320 px", "stretched to 320x320 px: they get no values")),
    ],
)
def test_notes_about_resizing(native, protocol, expected):
    image = np.zeros((64, 64), np.float32)
    cases = stacked(["a"], [Case(image, image > 0, None, native)], 64)
    notes = " ".join(resizing_notes(cases, 64, PROTOCOLS[protocol]))
    assert all(part in notes for part in expected) and bool(notes) == bool(expected)
    assert ("again" in notes) == any("again" in part for part in expected)


@pytest.mark.parametrize(("protocol", "pitches"), [("native", [15, None]), ("s2anet", [3, None])])
def test_pixels_that_are_no_longer_square_have_no_pitch(protocol, pitches):
    image = np.zeros((64, 64), np.float32)
    made = [Case(image, image > 0, None, native) for native in ((96, 96), (96, 48))]
    cases = stacked(["a", "b"], made, 64)
    found = list(_predictions(EVALUATOR, {}, cases, PROTOCOLS[protocol], lambda *_: 10.0))
    assert [one.um_per_px for one in found] == pitches
    assert [len(one.image) for one in found] == [PROTOCOLS[protocol].side or 64] * 2
