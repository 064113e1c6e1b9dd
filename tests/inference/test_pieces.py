"""Images at a network's scale, in tiles and in all symmetries; networks whose output is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax import S2ANet
from s2a_jax.errors import UserError
from s2a_jax.inference import tiles
from s2a_jax.inference.pieces import Prepared
from s2a_jax.inference.scale import scale_for
from s2a_jax.inference.symmetries import SYMMETRIES
from s2a_jax.inference.tiles import tiles_of
from s2a_jax.inputs.fovea import central_piece
from tests.networks import intensity, put_in_place

RANGE = (6.5, 15.75)


def model_of(monkeypatch, predict_step):
    """The shipped network with another function of its inputs."""
    put_in_place(monkeypatch, predict_step)
    return S2ANet.pretrained()


def waves(height, width):
    """A smooth image, sampled at the pixels' centres."""
    y, x = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width) + 0.5) / width
    return (0.5 + 0.25 * (np.sin(9 * y) + np.cos(7 * x))).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "um_per_px", "expected", "pitch"),
    [
        ((304, 304), None, (304, 304), None),
        ((304, 304), 3000 / 304, (304, 304), 3000 / 304),
        ((500, 300), 6.2, (500, 300), 6.2),  # within 6 % of the range
        ((500, 300), 6.0, (296, 178), np.sqrt(3000 * 1800 / (296 * 178))),  # 10.118 um
        ((500, 300), 16.5, (500, 300), 16.5),
        ((300, 200), 17.5, (333, 222), np.sqrt(5250 * 3500 / (333 * 222))),  # 15.75 um
        ((1200, 400), 4.0, (305, 102), np.sqrt(4800 * 1600 / (305 * 102))),  # the longer side's
        ((1024, 1024), 3000 / 1024, (296, 296), 3000 / 296),  # 10.118 um: 296.49
        ((1024, 1024), 6000 / 1024, (381, 381), 6000 / 381),  # 15.75 um: 380.95
        ((768, 768), 4500 / 768, (304, 304), 4500 / 304),  # the pitch of 304 lines
        ((600, 600), 10, (381, 381), 6000 / 381),  # a trained pitch, but more pixels than lines
        ((543, 543), 10, (543, 543), 10),
        ((1500, 1500), 15, (1500, 1500), 15),  # a montage, within 6 % of 15.75
        ((200, 300), 31.5, (400, 600), 15.75),
        ((200, 300), (20, 10), (400, 300), 10),  # 20 um high, 10 um wide
        ((200, 300), (2, 8), (40, 237), np.sqrt(400 * 2400 / (40 * 237))),  # 39.5, 237.2
        ((200, 300), (10.02, 9.98), (200, 300), np.sqrt(10.02 * 9.98)),
    ],
)
def test_a_trained_scale(size, um_per_px, expected, pitch):
    scale = scale_for(size, um_per_px, RANGE)
    assert (scale.size, scale.network_size) == (size, expected)
    assert scale.is_resampled == (size != expected)
    assert scale.network_um_per_px == (None if pitch is None else pytest.approx(pitch))


def test_a_network_of_unknown_pitch_takes_square_pixels_only():
    assert not scale_for((200, 300), 2.0, None).is_resampled
    assert scale_for((200, 300), (2.0, 4.0), None).network_size == (200, 600)


@pytest.mark.parametrize(
    ("um_per_px", "words"),
    [(0.1, "0.5 to 100"), (np.nan, "0.5 to 100"), ((5, 5, 5), "down, across"), ("3", "0.5 to 100"),
     (100, "40 mm wide; expected at most 30 mm")],
)  # fmt: skip
def test_pitches_that_cannot_be(monkeypatch, um_per_px, words):
    with pytest.raises(UserError, match=words):
        model_of(monkeypatch, intensity).predict(np.zeros((300, 400)), um_per_px=um_per_px)


