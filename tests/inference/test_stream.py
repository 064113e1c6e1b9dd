"""Many images at once: the numbers of single images, in groups of one size, in bounded memory."""

import contextlib
import threading
import time

import jax
import numpy as np
import pytest

from s2a_jax.convert.weights import TASKS
from s2a_jax.errors import UserError
from s2a_jax.inference import batches, segmenter, stream
from s2a_jax.inference.batches import by_size
from s2a_jax.inference.pieces import Prepared
from s2a_jax.inference.scale import scale_for
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inference.stream import predict_stream
from tests.networks import drawn_unet


@pytest.fixture(scope="module")
def model():
    return drawn_unet()


@pytest.mark.parametrize("batch_size", [None, 3])
def test_batches_on_eight_devices_give_the_numbers_of_single_images(model, batch_size):
    assert jax.device_count() == 8
    rng = np.random.default_rng(0)
    sizes = [(40, 33), (30, 32), (48, 48), (32, 20)] * 3  # padded to 48 x 48 and 32 x 32
    images = [rng.integers(0, 256, size, np.uint8) for size in sizes]
    found = {}
    written = predict_stream(
        model.predictor(batch_size),
        range(len(images)),
        read=lambda n: (n, model.prepare(images[n])),
        write=found.__setitem__,
        failed=_none_fails,
    )
    assert sum(written) == len(found) == len(images)
    for n, image in enumerate(images):
        for task, expected in model.predict_proba(image).items():
            assert expected.std() > 1e-4
            np.testing.assert_allclose(found[n].probability[task], expected, atol=2e-6)


def _none_fails(item, error):
    raise AssertionError(f"{item}: {error}")


def _images(*sizes):
    return [
        (n, Prepared(np.zeros(size), scale_for(size, None, None), ("rv",), False, "").pieces[0])
        for n, size in enumerate(sizes)
    ]


def test_groups_of_one_size(monkeypatch):
    small, large = (32, 32), (48, 48)
    images = _images(small, large, small, small, large, small, small)
    rows = {small: 3, large: 2}.get
    groups = [[n for n, _ in group] for group in by_size(images, rows)]
    assert groups == [[0, 2, 3], [1, 4], [5, 6]]
    monkeypatch.setattr(batches, "_WAITING", 32 * 32 + 48 * 48)
    groups = [[n for n, _ in group] for group in by_size(images, rows)]
    assert groups == [[1], [0, 2, 3], [4], [5, 6]]  # the largest goes when more would wait


def test_only_a_few_images_are_in_memory(model, monkeypatch):
    def predict_step(_, images, *, module):
        return {"rv": images, "faz": images}

    monkeypatch.setattr(batches, "predict_step", predict_step)
    monkeypatch.setattr(stream, "cores", lambda: 2)
    lock, alive, most = threading.Lock(), 0, 0

    def read(n):
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return n, model.prepare(np.full((32, 32), n % 256, np.uint8))

    def write(n, computed):
        nonlocal alive
        np.testing.assert_allclose(computed.probability["rv"], n % 256 / 255, atol=1e-6)
        with lock:
            alive -= 1

    written = predict_stream(model.predictor(), iter(range(1000)), read, write, _none_fails)
    assert sum(written) == 1000
    assert alive == 0
    assert 8 <= most <= 60  # batches of 8: two at most computing, three written, and read ahead


@pytest.mark.parametrize(
    ("size", "um_per_px", "expected"),
    [((32, 32), 13.0, 16), ((32, 32), 26.0, 4), ((64, 64), 6.5, 4)],
)
def test_what_is_read_ahead_is_bounded_by_the_larger_size(monkeypatch, size, um_per_px, expected):
    """Of an image's own size and that which the network sees: 13 um per pixel at most."""
    monkeypatch.setattr(stream, "_AHEAD", 4 * 64 * 64)
    scale = scale_for(size, um_per_px, (6.5, 13.0))
    image = Prepared(np.zeros(scale.network_size), scale, ("rv",), False, "")
    begun = []

    def read(n):
        begun.append(n)
        return n, image

    ahead = []
    with contextlib.closing(stream._read_ahead(range(100), read, 8)) as images:
        for n, _ in images:
            time.sleep(0.002)
            ahead.append(len(begun) - n - 1)
    assert max(ahead[20:]) == expected


def test_an_item_that_cannot_be_read_is_left_out(model, monkeypatch):
    monkeypatch.setattr(
        batches, "predict_step", lambda _, images, *, module: dict.fromkeys(TASKS, images)
    )
    failures, found = [], {}

    def read(n):
        if n in (0, 7, 12):
            raise UserError(f"{n} is damaged")
        return n, model.prepare(np.full((32, 32), n, np.uint8))

    def failed(item, error):
        failures.append((item, str(error)))

    written = predict_stream(model.predictor(8), range(13), read, found.__setitem__, failed)
    assert sum(written) == 10
    assert failures == [(n, f"{n} is damaged") for n in (0, 7, 12)]
    assert sorted(found) == [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    for n, computed in found.items():
        np.testing.assert_allclose(computed.probability["rv"], n / 255, atol=1e-6)


def test_programs_of_many_sizes_are_dropped(model, monkeypatch):
    monkeypatch.setattr(batches, "predict_step", lambda _, images, *, module: {"rv": images})
    monkeypatch.setattr(batches, "_PROGRAMS", 3)
    predictor = model.predictor(1)
    for n in range(1, 8):
        image = np.full((16, 16 * n), n, np.float32)
        computed = predictor.start([image])["rv"]
        np.testing.assert_array_equal(computed[0], image)
        assert predictor._predict._cache_size() <= 3


def test_the_fingerprint_of_a_network_tells_what_it_was_trained_on(model, monkeypatch):
    monkeypatch.setattr(segmenter, "check_variables", lambda *_: None)  # takes a second
    same = (model.network, model.fields, model.variables)
    other = {**model.fields, "widths": (4, 4, 6, 6, 16)}
    models = [
        model,
        Segmenter(*same, pitches_um=(5.0, 7.5)),
        Segmenter(*same, tasks=("rv",)),
        Segmenter(model.network, other, model.variables),
    ]
    assert len({one.fingerprint() for one in models}) == 4


def test_rows_of_a_batch_are_divided_among_the_devices(model):
    assert [model.predictor(n).rows((32, 32)) for n in (None, 1, 8, 9)] == [8, 8, 8, 16]


def test_the_fingerprint_of_weights(model, tmp_path):
    model.save(tmp_path / "same.safetensors")
    loaded = Segmenter.load_from_checkpoint(tmp_path / "same.safetensors")
    assert loaded.fingerprint() == model.fingerprint()
    other = jax.tree.map(np.array, model.variables)
    jax.tree.leaves(other)[0][...] += 1e-3
    assert Segmenter("unet", model.fields, other).fingerprint() != model.fingerprint()
