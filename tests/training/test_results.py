"""Notes of a run about resizing, and the pixel pitch that it measures with."""

import flax.linen as nn
import numpy as np
import pytest

from s2a_jax.convert.weights import Description
from s2a_jax.data.cases import Case, stacked
from s2a_jax.evaluation.protocols import PROTOCOLS
from s2a_jax.training.evaluator import count_cases, make_evaluator
from s2a_jax.training.results import _predictions, resizing_notes
from s2a_jax.training.sharding import make_mesh


class Copy(nn.Module):
    """Takes the image for the logits of both tasks."""

    def __call__(self, x, *, train):
        return {"rv": x, "faz": x}


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
