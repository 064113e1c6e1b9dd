"""TIFF as the standard says: polarity, byte order, planes, depths, pages and resolution."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import read_image, read_picture
from s2a_jax.inputs.masks import binary_mask
from tests.inputs.files import RAMP, disc, write_bits

UNIT = RAMP / np.float32(255)
DISC = disc()
DEPTHS = {
    "uint8": RAMP,
    "uint16": RAMP.astype(np.uint16) * 257,
    "float16": UNIT.astype(np.float16),
    "float32": UNIT,
    "float64": UNIT.astype(np.float64),
}
_NEGATIVE = {"uint8": 255, "uint16": 65535}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("negative", [False, True])
def test_every_depth_order_and_polarity_holds_one_picture(
    tmp_path, depth, byteorder, big, negative
):
    values, path = DEPTHS[depth], tmp_path / "a.tif"
    stored = (_NEGATIVE.get(depth, 1) - values).astype(values.dtype) if negative else values
    photometric = "miniswhite" if negative else "minisblack"
    tifffile.imwrite(path, stored, byteorder=byteorder, bigtiff=big, photometric=photometric)
    image = read_image(path)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, UNIT, atol=1e-3 if depth == "float16" else 1e-6)


@pytest.mark.parametrize(
    ("dtype", "inside", "outside"),
    [(bool, 0, 1), (np.uint8, 0, 255), (np.float32, 0, 1)],
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_masks_where_white_is_zero(tmp_path, dtype, inside, outside, byteorder):
    stored = np.where(DISC, inside, outside).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite", byteorder=byteorder)
    np.testing.assert_array_equal(binary_mask(read_picture(tmp_path / "a.tif")), DISC)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.uint32, np.int64, np.float64])
@pytest.mark.parametrize("inside", [1, 255])
def test_masks_in_every_type(tmp_path, dtype, inside):
    stored = (DISC * inside).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack")
    np.testing.assert_array_equal(binary_mask(read_picture(tmp_path / "a.tif")), DISC)


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("inside", [1, None])
def test_masks_of_few_bits(tmp_path, bits, inside):
    stored = DISC * np.uint8(2**bits - 1 if inside is None else inside)
    path = write_bits(tmp_path / "a.tif", stored, bits)
    np.testing.assert_array_equal(binary_mask(read_picture(path)), DISC)
    np.testing.assert_array_equal(read_image(path), stored / np.float32(2**bits - 1))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_planes_are_read_as_pixels_are(tmp_path, dtype, compression):
    scale = 257 if dtype == "uint16" else 1
    rgb = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=-1).astype(dtype) * dtype_of(dtype)(
        scale
    )
    tifffile.imwrite(tmp_path / "chunky.tif", rgb, photometric="rgb", compression=compression)
    tifffile.imwrite(
        tmp_path / "planar.tif", np.moveaxis(rgb, -1, 0), photometric="rgb",
        planarconfig="separate", compression=compression,
    )  # fmt: skip
    expected = rgb.astype(np.float64) @ [0.299, 0.587, 0.114] / (255 * scale)
    for name in ("chunky", "planar"):
        image = read_image(tmp_path / f"{name}.tif")
        np.testing.assert_allclose(image, expected, atol=0.51 / (255 * scale) + 1e-5)


def dtype_of(name):
    return np.dtype(name).type


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "jpeg"])
def test_compressions_that_other_programs_write(tmp_path, compression):
    Image.fromarray(RAMP).save(
        tmp_path / "a.tif", compression={"zlib": "tiff_adobe_deflate", "lzw": "tiff_lzw"}.get(
            compression, compression),
    )  # fmt: skip
    tolerance = 0.15 if compression == "jpeg" else 0
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), UNIT, atol=tolerance)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 12, 14])
def test_depths_between_the_usual_ones_have_their_own_white(tmp_path, bits):
    values = RAMP.astype(np.uint16) % 2**bits
    image = read_image(write_bits(tmp_path / "a.tif", values, bits))
    np.testing.assert_allclose(image, values / (2**bits - 1), atol=1e-6)


def test_smaller_copies_are_left_out_and_further_pages_refused(tmp_path):
    small, path = RAMP[::2, ::2], tmp_path / "a.tif"
    for pages in ([(RAMP, 0), (small, 1)], [(small, 1), (RAMP, 0)]):
        with tifffile.TiffWriter(path) as writer:
            for values, kind in pages:
                writer.write(values, subfiletype=kind, photometric="minisblack", metadata=None)
        np.testing.assert_array_equal(read_image(path), UNIT)
    with tifffile.TiffWriter(tmp_path / "subifd.tif") as writer:
        writer.write(RAMP, subifds=1, photometric="minisblack")
        writer.write(small, subfiletype=1, photometric="minisblack")
    np.testing.assert_array_equal(read_image(tmp_path / "subifd.tif"), UNIT)
    stack = np.stack([RAMP, RAMP])
    for options in ({"photometric": "minisblack"}, {"imagej": True}, {"ome": True}):
        tifffile.imwrite(path, stack, **options)
        with pytest.raises(UserError, match=r"a\.tif holds 2 pages"):
            read_image(path)


def test_data_that_are_missing_are_not_zeros(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    for compression in (None, "zlib", "lzw"):
        for strips in (64, 8):
            path = tmp_path / "cut.tif"
            tifffile.imwrite(path, noise, compression=compression, rowsperstrip=strips)
            content = path.read_bytes()
            path.write_bytes(content[: len(content) - 1500])
            with pytest.raises(UserError, match=r"cut\.tif cannot be read.*cut short"):
                read_image(path)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.zeros((8, 8, 5), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"},
         "MINISBLACK with 5 channels"),
        (np.zeros((8, 8, 3), np.uint8), {"photometric": "cielab"}, "CIELAB"),
        (np.zeros((8, 8), np.complex64), {}, "complex64"),
        (np.full((8, 8), 70000, np.uint32), {}, "70000"),
        (np.full((8, 8), -1, np.int16), {}, "int16 values from -1 to -1"),
        (np.full((8, 8), 100, np.int8), {}, "int8 values from 100"),
        (np.full((8, 8), 200, np.uint32), {}, "do not say what is white"),
        (np.full((8, 8), 200, np.int32), {"photometric": "miniswhite"}, "what is black"),
        (np.full((8, 8), 3.0, np.float64), {}, "from 3 to 3"),
        (np.full((8, 8), np.nan, np.float16), {}, "NaN"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_by_kind(tmp_path, values, options, message):
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    with pytest.raises(UserError, match=rf"a\.tif.*{message}"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("unit", ["inch", "centimeter", "none"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_resolution_units(tmp_path, unit, byteorder):
    per_unit = {"inch": 2540.0, "centimeter": 1000.0, "none": 100_000.0}[unit]
    tifffile.imwrite(
        tmp_path / "a.tif", RAMP, resolution=(per_unit, per_unit / 2), resolutionunit=unit,
        byteorder=byteorder,
    )  # fmt: skip
    picture = read_picture(tmp_path / "a.tif")
    assert picture.aspect == pytest.approx(2)
    expected = None if unit == "none" else pytest.approx((20.0, 10.0))
    assert picture.um_per_px == expected


@pytest.mark.parametrize(
    ("options", "pitch"),
    [
        ({"resolution": 300, "resolution_unit": 2}, None),  # a printer's
        ({"dpi": (1200, 1200)}, None),
        ({"dpi": (720, 720)}, None),
        ({"resolution": 472.44, "resolution_unit": 3}, None),  # 1200 dpi
        ({"dpi": (2540, 2540)}, 10.0),
        ({}, None),
    ],
)
def test_resolution_that_pillow_writes(tmp_path, options, pitch):
    Image.fromarray(RAMP).save(tmp_path / "a.tif", **options)
    found = read_picture(tmp_path / "a.tif").um_per_px
    assert found == (None if pitch is None else pytest.approx((pitch, pitch), rel=1e-5))


@pytest.mark.parametrize(("unit", "um"), [("um", 1), ("micron", 1), ("\\u00B5m", 1), ("mm", 1000)])
def test_imagej_states_its_unit(tmp_path, unit, um):
    per_unit = um / 12.0
    tifffile.imwrite(
        tmp_path / "a.tif", RAMP, imagej=True, resolution=(per_unit, per_unit),
        metadata={"unit": unit},
    )  # fmt: skip
    assert read_picture(tmp_path / "a.tif").um_per_px == pytest.approx((12.0, 12.0), rel=1e-4)


@pytest.mark.parametrize(("unit", "um"), [("µm", 1.0), ("mm", 1000.0), ("nm", 0.001), (None, 1.0)])
def test_ome_states_its_physical_size(tmp_path, unit, um):
    sizes = {"PhysicalSizeX": 9.87 / um, "PhysicalSizeY": 9.87 / um}
    if unit:
        sizes |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", RAMP, ome=True, metadata=sizes)
    assert read_picture(tmp_path / "a.ome.tif").um_per_px == pytest.approx((9.87, 9.87))
