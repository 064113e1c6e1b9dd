"""Size, crop, batch and epochs of a run, by hand."""

import pytest

from s2a_jax.data.plan import Facts, Plan, make_plan

RECIPE = {"size": 0, "crop": 192, "batch_size": 8, "epochs": None}
TRAINED = (6.5, 15.75)


@pytest.mark.parametrize(
    ("facts", "given", "expected"),
    [
        # 48 cases, 6 updates an epoch, 480 updates; 304 px stay.
        (Facts(48, 304.0), {}, Plan(304, 192, 8, 80, 8)),
        # 5 cases make a batch of 5, one update an epoch; 500 px become 496.
        (Facts(5, 500.0), {}, Plan(496, 192, 5, 480, 48)),
        # 3 mm on 1024 px: 2.93 um, too fine, become 6.5 um: 461.4 px, 464.
        (Facts(8, 1024.0, 2.93, TRAINED), {}, Plan(464, 192, 8, 480, 48)),
        # A pitch that the start knows stays, and so does one that nobody compares.
        (Facts(8, 1024.0, 11.7, TRAINED), {}, Plan(1024, 192, 8, 480, 48)),
        (Facts(8, 1024.0, 2.93), {}, Plan(1024, 192, 8, 480, 48)),
        # 12 mm on 500 px: 24 um, too coarse, become 15.75 um: 761.9 px, 768.
        (Facts(8, 500.0, 24.0, TRAINED), {}, Plan(768, 192, 8, 480, 48)),
        # Small images are taken whole; half of the batches are of another source: 32 updates.
        (Facts(128, 100.0, weight=0.5), {}, Plan(96, 0, 8, 15, 1)),
        # What is chosen stays.
        (Facts(48, 304.0), {"size": 160, "epochs": 7, "batch_size": 4, "crop": 64},
         Plan(160, 64, 4, 7, 1)),
    ],
)  # fmt: skip
def test_a_budget_of_480_updates(facts, given, expected):
    assert make_plan(facts, 480, **(RECIPE | given)) == expected
