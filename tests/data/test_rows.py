"""Cases that are decoded when they are needed: the same batches, in little memory."""

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2a_jax.cli import run as main
from s2a_jax.config.load import load_config
from s2a_jax.data import reader, rows, selection
from s2a_jax.data.cases import Case, CaseSet
from s2a_jax.data.load import load_run_data
from s2a_jax.data.pipeline import TrainStream, evaluation_batches, own_cases
from s2a_jax.data.rows import LazyCaseSet, Room, in_memory, join, resize_cases
from s2a_jax.data.selection import select_cases
from s2a_jax.data.survey import Share, survey
from s2a_jax.errors import UserError
from tests.meeting import Meeting

SIDE = 32
BYTES = 3 * SIDE * SIDE  # of a case of 8 bits


def draw(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def make(root, train, deep=False, stem="eye"):
    """`train` cases, two of val and one of test; every third has no FAZ mask; one is larger."""
    rng = np.random.default_rng(train)
    for split, number in (("train", train), ("val", 2), ("test", 1)):
        for i in range(number):
            shape = (48, 48) if (split, i) == ("train", 1) else (SIDE, SIDE)
            image = rng.integers(0, 65536 if deep else 256, shape)
            draw(
                root / split / f"images/{stem}{i}.png",
                image.astype(np.uint16 if deep else np.uint8),
            )
            for kind in ("rv", "faz")[: 1 + (i % 3 > 0)]:
                mask = np.where(rng.uniform(size=shape) > 0.8, 255, 0).astype(np.uint8)
                draw(root / split / f"masks/{stem}{i}_{kind}.png", mask)
    return root


@pytest.fixture(scope="module", params=["folder", "prepared", "mixture"])
def section(request, tmp_path_factory):
    """A data section for each way to read: files, a prepared set, two sources of two types."""
    home = tmp_path_factory.mktemp(request.param)
    data = load_config("default").data
    root = make(home / "raw", 20)
    if request.param == "prepared":
        assert main(["prepare", "folder", "--from", str(root), "--to", str(home / "to")]) == 0
        root = home / "to"
    if request.param == "mixture":
        other = make(home / "other", 5, deep=True, stem="deep")
        data.mixture.others = (f"name=folder,root={other},weight=0.3",)
    name = "prepared" if request.param == "prepared" else "folder"
    data.update({"name": name, "root": str(root), "size": SIDE})
    return data


def everything(dataset, process_index=0, process_count=1):
    """Two passes of training batches, and the batches of an evaluation."""
    which = (process_index, process_count)
    stream = TrainStream(dataset.train, dataset.sources, 4, 7, *which)
    training = list(islice(stream.starting_at(0), 10))
    assert len(stream.ids(9)) == 4
    return training, [batch for _, batch in evaluation_batches(dataset.val, 4, *which)]


def with_room(section, size):
    data = section.copy_and_resolve_references()
    data.cache_gib = size / 2**30
    return data


def assert_same(ours, theirs):
    for batch, other in zip(ours, theirs, strict=True):
        for name, values in other.items():
            assert batch[name].dtype == values.dtype
            np.testing.assert_array_equal(batch[name], values)


@pytest.mark.parametrize("room", [0, 4 * BYTES])
def test_a_run_without_room_for_its_cases_reads_the_same_batches(section, room):
    whole, lazy = load_run_data(section), load_run_data(with_room(section, room))
    assert isinstance(whole.train, CaseSet) and isinstance(lazy.train, LazyCaseSet)
    for ours, theirs in zip(everything(lazy), everything(whole), strict=True):
        assert_same(ours, theirs)
    assert lazy.fingerprints() == whole.fingerprints() and len(whole.fingerprints()) >= 23
    *notes, last = lazy.notes
    assert tuple(notes) == whole.notes and "more than config.data.cache_gib" in last
    for split in ("train", "val", "test"):
        ours, theirs = getattr(lazy, split), getattr(whole, split)
        assert (ours.ids, ours.notes) == (theirs.ids, theirs.notes)
        for field in ("has_rv", "has_faz", "native_sizes"):
            np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field))


