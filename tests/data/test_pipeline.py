"""The order of training cases, and what a batch holds of them."""

import numpy as np
import pytest

from s2a_jax.data.cases import CaseSet
from s2a_jax.data.pipeline import TrainStream, evaluation_batches

COUNT, BATCH = 12, 4


@pytest.fixture(scope="module")
def cases():
    """Case i has the image i; odd ones lack the FAZ mask, every third the vessel mask."""
    number = np.arange(2 * COUNT, dtype=np.uint8)
    images = np.broadcast_to(number[:, None, None], (2 * COUNT, 4, 4))
    return CaseSet(
        ids=tuple(f"{i:02}" for i in number),
        images=images,
        rv=(images % 5 == 0).astype(np.uint8),
        faz=(images % 7 == 0).astype(np.uint8),
        has_rv=number % 3 != 0,
        has_faz=number % 2 == 0,
        native_sizes=np.full((2 * COUNT, 2), 4, np.int32),
    )


def passes(cases, seed, sources=None):
    """The names of three passes over the first source."""
    sources = sources or {"one": (range(COUNT), 1.0)}
    stream = TrainStream(cases, sources, BATCH, seed)
    steps = len(sources) * 3 * COUNT // BATCH
    names = [name for step in range(steps) for name in stream.ids(step)]
    names = [name for name in names if int(name) < COUNT]
    return [names[first : first + COUNT] for first in range(0, 3 * COUNT, COUNT)]


def test_every_pass_has_an_order_of_its_own(cases):
    every = [one for seed in (0, 1) for one in passes(cases, seed)]
    ordered = [f"{i:02}" for i in range(COUNT)]
    assert all(sorted(one) == ordered for one in every)
    assert len({tuple(one) for one in (*every, ordered)}) == 7


def test_sources_are_shuffled_independently(cases):
    halves = {"one": (range(COUNT), 0.5), "other": (range(COUNT, 2 * COUNT), 0.5)}
    stream = TrainStream(cases, halves, BATCH, 3)
    names = [int(name) for step in range(2 * COUNT // BATCH) for name in stream.ids(step)]
    one, other = ([n % COUNT for n in names if (n < COUNT) == first] for first in (True, False))
    assert sorted(one) == sorted(other) == [*range(COUNT)] and one != other
    assert passes(cases, 3, halves)[0] == [f"{n:02}" for n in one]


def test_a_batch_has_the_masks_of_its_cases(cases):
    stream = TrainStream(cases, {"one": (range(COUNT), 1.0)}, BATCH, 0)
    batches = stream.starting_at(0)
    for step in range(3):
        batch, numbers = next(batches), np.array([int(name) for name in stream.ids(step)])
        np.testing.assert_array_equal(batch["image"][:, 0, 0], numbers)
        np.testing.assert_array_equal(batch["rv"][:, 0, 0], numbers % 5 == 0)
        np.testing.assert_array_equal(batch["faz"][:, 0, 0], numbers % 7 == 0)
        np.testing.assert_array_equal(batch["has_rv"], numbers % 3 != 0)
        np.testing.assert_array_equal(batch["has_faz"], numbers % 2 == 0)


@pytest.mark.parametrize(("process", "expected"), [(0, [20, 21]), (1, [22, 23])])
def test_an_evaluation_goes_in_order_and_repeats_the_last_case(cases, process, expected):
    batches = [*evaluation_batches(cases, 4, process, 2)]
    assert [part for part, _ in batches] == [slice(i, i + 4) for i in range(0, 24, 4)]
    assert batches[-1][1]["image"][:, 0, 0].tolist() == expected
    (*_, (part, batch)) = evaluation_batches(cases, 10)
    assert part == slice(20, 24)
    assert batch["image"][:, 0, 0].tolist() == [20, 21, 22, *[23] * 7]
