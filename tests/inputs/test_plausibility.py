"""Doubts about masks, on drawn eyes and on shapes counted by hand."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from s2a_jax.inputs.images import resize_image
from s2a_jax.inputs.mask_fit import VIEWS, faz_fit, rv_fit
from s2a_jax.inputs.masks import resize_mask
from s2a_jax.inputs.plausibility import doubt_lines, doubts, mask_facts
from tests.inputs.eyes import draw_eye

NAMES = [*VIEWS]
SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE]
DISC = np.hypot(Y - 48, X - 48) <= 12  # 441 pixels
TURNS = {
    "turned by 90 degrees counterclockwise": "turned by 90 degrees clockwise",
    "turned by 90 degrees clockwise": "turned by 90 degrees counterclockwise",
}
"""View -> the view that undoes it; the others undo themselves."""


def kinds(image, rv=None, faz=None):
    return [(doubt.kind, doubt.view) for doubt in doubts(mask_facts(image, rv, faz))]


@pytest.mark.parametrize("seed", range(4))
def test_masks_that_fit_raise_no_doubt(seed):
    image, rv, faz = draw_eye(seed)
    moved = [np.roll(mask, (1, -1), (0, 1)) for mask in (rv, faz)]
    large = (150, 150)
    resized = resize_image(image / np.float32(255), large)
    slabs = np.stack([image, image // 2], axis=-1)
    for case in (
        (image, rv, faz),
        (image / np.float32(255), rv, faz),
        (slabs, rv, faz),
        (image[:70], rv[:70], faz[:70]),
        (image, *moved),
        (resized, resize_mask(rv, large), resize_mask(faz, large)),
        (None, rv, faz),
        (image, None, None),
    ):
        assert kinds(*case) == []


@pytest.mark.parametrize("view", NAMES[1:])
def test_masks_in_another_view_are_recognised(view):
    """Both masks, each alone, and inverted masks; the sentence says how to undo it."""
    image, rv, faz = draw_eye(1)
    turned_rv, turned_faz = VIEWS[view](rv), VIEWS[view](faz)
    undone = TURNS.get(view, view)
    assert kinds(image, turned_rv) == [("rv_view", undone)]
    assert kinds(image, rv, turned_faz) == [("faz_view", undone)]
    assert kinds(image, turned_rv, turned_faz) == [("faz_view", undone), ("rv_view", undone)]
    found = kinds(image, ~turned_rv, ~turned_faz)
    assert {*found} == {
        ("faz_covers", ""), ("rv_covers", ""), ("faz_view", undone), ("rv_view", undone)
    }  # fmt: skip


def test_a_rectangle_is_not_turned_by_90_degrees():
    image, rv, faz = (part[:70] for part in draw_eye(1))
    assert kinds(image, rv[:, ::-1]) == [("rv_view", "mirrored left to right")]
    assert np.isnan(rv_fit(image, rv)[4:]).all() and np.isnan(faz_fit(image, faz)[0][4:]).all()


def test_the_fit_of_vessels_is_the_correlation_with_the_normalised_image():
    image, rv, _ = draw_eye(2)
    pixels = np.pad(image / 255, 8, "symmetric")
    windows = sliding_window_view(pixels, (17, 17))
    deviation = np.sqrt(windows.var((2, 3)) + 1e-4)
    local = (image / 255 - windows.mean((2, 3))) / deviation
    expected = [np.corrcoef(view(rv).ravel(), local.ravel())[0, 1] for view in VIEWS.values()]
    np.testing.assert_allclose(rv_fit(image, rv), expected, atol=1e-4)


def test_the_mean_of_several_slabs_counts():
    image, rv, faz = draw_eye(2)
    other = np.random.default_rng(0).integers(0, 256, image.shape, np.uint8)
    slabs, mean = np.stack([other, image], axis=-1), (image / 255 + other / 255) / 2
    np.testing.assert_allclose(rv_fit(slabs, rv), rv_fit(mean, rv), atol=1e-5)
    np.testing.assert_allclose(faz_fit(slabs, faz)[0], faz_fit(mean, faz)[0], atol=1e-4)


def test_inverted_images_change_the_sign_of_every_fit():
    image, rv, faz = draw_eye(3)
    np.testing.assert_allclose(rv_fit(255 - image, rv), -rv_fit(image, rv), atol=1e-4)
    np.testing.assert_allclose(faz_fit(255 - image, faz)[0], -faz_fit(image, faz)[0], atol=1e-4)
    assert kinds(255 - image, rv, faz) == [("faz_inverted", ""), ("rv_inverted", "")]
    assert kinds(image, ~rv, ~faz) == [("faz_covers", ""), ("rv_covers", "")]


def test_a_slab_with_dark_vessels_and_a_dark_faz_is_not_inverted():
    image, rv, faz = draw_eye(3)
    shadows = np.where(faz, image, 255 - image)
    assert kinds(shadows, rv, faz) == []
    assert kinds(shadows, rv) == [("rv_inverted", "")]


def test_a_mask_that_fits_nowhere_is_no_turned_one():
    image, rv, faz = draw_eye(1)
    assert kinds(image, draw_eye(5)[1]) == []
    assert kinds(np.full_like(image, 7), rv, faz) == []
    assert kinds(image, np.zeros_like(rv), np.zeros_like(faz)) == []


@pytest.mark.parametrize(
    ("faz", "kind", "values"),
    [
        (~DISC, "faz_covers", (pytest.approx(1 - 441 / 9216),)),
        (np.ones_like(DISC), "faz_covers", (1.0,)),
        (
            ((Y < 20) | (X < 9) | (X > 86)) & (Y < 80),
            "faz_borders",
            (3, pytest.approx(3000 / 9216)),
        ),
        (DISC & (np.hypot(Y - 48, X - 48) > 10), "faz_hole", (pytest.approx(317 / 124),)),
        (DISC & (np.abs(X - 48) > 2), "faz_pieces", (2,)),
    ],
)
def test_shapes_that_no_faz_has(faz, kind, values):
    (doubt,) = doubts(mask_facts(None, None, faz))
    assert (doubt.kind, doubt.values) == (kind, values)


@pytest.mark.parametrize(
    "faz",
    [
        (Y < 20) & (X < 20),  # two borders
        DISC & (np.hypot(Y - 48, X - 48) > 4),  # a small hole
        DISC | ((Y < 9) & (X < 9)),  # 81 pixels, less than a quarter of the disc
        (Y > 1) & (Y < 50) & (X > 1),  # half of the image
    ],
)
def test_shapes_that_pass(faz):
    assert doubts(mask_facts(None, None, faz)) == ()


def test_vessels_over_half_of_the_image():
    assert kinds(None, Y < 48) == []
    assert kinds(None, Y < 49) == [("rv_covers", "")]


@pytest.mark.parametrize("view", NAMES[1:])
def test_a_set_of_faz_masks_is_judged_as_a_whole(view):
    """The FAZ is so faint and central that a single mask often fits almost as well."""
    eyes = [draw_eye(seed, place=(0.42, 0.53), dark=70) for seed in range(12)]
    assert doubt_lines((str(i), mask_facts(*eye)) for i, eye in enumerate(eyes)) == ()
    inverted = [(str(i), mask_facts(255 - eye[0], None, eye[2])) for i, eye in enumerate(eyes)]
    assert all(" better when inverted (" in line for line in doubt_lines(inverted))
    turned = [(str(i), mask_facts(eye[0], None, VIEWS[view](eye[2]))) for i, eye in enumerate(eyes)]
    (line,) = doubt_lines(turned)
    assert line.startswith("The FAZ masks of 1") and " of 12 cases fit their images better " in line
    assert f"when {TURNS.get(view, view)} (" in line
    if view == "mirrored at the other diagonal":  # where the FAZ almost lies
        assert not any(doubts(facts) for _, facts in turned)
        assert doubt_lines(turned[:9]) == ()


def test_one_sentence_for_each_kind_with_the_first_cases():
    _, rv, faz = draw_eye(1)
    cases = [(f"c{i}", mask_facts(None, rv, ~DISC if i < 7 else faz)) for i in range(20)]
    cases += [("full", mask_facts(None, np.ones_like(rv), None))]
    first = "c0: 95 %, c1: 95 %, c2: 95 %, c3: 95 %, c4: 95 % and 2 others"
    assert doubt_lines(cases) == (
        f"The FAZ of 7 of 20 cases covers more than half of the image ({first}): the masks may be "
        "inverted.",
        "The vessels of 1 of 21 cases cover more than half of the image (full: 100 %): the mask "
        "may be inverted.",
    )
    assert doubt_lines([("a", mask_facts(None, None, ~DISC))], "eye") == (
        "The FAZ of 1 of 1 eye covers more than half of the image (a: 95 %): the mask may be "
        "inverted.",
    )


def test_the_sentence_about_a_view_names_both_fits():
    image, rv, _ = draw_eye(1)
    facts = mask_facts(image, np.rot90(rv), None)
    fits = rv_fit(image, rv)
    (line,) = doubt_lines([("a", facts), ("b", mask_facts(image, rv, None))])
    assert line.startswith(
        "The RV mask of 1 of 2 cases fits its image better when turned by 90 degrees clockwise "
        f"(a: {fits[0]:.2f} instead of "
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (2, 300)])
def test_tiny_images(shape):
    rng = np.random.default_rng(0)
    for _ in range(20):
        image = rng.integers(0, 256, shape).astype(np.uint8)
        rv, faz = (rng.uniform(size=shape) < rng.uniform() for _ in range(2))
        assert isinstance(doubt_lines([("a", mask_facts(image, rv, faz))]), tuple)
