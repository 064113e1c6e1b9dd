"""What a run says about how it evaluated, and the pitch that it measures with."""

from types import SimpleNamespace

import numpy as np
import pytest

from s2a_jax.data.cases import Case, stacked
from s2a_jax.evaluation.protocols import PROTOCOLS
from s2a_jax.evaluation.regions import Window
from s2a_jax.evaluation.scoring import Settings
from s2a_jax.training.results import _predictions, resizing_notes
from s2a_jax.training.sharding import make_mesh


@pytest.mark.parametrize(
    ("native", "protocol", "said"),
    [
        ((64, 64), "s2anet", ()),
        ((96, 96), "native", ("1 images were resized to 64 px",)),
        ((96, 96), "s2anet", ("1 images were resized to 64 px", "again, to 320 px")),
        ((96, 48), "native", ("1 images were resized", "stretched to 64x64 px: no micrometres")),
        ((96, 48), "s2anet", ("again, to 320 px", "stretched to 320x320 px: no micrometres")),
    ],
)
def test_what_a_run_says_about_resizing(native, protocol, said):
    image = np.zeros((64, 64), np.float32)
    cases = stacked(["a"], [Case(image, image > 0, None, native)], 64)
    notes = " ".join(resizing_notes(cases, 64, PROTOCOLS[protocol]))
    assert all(part in notes for part in said) and bool(notes) == bool(said)
    assert ("again" in notes) == any("again" in part for part in said)


@pytest.mark.parametrize(("protocol", "pitches"), [("native", [15, None]), ("s2anet", [3, None])])
def test_pixels_that_are_no_longer_square_have_no_pitch(protocol, pitches):
    image = np.zeros((64, 64), np.float32)
    made = [Case(image, image > 0, None, native) for native in ((96, 96), (96, 48))]
    setup = SimpleNamespace(
        dataset=SimpleNamespace(pitch=lambda *_: 10.0),
        eval_batch_size=8,
        mesh=make_mesh(),
        predict_batch=lambda _, images: dict.fromkeys(("rv", "faz"), images),
    )
    config = SimpleNamespace(eval=SimpleNamespace(um_per_px=None))
    settings = Settings(PROTOCOLS[protocol], Window(20, "px"))
    found = list(_predictions(config, setup, None, stacked(["a", "b"], made, 64), settings))
    assert [one.um_per_px for one in found] == pitches
    assert [len(one.image) for one in found] == [PROTOCOLS[protocol].side or 64] * 2
