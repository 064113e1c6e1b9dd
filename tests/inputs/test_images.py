"""Images and masks: every file type and array, and what is refused."""

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import read_image, read_picture, resize_image, to_unit_float
from tests.inputs.files import RAMP, disc, save, write_dicom


@pytest.mark.parametrize("extension", ["bmp", "png", "tif", "gif", "BMP"])
@pytest.mark.parametrize("mode", [None, "RGB"])
def test_8_bit_files_are_divided_by_255(tmp_path, extension, mode):
    image = read_image(save(tmp_path / f"a.{extension}", RAMP, mode))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, RAMP.astype(np.float32) / 255)


@pytest.mark.parametrize("extension", ["jpg", "jp2", "j2k", "webp"])
def test_compressed_photographs_are_read(tmp_path, extension):
    smooth = np.add.outer(np.arange(32), np.arange(24)).astype(np.uint8) * 4
    image = read_image(save(tmp_path / f"a.{extension}", smooth))
    np.testing.assert_allclose(image, smooth / 255, atol=0.03)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jp2"])
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
    colours = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    expected = np.asarray(Image.fromarray(colours).convert("L")) / np.float32(255)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", colours)), expected)
    np.testing.assert_array_equal(to_unit_float(colours), expected)
    # ITU-R 601; floats are not rounded.
    found = to_unit_float(colours / 255)
    np.testing.assert_allclose(found, colours / 255 @ [0.299, 0.587, 0.114], atol=1e-4)
    green = np.zeros((4, 4, 3), np.uint8)
    green[..., 1] = 255
    expected = np.asarray(Image.fromarray(green).convert("L")) / np.float32(255)
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
    (tmp_path / "page.jpg").write_text("<!doctype HTML><p>Please log in</p>")
    (tmp_path / "scan.png").write_bytes(b"%PDF-1.7")
    (tmp_path / "phone.jpg").write_bytes(bytes([0, 0, 0, 24]) + b"ftypheic" + bytes(20))
    np.save(tmp_path / "stack.npy", RAMP)
    (tmp_path / "stack.npy").rename(tmp_path / "stack.tif")
    (tmp_path / "empty.png").write_bytes(b"")
    header = bytearray(save(tmp_path / "zero.bmp", RAMP).read_bytes())
    header[18:22] = bytes(4)  # the width
    (tmp_path / "zero.bmp").write_bytes(header)
    for name, message in {
        "text.png": "is not an image that can be read; expected a PNG, TIFF",
        "page.jpg": "kind HTML",
        "scan.png": "kind PDF",
        "phone.jpg": "kind HEIC",
        "stack.tif": "kind NumPy",
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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
def test_pictures_stored_turned_are_shown_upright(tmp_path, extension, orientation):
    upright = np.where(disc(32)[:, :28], 250, 5).astype(np.uint8)
    # What each orientation means, by the names of TIFF 6.0: where row 0 and column 0 lie.
    stored = {
        1: upright,
        2: np.fliplr(upright),
        3: np.rot90(upright, 2),
        4: np.flipud(upright),
        5: upright.T,
        6: np.rot90(upright),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"a.{extension}"
    options = {"jpg": {"quality": 95}, "webp": {"lossless": True}}.get(extension, {})
    Image.fromarray(stored).save(path, exif=exif, **options)
    picture = read_picture(path)
    assert picture.notes == (
        () if orientation == 1 else (f"turned upright (orientation {orientation})",)
    )
    np.testing.assert_allclose(read_image(path), upright / 255, atol=0.15)


@pytest.mark.parametrize("extension", ["png", "jpg", "bmp"])
def test_density_gives_the_shape_of_pixels(tmp_path, extension):
    Image.fromarray(RAMP).save(tmp_path / f"a.{extension}", dpi=(200, 100))
    assert read_picture(tmp_path / f"a.{extension}").aspect == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize("dtype", [">u2", "<u2", ">f4", ">f8", "<f2"])
def test_arrays_of_every_byte_order(dtype):
    values = RAMP / 255 if np.dtype(dtype).kind == "f" else RAMP.astype(np.uint16) * 257
    image = to_unit_float(values.astype(dtype))
    assert image.dtype == np.float32 and image.dtype.isnative
    np.testing.assert_allclose(image, RAMP / 255, atol=1e-3 if dtype == "<f2" else 1e-6)


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
        ("eye.png", r"is a path, eye\.png; expected an array .*read_image"),
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


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"nothing of the kind", b"MM"])
def test_damaged_exif_is_no_reason_to_end(tmp_path, exif):
    path = tmp_path / "a.png"
    Image.fromarray(RAMP).save(path, exif=exif)
    try:
        image = read_image(path)
    except UserError as error:
        assert "a.png" in str(error)
    else:
        np.testing.assert_array_equal(image, RAMP / np.float32(255))


def damaged(content, rng):
    """The content with a few bits turned, most of them near its start, or cut short."""
    content = bytearray(content)
    if rng.random() < 0.2:
        return bytes(content[: rng.integers(1, len(content))])
    for _ in range(rng.choice([1, 1, 2, 5])):
        end = min(len(content), int(rng.choice([40, 300, 1000, len(content)])))
        content[rng.integers(end)] ^= 1 << rng.integers(8)
    return bytes(content)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.gif", "a.jpg", "a.jp2", "a.webp", "a.tif",
                                  "lzw.tif", "big.tif", "ome.tif", "a.dcm"])  # fmt: skip
def test_a_damaged_file_is_a_picture_or_one_sentence(tmp_path, name):
    """Bits that turned never end in a traceback, in a warning, or in gigabytes of pixels."""
    path = tmp_path / name
    if name.endswith(".dcm"):
        write_dicom(path, RAMP, PixelSpacing=[0.01, 0.01], RescaleSlope=-1, RescaleIntercept=255,
                    WindowCenter=100, WindowWidth=100)  # fmt: skip
    elif name == "a.tif":
        Image.fromarray(RAMP).quantize(4).save(path)
    elif name.endswith(".tif"):
        options = {"lzw.tif": {"compression": "lzw"}, "big.tif": {"bigtiff": True}}
        tifffile.imwrite(path, RAMP, **options.get(name, {"ome": True}))
    else:
        save(path, RAMP)
    content, rng, outcomes = path.read_bytes(), np.random.default_rng(0), set()
    for _ in range(150):
        path.write_bytes(damaged(content, rng))
        try:
            image = read_image(path)
        except UserError as error:
            assert name in str(error)
            outcomes.add("refused")
        else:
            assert image.dtype == np.float32 and 0 <= image.min() <= image.max() <= 1
            outcomes.add("read")
    assert "refused" in outcomes


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
@pytest.mark.parametrize("bits", [12, 16])
def test_colours_of_jpeg_2000_have_8_bits(tmp_path, mode, bits):
    """Pillow reduces others to 8 bits, and the brightest become 0."""
    deep = np.stack([RAMP.astype(np.uint16) << (bits - 8)] * len(mode), axis=-1)
    path = tmp_path / "deep.jp2"
    path.write_bytes(imagecodecs.jpeg2k_encode(deep, level=0, bitspersample=bits))
    with pytest.raises(UserError, match=r"deep\.jp2 is JPEG 2000 in colour.*more than 8 bits"):
        read_picture(path)
    path.write_bytes(imagecodecs.jpeg2k_encode(np.stack([RAMP] * len(mode), axis=-1), level=0))
    np.testing.assert_array_equal(read_image(path), RAMP / np.float32(255))