@pytest.fixture
def most(monkeypatch):
    """The largest number of decoded cases that were in memory at once, in a list."""
    made, most, lock = weakref.WeakSet(), [0], threading.Lock()
    row_of = rows.row_of

    class Pixels(np.ndarray):
        """An array that a set of weak references can hold."""

        __hash__ = object.__hash__

    def counted(case):
        row = row_of(case)
        row = row._replace(image=row.image.view(Pixels))
        with lock:
            made.add(row.image)
            most[0] = max(most[0], len(made))
        return row

    monkeypatch.setattr(rows, "row_of", counted)
    return most


def test_decoded_cases_in_memory_are_few(section, most):
    lazy = load_run_data(with_room(section, 3 * BYTES))
    everything(lazy)
    # Three are kept; four threads survey, or two threads stack batches of four.
    assert 3 <= most[0] <= 3 + 2 * 4 + 2


def test_an_evaluation_without_room_for_its_cases_reads_the_same_ones(section, monkeypatch, most):
    whole = select_cases(Path(section.root), "train")
    expected = [case._replace(image=case.image.copy()) for case in whole.cases]
    assert len(expected) == 20 and most[0] == 20
    del whole
    most[0] = 0
    monkeypatch.setattr(selection, "_ROOM", 3 * BYTES)
    lazy = select_cases(Path(section.root), "train")
    assert lazy.sizes == tuple(case.image.shape for case in expected)
    for ours, theirs in zip(lazy.cases, expected, strict=True):
        assert ours.image.dtype == theirs.image.dtype
        np.testing.assert_array_equal(ours.image, theirs.image)
        for task in ("rv", "faz"):
            np.testing.assert_equal(getattr(ours, task), getattr(theirs, task))
    assert sum(case.faz is None for case in expected) == 7
    assert 3 <= most[0] <= 3 + 4 + 2
    limited = select_cases(Path(section.root), "train", limit=4)
    assert limited.ids == lazy.ids[:4] and len([*limited.cases]) == 4


@pytest.mark.parametrize("room", [2 * BYTES, 2**30])
def test_processes_survey_their_share_and_decode_what_they_use(section, room, monkeypatch):
    """Two threads stand for processes."""
    alone, meeting = load_run_data(section), Meeting(2)
    which, decoded = threading.local(), ([], [])
    survey_ = reader.survey

    def counted(read, count, *rest, **options):
        index = which.index

        def reading(i):
            decoded[index].append((count, i))
            return read(i)

        return survey_(reading, count, *rest, **options)

    monkeypatch.setattr(reader, "survey", counted)

    def run(index):
        which.index = index
        share = Share(index, 2, meeting.exchange(index))
        dataset = load_run_data(with_room(section, room), share)
        surveyed = len(decoded[index])
        return dataset, surveyed, everything(dataset, index, 2)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, range(2)))
    expected = everything(alone)
    total = len(alone.fingerprints())
    for index, (dataset, surveyed, batches) in enumerate(results):
        assert abs(surveyed - total / 2) <= 2  # half of each split
        assert dataset.fingerprints() == alone.fingerprints()
        assert dataset.notes[: len(alone.notes)] == alone.notes
        halves = [
            [{k: v[2 * index : 2 * index + 2] for k, v in batch.items()} for batch in part]
            for part in expected
        ]
        for ours, theirs in zip(batches, halves, strict=True):
            assert_same(ours, theirs)
        if room > 2 * BYTES:  # two threads may decode a case at the same time
            assert len(decoded[index]) <= total + 2


