"""Frames around a picture of known place and content."""

from pathlib import Path

import numpy as np
import pytest

from s2a_jax.errors import UserError
from s2a_jax.inputs.picture import Picture
from s2a_jax.quality.frame import crop_frame

SIDE = 160


@pytest.fixture(scope="module")
def speckle():
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


def crop(pixels, white=255):
    return crop_frame(Picture(Path("eye.png"), pixels, white, "PNG"))


def canvas(paper, shape=(260, 300), depth=np.uint8):
    return np.full(shape, paper, depth)


@pytest.mark.parametrize("paper", [0, 128, 255])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_margins_are_cut_to_the_pixel(speckle, paper, depth):
    factor = 257 if depth == np.uint16 else 1
    picture = speckle.astype(depth) * depth(factor)
    pixels = canvas(paper * factor, depth=depth)
    pixels[40 : 40 + SIDE, 70 : 70 + SIDE] = picture
    found = crop(pixels, white=int(np.iinfo(depth).max))
    np.testing.assert_array_equal(found.pixels, picture)
    assert found.notes == (
        "a frame was cut off: 160x160 of 300x260 px are left, from column 70 and row 40",
    )


def test_text_lines_and_colour_bars_are_cut_and_colour_is_gone(speckle):
    rgb = np.full((260, 300, 3), 20, np.uint8)
    rgb[38 : 42 + SIDE, 68 : 72 + SIDE] = (0, 255, 0)  # a line of two pixels
    rgb[40 : 40 + SIDE, 70 : 70 + SIDE] = speckle[..., None]
    rgb[5:15, 20:200:3] = 255  # a title
    rgb[215:218, 70:120] = 255  # a scale bar
    rgb[40:200, 260:275] = np.arange(160)[:, None, None] + np.array([0, 60, 90])  # a colour bar
    found = crop(rgb)
    np.testing.assert_array_equal(found.pixels, np.repeat(speckle[..., None], 3, axis=2))
    assert len(found.notes) == 1


def around(pixels, width, colour):
    """Pixels [H, W, 3] with a line around."""
    height, side = pixels.shape[:2]
    framed = np.full((height + 2 * width, side + 2 * width, 3), colour, np.uint8)
    framed[width : width + height, width : width + side] = pixels
    return framed


@pytest.mark.parametrize(
    ("gaps", "inner", "margin"),
    [((3,), 240, 40), ((6,), 240, 40), ((15,), 240, 40), ((6,), 0, 40), ((6,), 128, 40),
     ((6,), 240, 0), ((12,), 0, 0), ((6, 9), 240, 40)],
)  # fmt: skip
def test_a_line_with_a_gap_inside_is_cut_with_the_gap(speckle, gaps, inner, margin):
    picture = np.repeat(speckle[..., None], 3, axis=2)
    pixels = picture
    for gap in gaps:
        pixels = around(around(pixels, gap, inner), 4, (30, 60, 220))
    found = crop(around(pixels, margin, 240))
    np.testing.assert_array_equal(found.pixels, picture)
    start, side = sum(gaps) + 4 * len(gaps) + margin, SIDE + 2 * margin + 2 * sum(gaps)
    side += 8 * len(gaps)
    assert found.notes == (
        f"a frame was cut off: 160x160 of {side}x{side} px are left, "
        f"from column {start} and row {start}",
    )


@pytest.mark.parametrize("margin", [0, 40])
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("colour", [255, 128, (255, 255, 0)])
def test_a_border_drawn_over_the_edge_is_cut(speckle, colour, width, margin):
    picture = np.repeat(speckle[width:-width, width:-width, None], 3, axis=2)
    found = crop(around(around(picture, width, colour), margin, 20))
    np.testing.assert_array_equal(found.pixels, picture)
    assert len(found.notes) == 1


def test_several_pictures_inside_a_line_are_refused(speckle):
    pixels = canvas(240, (220, 400))
    pixels[30 : 30 + SIDE, 20 : 20 + SIDE] = pixels[30 : 30 + SIDE, 210 : 210 + SIDE] = speckle
    pixels = around(around(pixels[..., None], 4, (30, 60, 220)), 30, 240)
    with pytest.raises(UserError, match="it shows 2 pictures"):
        crop(pixels)


def test_the_transparency_is_cut_too(speckle):
    pixels = canvas(255)
    pixels[40 : 40 + SIDE, 70 : 70 + SIDE] = speckle
    picture = Picture(Path("eye.png"), pixels, 255, "PNG", alpha=pixels.copy())
    np.testing.assert_array_equal(crop_frame(picture).alpha, speckle)


CASES = [
    "no margin",
    "two pixels",
    "bright sides",
    "dark side",
    "ragged sides",
    "thin side",
    "constant",
    "wide ints",
]


@pytest.mark.parametrize("case", CASES)
def test_what_has_no_frame_stays(speckle, case):
    pixels, white = speckle, 255
    if case == "two pixels":
        pixels = np.pad(speckle, 2, constant_values=0)
    elif case == "bright sides":  # two sides only
        pixels = np.pad(speckle, ((2, 2), (0, 0)), constant_values=255)
    elif case == "dark side":  # a part of the scan without signal
        pixels = speckle.copy()
        pixels[:, :30] = 0
    elif case == "ragged sides":
        edge = 12 + np.rint(6 * np.sin(np.arange(SIDE) / 9)).astype(int)
        dark = np.arange(SIDE) < edge[:, None]
        pixels = np.where(dark | dark.T, 0, speckle).astype(np.uint8)
    elif case == "thin side":  # nearly square after a cut
        pixels = speckle.copy()
        pixels[:4] = 0
    elif case == "constant":
        pixels = canvas(0)
    elif case == "wide ints":
        pixels, white = speckle.astype(np.int32), 0
    picture = Picture(Path("eye.png"), pixels, white, "PNG")
    assert crop_frame(picture) is picture


def test_two_pictures_are_refused(speckle):
    pixels = canvas(255, (220, 400))
    pixels[30 : 30 + SIDE, 20 : 20 + SIDE] = pixels[30 : 30 + SIDE, 210 : 210 + SIDE] = speckle
    with pytest.raises(UserError, match=r"eye\.png looks like .* shows 2 pictures: crop it"):
        crop(pixels)


def test_a_picture_that_is_not_square_is_refused(speckle):
    pixels = canvas(255)
    pixels[40:140, 70 : 70 + SIDE] = speckle[:100]
    with pytest.raises(UserError, match=r"not square \(160x100 px\)"):
        crop(pixels)


def test_dark_sides_in_a_frame_are_not_cut_until_the_picture_is_square(speckle):
    pixels = speckle.copy()
    pixels[:20] = pixels[:, :12] = 0
    with pytest.raises(UserError, match=r"not square \(160x140 px\)"):
        crop(np.pad(pixels, 40, constant_values=240))


def test_coloured_pixels_are_named(speckle):
    rgb = np.repeat(speckle[..., None], 3, axis=2)
    rgb[:40] = (255, 200, 0)
    rgb[:40, ::2] = (0, 100, 250)
    found = crop(rgb)
    assert found.pixels is rgb
    assert found.notes == ("25 % of the pixels are coloured, as marks or other pictures are",)