@pytest.mark.parametrize(
    ("size", "um_per_px", "at_network"),
    [
        ((400, 600), 5.06, (200, 300)),
        ((100, 80), 31.5, (200, 160)),
        ((90, 200), (20, 8), (225, 200)),
    ],
)  # fmt: skip
def test_probabilities_come_back_at_the_images_own_size(monkeypatch, size, um_per_px, at_network):
    model = model_of(monkeypatch, intensity)
    computed = model.compute(waves(*size), um_per_px=um_per_px)
    inner = slice(3, -3)  # beyond the border there is nothing to interpolate
    for maps, expected in ((computed.probability, size), (computed.at_network, at_network)):
        assert maps["rv"].shape == maps["faz"].shape == expected
        np.testing.assert_allclose(
            maps["rv"][inner, inner], waves(*expected)[inner, inner], atol=2e-3
        )
    np.testing.assert_allclose(
        computed.at_network["faz"], computed.at_network["rv"] ** 2, atol=1e-6
    )
    (batch,) = model.predict_batch([waves(*size)], um_per_px=um_per_px, tta=True)
    varied = model.compute(waves(*size), um_per_px=um_per_px, tta=True)
    assert varied.spread["rv"].shape == size and varied.spread["rv"].max() < 1e-6
    np.testing.assert_array_equal(batch[0], varied.probability["rv"] >= 0.5)
    rv, faz = model.predict(waves(*size), um_per_px=um_per_px)
    np.testing.assert_array_equal(rv, computed.probability["rv"] >= 0.5)
    zone = central_piece(computed.probability["faz"] >= 0.5).mask
    np.testing.assert_array_equal(faz, zone)


def test_what_lies_beyond_an_image_is_its_reflection(monkeypatch):
    """The network answers with what lies 8 pixels further right, or below."""

    def shifted(_, images, *, module):
        return {"rv": jnp.roll(images, -8, axis=2), "faz": jnp.roll(images, -8, axis=1)}

    image = np.random.default_rng(0).random((40, 50), np.float32)
    found = model_of(monkeypatch, shifted).predict_proba(image)
    below = np.concatenate([image[8:], image[:-9:-1]])
    right = np.concatenate([image[:, 8:], image[:, :-9:-1]], axis=1)
    np.testing.assert_allclose(found["rv"], right, atol=1e-6)
    np.testing.assert_allclose(found["faz"], below, atol=1e-6)


def test_fine_patterns_are_averaged_when_an_image_shrinks(monkeypatch):
    lines = np.tile(np.float32([0, 1]), (120, 60))  # aliasing would make them black or white
    found = model_of(monkeypatch, intensity).predict_proba(lines, um_per_px=1.625)["rv"]
    assert np.abs(found[8:-8, 8:-8] - 0.5).max() < 0.06
    assert 0 <= found.min() and found.max() <= 1


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((1024, 1024), 1),
        ((8192, 100), 1),
        ((1025, 1024), 2),
        ((2000, 3000), 12),
        ((1980, 1024), 3),
    ],  # two tiles would share 68 pixels
)
def test_tiles_cover_an_image(size, count):
    assert len(tiles_of(8192, 8192)) == 9**2
    found = tiles_of(*size)
    assert len(found) == count
    total = np.zeros(size, np.float32)
    for tile in found:
        weight = tile.weight_down[:, None] * tile.weight_across
        total[tile.rows, tile.columns] += weight
        assert weight.size <= max(1024**2, 8192 * 100)
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_tiles_are_blended_smoothly(monkeypatch):
    monkeypatch.setattr(tiles, "WHOLE", 64)
    monkeypatch.setattr(tiles, "_OVERLAP", 32)
    image = waves(96, 200)
    exact = model_of(monkeypatch, intensity).predict_proba(image)
    np.testing.assert_allclose(exact["rv"], image, atol=1e-6)

    def mean(_, images, *, module):
        level = images.mean(axis=(1, 2), keepdims=True) + 0 * images
        return {"rv": level, "faz": level}

    found = model_of(monkeypatch, mean).predict_proba(image)["rv"]
    corners = [image[:64, :64], image[:64, -64:], image[-64:, :64], image[-64:, -64:]]
    expected = [corner.mean() for corner in corners]
    np.testing.assert_allclose(found[[0, 0, -1, -1], [0, -1, 0, -1]], expected, atol=1e-6)
    steps = max(np.abs(np.diff(found, axis=axis)).max() for axis in (0, 1))
    assert steps < 0.08 * np.ptp(found)