def test_processes_that_see_different_data_say_so():
    meeting = Meeting(2)
    image = np.zeros((SIDE, SIDE), np.uint8)

    def run(index):
        share = Share(index, 2, meeting.exchange(index))
        case = Case(image, None, image > 0, image.shape)
        with pytest.raises(UserError, match="see different data: 4, 5 cases"):
            survey(lambda i: (f"eye{i}", case), 4 + index, SIDE, Room(0), share)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(2)))


def test_processes_that_see_as_many_other_files_say_so(tmp_path, monkeypatch):
    """Both lack a case; which one differs, and nothing is decoded."""
    meeting, roots = Meeting(2), [make(tmp_path / name, 4) for name in "ab"]
    for index, root in enumerate(roots):
        (root / f"train/images/eye{index}.png").unlink()
    monkeypatch.setattr(reader, "read_case", lambda files: pytest.fail("a case was decoded"))

    def run(index):
        data = load_config("default").data
        data.update({"name": "folder", "root": str(roots[index]), "size": SIDE})
        with pytest.raises(UserError, match="of 3 cases each, processes 0 and 1 read other files"):
            load_run_data(data, Share(index, 2, meeting.exchange(index)))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(2)))


def test_a_case_that_changes_after_the_survey_is_refused(tmp_path):
    root = make(tmp_path / "raw", 3)
    data = load_config("default").data
    data.update({"name": "folder", "root": str(root), "size": SIDE, "cache_gib": 0.0})
    dataset = load_run_data(data)
    file = root / "train/images/eye0.png"
    pixels = np.asarray(Image.open(file))
    np.testing.assert_array_equal(dataset.train.row(0).image, np.float32(pixels) / 255)
    draw(file, 255 - pixels)
    with pytest.raises(UserError, match="eye0 have changed since the program started"):
        dataset.train.row(0)


def test_a_room_that_is_no_number_of_gib_is_refused():
    data = load_config("default").data
    data.update({"name": "folder", "root": "nowhere", "size": SIDE, "cache_gib": -1.0})
    with pytest.raises(UserError, match=r"config\.data\.cache_gib=-1\.0: expected"):
        load_run_data(data)


def made_set(images, room=2**20, has_faz=True):
    cases = [Case(image, image > 0, image > 1 if has_faz else None, (8, 8)) for image in images]
    return survey(lambda i: (f"eye{i}", cases[i]), len(cases), SIDE, Room(room), Share())


def test_joined_sets_are_float_if_one_is():
    eight = made_set([np.full((SIDE, SIDE), value, np.uint8) for value in (51, 255)])
    deep = made_set([np.full((SIDE, SIDE), 1 / 3, np.float32)], has_faz=False)
    assert join([eight, eight]).image_dtype == np.uint8
    both = in_memory(join([eight, made_set([]), deep]))
    assert both.ids == ("eye0", "eye1", "eye0") and both.images.dtype == np.float32
    np.testing.assert_array_equal(both.images[:, 0, 0], np.float32([0.2, 1, 1 / 3]))
    np.testing.assert_array_equal(both.has_faz, [True, True, False])
    assert not both.faz[2].any() and both.rv.all() and both.digests == eight.digests + deep.digests


def test_resized_cases_have_another_shape_and_the_same_facts():
    cases = made_set([np.full((SIDE, SIDE), 51, np.uint8)] * 2, has_faz=False)
    large = resize_cases(cases, 64)
    image, rv, faz = large.row(1)
    assert (large.image_shape, image.dtype, rv.dtype) == ((64, 64), np.float32, np.uint8)
    np.testing.assert_allclose(image, 0.2, rtol=1e-6)
    assert rv.all() and not faz.any() and rv.shape == (64, 64)
    assert large.ids == cases.ids and not large.has_faz.any()


@pytest.mark.parametrize("total", [1, 4, 9])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_every_case_is_in_the_rows_of_one_process(total, number):
    parts = [slice(first, min(first + 4, total)) for first in range(0, total, 4)]
    found = [
        i for index in range(number) for part in parts for i in own_cases(part, 4, index, number)
    ]
    assert sorted(found) == list(range(total))
