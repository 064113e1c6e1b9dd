"""Pictures that are no good angiograms, each made from one synthetic eye, and what is said of them.

Probabilities are made from the true masks, so that no network runs but in the last test.
"""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks import quality_images
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.images import resize_image, unit_pixels
from s2a_jax.quality import pitch_estimate
from s2a_jax.quality.assess import assess
from s2a_jax.quality.measures import measure_faz, measure_picture, measure_vessels
from s2a_jax.quality.pitch_estimate import estimate_pitch

PITCH = 3000 / 304
TRAINED = (6.5, 15.75)


@pytest.fixture(scope="module")
def eye():
    return synthesize_eye(4, EyeParameters())


@pytest.fixture(scope="module")
def sure(eye):
    return {"rv": sure_of(eye.rv), "faz": sure_of(eye.faz)}


def sure_of(mask):
    return np.where(mask, np.float32(0.97), np.float32(0.002))


def names(quality):
    return {reason.name for reason in quality.reasons}


def disc(shape, centre, radius):
    y, x = np.indices(shape)
    return np.hypot(y + 0.5 - centre[0], x + 0.5 - centre[1]) <= radius


def test_an_eye_is_good_in_bytes_and_in_floats(eye, sure):
    found = assess(eye.image, sure, PITCH, TRAINED)
    assert found == assess(unit_pixels(eye.image), sure, PITCH, TRAINED)
    assert (found.level, found.reasons, found.text) == ("good", (), "")


@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank(value, sure):
    found = assess(np.full((304, 304), value, np.uint8), sure, None)
    assert (found.level, names(found), found.um_per_px) == ("unusable", {"blank"}, None)


def test_inverted(eye, sure):
    found = assess(255 - eye.image, sure, PITCH)
    assert (found.level, names(found)) == ("unusable", {"dark_vessels"})
    ridges = measure_picture(1 - unit_pixels(eye.image)).ridges
    assert f"(balance {ridges:.2f}, " in found.text and ridges < -0.2
    assert ridges == pytest.approx(-measure_picture(unit_pixels(eye.image)).ridges, abs=1e-4)


@pytest.mark.parametrize("tasks", [(), ("rv",), ("rv", "faz")])
def test_noise_with_and_without_probabilities(tasks):
    image = np.random.default_rng(0).uniform(size=(200, 260)).astype(np.float32)
    nothing = dict.fromkeys(tasks, np.zeros((200, 260), np.float32))
    found = assess(image, nothing, None)
    assert (found.level, names(found)) == ("unusable", {"noise"})


def test_a_section_with_a_long_line_is_no_angiogram():
    line = np.zeros((400, 400), bool)
    line[200:203] = True
    image = quality_images.section(np.random.default_rng(0))
    found = assess(image, {"rv": sure_of(line)}, None)
    assert (found.level, names(found)) == ("unusable", {"not_octa"})


def narrow(image):
    return 0.4 + 0.1 * image


def burnt(image):
    return np.minimum(1, image / np.quantile(image, 0.8))


def framed(image):
    image = image.copy()
    image[:20] = 0.9
    return image


def cut(image):
    image = image.copy()
    image[:, :90] = 0
    return image


def out_of_focus(image):
    return ndimage.gaussian_filter(image, 4)


def moved(image):
    image = image.copy()
    for row in range(40, 260, 25):
        image[row : row + 6] = np.roll(image[row : row + 6], 60, axis=1)
    return image


@pytest.mark.parametrize(
    ("change", "name", "number"),
    [
        (narrow, "contrast", "10% of the range"),
        (burnt, "saturated", "20% of the pixels are white"),
        (framed, "frame", "6% of the picture is flat"),
        (cut, "no_signal", "% of the picture is black"),
        (out_of_focus, "blur", "to the power of -"),
        (moved, "motion", "Some rows do not continue"),
        (lambda image: moved(image.T).T, "motion", "Some columns do not continue"),
    ],
)
def test_doubts_about_the_picture(change, name, number, eye, sure):
    found = assess(change(unit_pixels(eye.image)).astype(np.float32), sure, None)
    assert (found.level, names(found)) == ("doubtful", {name})
    assert number in found.text


def test_vessels_that_are_few_or_unsure(eye, sure):
    few = np.where(np.arange(304) < 40, sure["rv"], np.float32(0.0005))
    found = assess(eye.image, {"rv": few}, None)
    assert "no_vessels" in names(found)
    assert f"Vessels cover {eye.rv[:, :40].sum() / 304**2:.1%} of" in found.text
    unsure = np.where(eye.rv, np.float32(0.6), np.float32(0.03))
    assert names(assess(eye.image, {"rv": unsure}, None)) == {"vessels_unsure"}


@pytest.mark.parametrize(
    ("discs", "expected", "number"),
    [
        ([((152, 152), 20)], set(), ""),
        ([], {"no_faz"}, "There is no FAZ."),
        ([((60, 70), 20)], {"faz_off_centre"}, "is 41% of"),  # hypot(92, 82) / 304
        ([((152, 152), 20), ((230, 230), 14)], {"faz_pieces"}, "has 49% of"),  # 0.7 squared
    ],
)
def test_doubts_about_the_faz(discs, expected, number, eye, sure):
    faz = np.zeros((304, 304), bool)
    for centre, radius in discs:
        faz |= disc(faz.shape, centre, radius)
    found = assess(eye.image, {**sure, "faz": np.where(faz, 0.97, 0.0)}, PITCH)
    assert names(found) == expected
    assert number in found.text