@pytest.mark.parametrize("size", [(32, 32), (20, 45)])
def test_the_mean_and_spread_over_all_symmetries(monkeypatch, size):
    def sloped(_, images, *, module):
        slope = (
            np.arange(images.shape[2])[None, None] + 1
        ) / 64  # brighter to the right of what it sees
        return {"rv": images * slope, "faz": images}

    model = model_of(monkeypatch, sloped)
    image = waves(*size)
    computed = model.compute(image, tta=True)
    y, x = (np.arange(n) + 1 for n in size)
    right, left = np.broadcast_arrays(x / 64, x[::-1] / 64)
    views = [np.broadcast_to(one, size) for one in (right, left)]
    views += [np.broadcast_to(one[:, None] / 64, size) for one in (y, y[::-1])]
    views = image * np.array(views)  # each twice among the eight
    np.testing.assert_allclose(computed.probability["rv"], views.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(computed.spread["rv"], views.std(axis=0), atol=1e-6)
    np.testing.assert_allclose(computed.probability["faz"], image, atol=1e-6)
    assert computed.spread["faz"].max() < 1e-6
    assert model.compute(image).spread is None


def test_the_eight_symmetries_are_different_and_undone():
    image = np.arange(12).reshape(3, 4)
    assert len({s.apply(image).tobytes() + bytes(s.apply(image).shape) for s in SYMMETRIES}) == 8
    for symmetry in SYMMETRIES:
        np.testing.assert_array_equal(symmetry.undo(symmetry.apply(image)), image)


def test_the_order_in_which_pieces_finish_changes_no_bit(monkeypatch):
    monkeypatch.setattr(tiles, "WHOLE", 64)
    monkeypatch.setattr(tiles, "_OVERLAP", 32)
    rng = np.random.default_rng(0)
    results = []
    outputs: dict[int, dict] = {}
    for order in ("forward", "shuffled"):
        image = Prepared(waves(90, 120), scale_for((90, 120), None, None), ("rv",), True, "")
        assert len(image.pieces) == 8 * 2 * 3
        turns = np.arange(len(image.pieces))
        if order == "shuffled":
            rng.shuffle(turns)
        for n, index in enumerate(turns):
            shape = image.pieces[index].shape
            output = outputs.setdefault(index, {"rv": rng.random(shape, np.float32)})
            assert image.add(index, output) == (n == len(turns) - 1)
        results.append(image.result())
    np.testing.assert_array_equal(results[0].probability["rv"], results[1].probability["rv"])
    np.testing.assert_array_equal(results[0].spread["rv"], results[1].spread["rv"])


def test_a_batch_is_its_images_one_by_one(monkeypatch):
    monkeypatch.setattr(tiles, "WHOLE", 64)
    monkeypatch.setattr(tiles, "_OVERLAP", 32)
    model = model_of(monkeypatch, intensity)
    images = [waves(*size) for size in ((40, 50), (96, 70), (33, 33), (40, 50), (40, 50))]
    for tta in (False, True):
        found = model.predict_batch((image for image in images), tta=tta, threshold=0.4)
        assert len(found) == len(images)
        for image, masks in zip(images, found, strict=True):
            expected = image >= 0.4, central_piece(image**2 >= 0.4).mask
            for mask, true in zip(masks, expected, strict=True):
                assert (mask != true).mean() < 1e-3  # values that round to the threshold
    assert model.predict_batch([]) == []
    with pytest.raises(UserError, match=r"^images\[1\]: The image is None: its file was not read"):
        model.predict_batch([images[0], None])
    with pytest.raises(UserError, match="threshold=2 is outside"):
        model.predict_batch(images, threshold=2)
    model.variables = jax.tree.map(np.copy, model.variables)  # others are used, not the old ones
    before = model._kept[1]
    model.predict_batch(images[:1])
    assert model._kept[1] is not before


def test_a_task_without_training_is_left_out(monkeypatch, tmp_path):
    model = model_of(monkeypatch, intensity)
    model.tasks, model.pitches_um = ("rv",), None
    model.save(tmp_path / "vessels.safetensors")
    loaded = S2ANet.load_from_checkpoint(tmp_path / "vessels.safetensors")
    assert (loaded.tasks, loaded.pitches_um) == (("rv",), None)
    rv, faz = loaded.predict(waves(40, 40))
    assert rv.any() and faz is None
    assert list(loaded.predict_proba(waves(40, 40), tta=True)) == ["rv"]
    assert loaded.fingerprint() != S2ANet.pretrained().fingerprint()
    assert S2ANet.pretrained().pitches_um == RANGE
    with pytest.raises(UserError, match="No network 'base' comes with s2a_jax"):
        S2ANet.pretrained("base")
