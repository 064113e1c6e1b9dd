"""Images and masks: every file type and array, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import read_image, resize_image, to_unit_float
from s2a_jax.inputs.masks import binary_mask, combined_mask, read_label, resize_mask

RAMP = (np.arange(32 * 24) % 256).astype(np.uint8).reshape(32, 24)


def save(path, array, mode=None):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


def palette_file(path, indices, colours):
    image = Image.fromarray(indices, mode="L").convert("L")
    image = Image.frombytes("P", image.size, indices.tobytes())
    image.putpalette([value for colour in colours for value in colour])
    image.save(path)
    return path


@pytest.mark.parametrize("extension", ["bmp", "png", "tif", "gif", "BMP"])
@pytest.mark.parametrize("mode", [None, "RGB"])
def test_8_bit_files_are_divided_by_255(tmp_path, extension, mode):
    image = read_image(save(tmp_path / f"a.{extension}", RAMP, mode))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, RAMP.astype(np.float32) / 255)


def test_jpeg_is_read(tmp_path):
    image = read_image(save(tmp_path / "a.jpg", np.full((8, 6), 128, np.uint8)))
    np.testing.assert_allclose(image, np.full((8, 6), 128 / 255), atol=0.01)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_files_are_divided_by_65535(tmp_path, name):
    values = RAMP.astype(np.uint16) * 257
    image = read_image(save(tmp_path / name, values))
    np.testing.assert_allclose(image, RAMP / np.float32(255), atol=1e-6)


def test_32_bit_integers_are_read_as_16_bit(tmp_path):
    image = read_image(save(tmp_path / "a.tif", RAMP.astype(np.int32) * 257))
    np.testing.assert_allclose(image, RAMP / np.float32(255), atol=1e-6)
    wide = save(tmp_path / "wide.tif", np.full((4, 4), 70000, np.int32))
    with pytest.raises(UserError, match=r"wide\.tif.*70000"):
        read_image(wide)


def test_float_tiff_must_lie_in_unit_range(tmp_path):
    values = RAMP.astype(np.float32) / 255
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.tif", values)), values)
    with pytest.raises(UserError, match=r"bad\.tif.*divide it by 255"):
        read_image(save(tmp_path / "bad.tif", values * 255))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1"])
def test_other_modes_become_grey(tmp_path, mode):
    values = np.where(RAMP > 99, 255, 0).astype(np.uint8)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", values, mode)), values / 255)


def test_colour_becomes_luminance(tmp_path):
    green = np.zeros((4, 4, 3), np.uint8)
    green[..., 1] = 255
    expected = np.asarray(Image.fromarray(green).convert("L")) / np.float32(255)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", green)), expected)
    np.testing.assert_array_equal(to_unit_float(green), expected)
    np.testing.assert_array_equal(read_image(save(tmp_path / "cmyk.tif", green, "CMYK")), expected)


@pytest.mark.parametrize("extension", ["bmp", "png", "tif", "gif", "jpg"])
def test_truncated_file_is_named(tmp_path, extension):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    path = save(tmp_path / f"cut.{extension}", noise)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=rf"cut\.{extension}"):
        read_image(path)


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    header = bytearray(save(tmp_path / "zero.bmp", RAMP).read_bytes())
    header[18:22] = bytes(4)  # the width
    (tmp_path / "zero.bmp").write_bytes(header)
    for name, message in {
        "text.png": "not an image",
        "empty.png": "empty",
        "zero.bmp": "",
        "missing.png": "does not exist",
    }.items():
        with pytest.raises(UserError, match=rf"{name}.*{message}"):
            read_image(tmp_path / name)
    with pytest.raises(UserError, match="is a folder"):
        read_image(tmp_path)


def test_stack_of_pages_is_refused(tmp_path):
    page = Image.fromarray(RAMP)
    page.save(tmp_path / "stack.tif", save_all=True, append_images=[page])
    with pytest.raises(UserError, match=r"stack\.tif holds 2 pages"):
        read_image(tmp_path / "stack.tif")


@pytest.mark.parametrize("mode", [None, "RGB", "RGBA", "LA", "P"])
def test_label_values_survive_every_mode(tmp_path, mode):
    label = np.array([[0, 100], [255, 0]], np.uint8)
    path = save(tmp_path / "a.png", label, mode)
    np.testing.assert_array_equal(read_label(path), label)
    rv, faz = combined_mask(path)
    np.testing.assert_array_equal(rv, label == 255)
    np.testing.assert_array_equal(faz, label == 100)


def test_palette_label_is_the_grey_colour_or_else_the_index(tmp_path):
    indices = np.array([[0, 1], [2, 0]], np.uint8)
    grey = palette_file(tmp_path / "grey.png", indices, [(0,) * 3, (100,) * 3, (255,) * 3])
    np.testing.assert_array_equal(read_label(grey), [[0, 100], [255, 0]])
    coloured = palette_file(tmp_path / "c.png", indices, [(0, 0, 0), (128, 0, 0), (0, 128, 0)])
    np.testing.assert_array_equal(read_label(coloured), indices)
    direct = palette_file(
        tmp_path / "d.png", indices * 100, [(index, 0, 255 - index) for index in range(256)]
    )
    np.testing.assert_array_equal(read_label(direct), indices * 100)


def test_label_refuses_colour_and_wide_values(tmp_path):
    colour = np.zeros((4, 4, 3), np.uint8)
    colour[0, 0] = 255, 0, 0
    with pytest.raises(UserError, match=r"colour\.png is a colour picture"):
        read_label(save(tmp_path / "colour.png", colour))
    with pytest.raises(UserError, match=r"wide\.png.*65535"):
        read_label(save(tmp_path / "wide.png", np.full((4, 4), 65535, np.uint16)))
    with pytest.raises(UserError, match=r"nan\.tif"):
        read_label(save(tmp_path / "nan.tif", np.full((4, 4), np.nan, np.float32)))
    with pytest.raises(UserError, match=r"half\.tif"):
        read_label(save(tmp_path / "half.tif", np.full((4, 4), 0.5, np.float32)))


@pytest.mark.parametrize("high", [1, 255])
def test_binary_mask_takes_1_or_255(tmp_path, high):
    mask = RAMP > 100
    path = save(tmp_path / "a.png", mask.astype(np.uint8) * np.uint8(high))
    np.testing.assert_array_equal(binary_mask(path), mask)


def test_binary_mask_of_1_bit_and_of_nothing(tmp_path):
    mask = RAMP > 100
    path = save(tmp_path / "bit.png", mask.astype(np.uint8) * np.uint8(255), "1")
    np.testing.assert_array_equal(binary_mask(path), mask)
    assert not binary_mask(save(tmp_path / "none.png", np.zeros((4, 4), np.uint8))).any()


@pytest.mark.parametrize("read", [binary_mask, combined_mask])
def test_unexpected_mask_values_are_listed(tmp_path, read):
    path = save(tmp_path / "smooth.png", np.array([[0, 3, 4, 5], [6, 7, 250, 255]], np.uint8))
    with pytest.raises(UserError, match=r"smooth\.png.*3, 4, 5, 6, 7 and 1 others.*only 0"):
        read(path)


def test_binary_mask_refuses_a_mix_of_1_and_255(tmp_path):
    with pytest.raises(UserError, match=r"mix\.png.*values 1;"):
        binary_mask(save(tmp_path / "mix.png", np.array([[0, 1, 255]], np.uint8)))


@pytest.mark.parametrize(
    "array",
    [
        np.full((4, 5), 51, np.uint8),
        np.full((4, 5, 1), 51 * 257, np.uint16),
        np.full((4, 5, 3), 51, np.uint8),
        np.full((4, 5, 4), 0.2, np.float64),
        np.full((4, 5), 0.2, np.float32),
    ],
)
def test_to_unit_float_takes_the_usual_arrays(array):
    result = to_unit_float(array)
    assert (result.shape, result.dtype) == ((4, 5), np.float32)
    np.testing.assert_allclose(result, 0.2, atol=1e-6)


def test_to_unit_float_takes_bool():
    np.testing.assert_array_equal(to_unit_float(np.eye(3, dtype=bool)), np.eye(3))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((4, 4), 200.0), "divide it by 255"),
        (np.full((4, 4), -1.0), "scale it"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4), np.inf), "NaN or infinite"),
        (np.zeros((3, 5, 5), np.uint8), r"\(3, 5, 5\) and dtype uint8"),
        (np.zeros((4,), np.uint8), r"\(4,\)"),
        (np.zeros((0, 4), np.uint8), r"\(0, 4\)"),
        (np.zeros((4, 4), np.int64), "int64"),
        (np.zeros((4, 4), np.complex64), "complex64"),
        (["text"], "dtype <U4"),
        ([[1.0], [1.0, 2.0]], "no array"),
    ],
)
def test_to_unit_float_names_what_is_wrong(array, message):
    with pytest.raises(UserError, match=message):
        to_unit_float(array)


def test_resize_has_half_pixel_centres():
    image = np.array([[0.0, 1.0]], np.float32)
    np.testing.assert_allclose(resize_image(image, (1, 4)), [[0, 0.25, 0.75, 1]], atol=1e-6)
    assert resize_image(image, (3, 5)).shape == (3, 5)


def test_resize_mask_keeps_half_covered_pixels():
    mask = np.zeros((8, 8), bool)
    mask[:, :4] = True
    for size in (4, 16):
        expected = np.zeros((size, size), bool)
        expected[:, : size // 2] = True
        np.testing.assert_array_equal(resize_mask(mask, (size, size)), expected)
