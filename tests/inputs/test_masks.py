"""Masks: values, palettes, colours and transparency of every file type."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import read_image, read_picture
from s2a_jax.inputs.masks import (
    binary_mask,
    class_mask,
    combined_mask,
    grey_label,
    resize_mask,
)
from tests.inputs.files import RAMP, disc, save

DISC = disc()
RED = np.where(DISC[..., None], (200, 0, 0), (0, 0, 0)).astype(np.uint8)


def palette_file(path, indices, colours, bits=8):
    image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    image.putpalette([value for colour in colours for value in colour])
    image.save(path, bits=bits)
    return path


@pytest.mark.parametrize("mode", [None, "RGB", "RGBA", "LA", "P"])
def test_label_values_survive_every_mode(tmp_path, mode):
    label = np.array([[0, 100], [255, 0]], np.uint8)
    picture = read_picture(save(tmp_path / "a.png", label, mode))
    np.testing.assert_array_equal(grey_label(picture), label)
    rv, faz = combined_mask(picture)
    np.testing.assert_array_equal(rv, label == 255)
    np.testing.assert_array_equal(faz, label == 100)


@pytest.mark.parametrize("extension", ["png", "bmp", "gif", "tif"])
def test_black_is_the_background_whatever_the_order_of_a_palette(tmp_path, extension):
    quantized = Image.fromarray(RED).quantize(2)
    assert np.asarray(quantized)[DISC].max() == 0  # Pillow puts the object first
    quantized.save(tmp_path / f"a.{extension}")
    np.testing.assert_array_equal(binary_mask(read_picture(tmp_path / f"a.{extension}")), DISC)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("first", ["black", "red"])
def test_palettes_of_every_depth(tmp_path, bits, first):
    colours = [(0, 0, 0), (200, 0, 0)]
    indices = DISC.astype(np.uint8)
    if first == "red":
        colours, indices = colours[::-1], 1 - indices
    path = palette_file(tmp_path / "a.png", indices, colours, bits)
    np.testing.assert_array_equal(binary_mask(read_picture(path)), DISC)


def test_palette_of_a_tiff_with_16_bit_and_with_8_bit_colours(tmp_path):
    indices = 1 - DISC.astype(np.uint8)
    for top in (200, 200 * 257):
        colours = np.zeros((3, 256), np.uint16)
        colours[0, 0] = top
        tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colours)
        np.testing.assert_array_equal(binary_mask(read_picture(tmp_path / "a.tif")), DISC)
        rgb = read_picture(tmp_path / "a.tif").pixels
        np.testing.assert_array_equal(rgb, RED)


def test_grey_palettes_hold_their_greys(tmp_path):
    indices = np.array([[0, 1], [2, 0]], np.uint8)
    path = palette_file(tmp_path / "grey.png", indices, [(0,) * 3, (100,) * 3, (255,) * 3])
    np.testing.assert_array_equal(grey_label(read_picture(path)), [[0, 100], [255, 0]])


@pytest.mark.parametrize("extension", ["png", "gif", "tif"])
def test_colours_without_black_or_too_many_are_named(tmp_path, extension):
    path = tmp_path / f"two.{extension}"
    Image.fromarray(np.maximum(RED, 50)).quantize(2).save(path)
    with pytest.raises(
        UserError, match=r"two\..*\(50, 50, 50\) in .* %, \(200, 50, 50\) in .*black"
    ):
        binary_mask(read_picture(path))
    many = RED.copy()
    many[0, 0] = 0, 0, 255
    save(tmp_path / f"many.{extension}", many)
    with pytest.raises(UserError, match=r"many\..*\(0, 0, 0\) .*\(0, 0, 255\) in 0.174 %"):
        binary_mask(read_picture(tmp_path / f"many.{extension}"))


@pytest.mark.parametrize("read", [combined_mask, class_mask])
def test_colours_do_not_say_which_of_several_structures_they_are(tmp_path, read):
    indices = np.array([[0, 1], [2, 0]], np.uint8)
    coloured = palette_file(tmp_path / "c.png", indices, [(0, 0, 0), (128, 0, 0), (0, 128, 0)])
    for path in (coloured, save(tmp_path / "red.png", RED)):
        with pytest.raises(UserError, match=rf"{path.name} has the colours \(0, 0, 0\) in"):
            read(read_picture(path))


COLOURS = {"white": 255, "grey": 128, "black": 0}


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("extension", ["png", "tif", "webp"])
def test_a_shape_in_the_alpha_channel_is_refused(tmp_path, colour, mode, extension):
    layer = np.full((*DISC.shape, 4), COLOURS[colour], np.uint8)
    layer[..., 3] = np.where(DISC, 255, 0)
    path = tmp_path / f"layer.{extension}"
    options = {"lossless": True, "exact": True} if extension == "webp" else {}
    Image.fromarray(layer).convert(mode).save(path, **options)
    with pytest.raises(UserError, match=r"layer\..*transparency; flatten"):
        binary_mask(read_picture(path))
    with pytest.raises(UserError, match=r"layer\..*one colour"):
        read_image(path)


def test_alpha_that_hides_no_mask_is_dropped(tmp_path):
    grey = np.where(DISC, 255, 0).astype(np.uint8)
    for alpha in (np.full_like(grey, 255), np.full_like(grey, 9), grey):
        path = save(tmp_path / "a.png", np.stack([grey, grey, grey, alpha], axis=-1))
        np.testing.assert_array_equal(binary_mask(read_picture(path)), DISC)
    # A white background that is transparent would make the black disc vanish on black.
    path = save(tmp_path / "b.png", np.stack([255 - grey] * 3 + [grey], axis=-1))
    with pytest.raises(UserError, match="flatten"):
        binary_mask(read_picture(path))


def test_transparent_value_of_a_png_is_alpha(tmp_path):
    grey = np.where(DISC, 0, 255).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "key.png", transparency=255)
    with pytest.raises(UserError, match=r"key\.png.*flatten"):
        binary_mask(read_picture(tmp_path / "key.png"))


def test_wide_values_are_refused(tmp_path):
    for name, values in {
        "wide.png": np.full((4, 4), 65534, np.uint16),
        "nan.tif": np.full((4, 4), np.nan, np.float32),
        "half.tif": np.full((4, 4), 0.5, np.float32),
    }.items():
        with pytest.raises(UserError, match=f"{name} holds values from"):
            grey_label(read_picture(save(tmp_path / name, values)))


@pytest.mark.parametrize(("high", "dtype"), [(1, "u1"), (255, "u1"), (1, "u2"), (65535, "u2")])
def test_binary_mask_takes_1_or_white(tmp_path, high, dtype):
    mask = RAMP > 100
    path = save(tmp_path / "a.png", mask.astype(dtype) * np.dtype(dtype).type(high))
    np.testing.assert_array_equal(binary_mask(read_picture(path)), mask)


def test_binary_mask_of_1_bit_and_of_nothing(tmp_path):
    mask = RAMP > 100
    path = save(tmp_path / "bit.png", mask.astype(np.uint8) * np.uint8(255), "1")
    np.testing.assert_array_equal(binary_mask(read_picture(path)), mask)
    empty = save(tmp_path / "none.png", np.zeros((4, 4), np.uint8))
    assert not binary_mask(read_picture(empty)).any()


@pytest.mark.parametrize("read", [binary_mask, combined_mask])
def test_unexpected_mask_values_are_listed(tmp_path, read):
    path = save(tmp_path / "smooth.png", np.array([[0, 3, 4, 5], [6, 7, 250, 255]], np.uint8))
    with pytest.raises(UserError, match=r"smooth\.png.*3, 4, 5, 6, 7 and 1 others.*only 0"):
        read(read_picture(path))


def test_binary_mask_refuses_a_mix_of_1_and_255(tmp_path):
    with pytest.raises(UserError, match=r"mix\.png.*values 1;"):
        binary_mask(read_picture(save(tmp_path / "mix.png", np.array([[0, 1, 255]], np.uint8))))


def test_resize_mask_keeps_half_covered_pixels():
    mask = np.zeros((8, 8), bool)
    mask[:, :4] = True
    for size in (4, 16):
        expected = np.zeros((size, size), bool)
        expected[:, : size // 2] = True
        np.testing.assert_array_equal(resize_mask(mask, (size, size)), expected)
    mask[:, 3] = False  # the second of four columns weighs 1, 3, 3, 1 eighths: a half is inside
    np.testing.assert_array_equal(resize_mask(mask, (8, 4))[0], [True, True, False, False])
