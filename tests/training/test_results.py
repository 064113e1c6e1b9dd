"""What a run says about how it evaluated."""

import numpy as np
import pytest

from s2a_jax.data.cases import Case, stacked
from s2a_jax.evaluation.protocols import PROTOCOLS
from s2a_jax.training.results import resizing_notes


@pytest.mark.parametrize(
    ("native", "protocol", "said"),
    [(64, "s2anet", ()), (96, "native", ("1 images were resized to 64 px",)),
     (96, "s2anet", ("1 images were resized to 64 px", "again, to 320 px"))],
)  # fmt: skip
def test_resizing_twice_is_said(native, protocol, said):
    image = np.zeros((64, 64), np.float32)
    cases = stacked(["a"], [Case(image, image > 0, None, (native, native))], 64)
    notes = " ".join(resizing_notes(cases, 64, PROTOCOLS[protocol]))
    assert all(part in notes for part in said) and bool(notes) == bool(said)
    assert ("again" in notes) == (len(said) == 2)