def test_an_unsure_faz(eye, sure):
    found = assess(eye.image, {**sure, "faz": np.where(eye.faz, 0.7, 0.001)}, PITCH)
    assert names(found) == {"faz_unsure"}


def test_tasks_may_be_missing(eye, sure):
    for probability in ({}, {"rv": sure["rv"]}, {"faz": sure["faz"]}):
        found = assess(eye.image, probability, PITCH, TRAINED)
        assert found.level == "good"
        assert (found.um_per_px is None) == ("rv" not in probability)


@pytest.mark.parametrize("shape", [(32, 32), (33, 200), (300, 64)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_small_and_long_pictures_give_a_level(shape, value):
    image = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    probability = {task: np.full(shape, value, np.float32) for task in ("rv", "faz")}
    assert assess(image, probability, 10.0, TRAINED).level in ("doubtful", "unusable")


def test_measures_by_hand():
    picture = np.zeros((60, 100), np.float32)
    picture[:, 50:] = 1
    found = measure_picture(picture)
    assert (found.contrast, found.saturated) == (1, 0.5)
    assert found.no_signal == pytest.approx(0.47) and found.flat == 0  # 3 columns see the edge
    faz = np.zeros((60, 100))
    faz[10:20, 40:60], faz[50:54, :10], faz[59] = 0.5, 0.75, 0.25
    found = measure_faz(faz)
    # 200 px of the mask, 40 of a piece that it leaves out, 100 below the threshold.
    assert (found.second, found.dice) == (0.2, 2 * 100 / (100 + 25 + 200))
    assert found.offset == pytest.approx(15 / 60)
    rv = np.zeros((60, 100))
    rv[5, 10:20] = rv[30, 10:18] = 1  # more than 9 px, and less
    found = measure_vessels(rv)
    assert (found.share, found.long) == (18 / 6000, 10 / 18)


def test_the_pitch_follows_the_size_of_the_image(eye, sure):
    image = unit_pixels(eye.image)
    native = estimate_pitch(image, sure["rv"])
    assert native == pytest.approx(PITCH, rel=0.5)
    large = estimate_pitch(resize_image(image, (608, 608)), resize_image(sure["rv"], (608, 608)))
    # Twice the calibre and texture and half the density, of the fitted powers -0.80, -0.15, 0.62.
    assert large == pytest.approx(native / 2**1.58, rel=0.05)
    assert estimate_pitch(image, np.zeros_like(image)) is None
    assert estimate_pitch(np.zeros_like(image), sure["rv"]) is None


def test_large_images_are_reduced_before_the_pitch_is_estimated(eye, sure, monkeypatch):
    both = unit_pixels(eye.image), sure["rv"]
    small = estimate_pitch(*(resize_image(array, (152, 152)) for array in both))
    monkeypatch.setattr(pitch_estimate, "_LARGEST", 152)
    assert estimate_pitch(*both) == pytest.approx(small / 2, rel=1e-6)


def test_doubts_about_the_pitch(eye, sure):
    seen = assess(eye.image, sure, None, TRAINED)
    assert seen.level == "good"
    for factor, is_doubted in ((1.45, True), (1.35, False), (1 / 1.55, False), (1 / 1.65, True)):
        found = assess(eye.image, sure, factor * seen.um_per_px, TRAINED)
        assert names(found) == ({"pitch_contradicted"} if is_doubted else set()), factor
        if is_doubted:  # 304 px of each pitch
            looks, given = 0.304 * seen.um_per_px, 0.304 * factor * seen.um_per_px
            assert f"field of {looks:.1f} mm (to a factor of 1.5), but {given:.1f} mm" in found.text
    unlike = assess(eye.image, sure, None, (1.25 * seen.um_per_px, 2 * seen.um_per_px))
    assert names(unlike) == {"pitch_unlike"}
    near = (1.15 * seen.um_per_px, 2 * seen.um_per_px)
    assert not assess(eye.image, sure, None, near).reasons
    for factor, is_doubted in ((1.45, True), (1.35, False), (1 / 1.55, False), (1 / 1.65, True)):
        one = factor * seen.um_per_px  # the only pitch of the training: as wide as for a given one
        found = assess(eye.image, sure, None, (one, one))
        assert names(found) == ({"pitch_unlike"} if is_doubted else set()), factor
    assert f"was trained on {one:.4g} um: name the field" in found.text


def test_the_shipped_network_on_noise_and_on_black():
    model = Segmenter.load_from_checkpoint("sim_to_real")
    noise = np.random.default_rng(0).uniform(size=(96, 96)).astype(np.float32)
    for image, expected in ((noise, {"noise", "not_octa"}), (np.zeros_like(noise), {"blank"})):
        found = assess(image, model.predict_proba(image), None)
        assert found.level == "unusable" and names(found) <= expected
