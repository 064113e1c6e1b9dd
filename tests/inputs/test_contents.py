"""The files of one eye together: sizes, square pixels, pitch, and notes."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from s2a_jax.errors import UserError
from s2a_jax.inputs.contents import read_contents
from s2a_jax.inputs.notes import note_lines
from tests.inputs.files import disc, save, write_dicom

ROUND = disc(64, 20)
HIGH = ROUND[::2]  # every second row: pixels twice as high as wide
GREY = (HIGH * np.uint8(200)).astype(np.uint8)


def agreement(mask, expected):
    return 2 * (mask & expected).sum() / (mask.sum() + expected.sum())


def write_tall(path, values):
    """An image file whose pixels are 20 um high and 10 um wide."""
    if path.suffix == ".dcm":
        write_dicom(path, values, PixelSpacing=[0.02, 0.01])
    else:
        tifffile.imwrite(path, values, resolution=(1000, 500), resolutionunit="centimeter")
    return path


@pytest.mark.parametrize("name", ["a.tif", "a.dcm"])
def test_pixels_become_square_for_image_and_mask(tmp_path, name):
    mask = save(tmp_path / "mask.png", HIGH.astype(np.uint8) * 255)  # says nothing
    contents = read_contents([write_tall(tmp_path / name, GREY)], faz=mask)
    assert contents.image.shape == contents.faz.shape == contents.size == (64, 64)
    assert contents.um_per_px == pytest.approx(10)
    assert agreement(contents.faz, ROUND) > 0.96
    assert agreement(contents.image > 0.4, ROUND) > 0.96
    (line,) = note_lines(contents.notes)
    assert "2 times as high as wide were resampled to square" in line
    assert "64x32 to 64x64" in line and name in line


@pytest.mark.parametrize("name", ["mask.tif", "mask.dcm"])
def test_a_mask_that_states_the_shape_of_its_pixels(tmp_path, name):
    path = write_tall(tmp_path / name, HIGH.astype(np.uint8) * 255)
    contents = read_contents(faz=path)
    assert contents.um_per_px == pytest.approx(10)
    assert contents.faz.sum() == pytest.approx(ROUND.sum(), rel=0.03)


def test_aspect_without_spacing_and_the_other_way_round(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.ascontiguousarray(GREY.T), PixelAspectRatio=[1, 2])
    contents = read_contents([path])
    assert (contents.size, contents.um_per_px) == ((64, 64), None)
    assert agreement(contents.image > 0.4, ROUND.T) > 0.96


def test_a_turned_picture_has_its_spacing_turned(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # the first row is the right side
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(GREY)))
    turned.save(tmp_path / "a.png", exif=exif, dpi=(100, 200))  # pixels of the file: 1 high, 2 wide
    contents = read_contents([tmp_path / "a.png"])
    assert agreement(contents.image > 0.4, ROUND) > 0.96


def write_tiff(path, pitch):
    """A grey TIFF whose pixels have this pitch, (down, across) in um."""
    down, across = pitch
    resolution = (10_000 / across, 10_000 / down)
    tifffile.imwrite(path, GREY, resolution=resolution, resolutionunit="centimeter")
    return path


def test_files_of_one_eye_that_contradict_each_other(tmp_path):
    mask = HIGH.astype(np.uint8) * 255
    for name, second in {"turned": (10, 20), "finer": (10, 5), "square": (10, 10)}.items():
        image = write_tiff(tmp_path / "a.tif", (20, 10))
        slab = write_tiff(tmp_path / f"{name}.tif", second)
        with pytest.raises(UserError, match=rf"a\.tif and .*{name}\.tif .* differ in pixel pitch"):
            read_contents([image, slab])
    image = write_tiff(tmp_path / "a.tif", (10, 10))  # states that its pixels are square
    Image.fromarray(mask).save(tmp_path / "mask.png", dpi=(96, 72))
    with pytest.raises(
        UserError, match=r"a\.tif and .*mask\.png .*height over width.* 1 and 1\.333"
    ):
        read_contents([image], faz=tmp_path / "mask.png")
    right = write_dicom(tmp_path / "right.dcm", GREY, ImageLaterality="R")
    left = write_dicom(tmp_path / "left.dcm", GREY, ImageLaterality="L")
    with pytest.raises(UserError, match=r"differ in laterality: OD and OS"):
        read_contents([right, left])


def test_files_of_one_eye_have_one_size(tmp_path):
    image = write_tall(tmp_path / "a.tif", GREY)
    small = save(tmp_path / "small.png", np.zeros((5, 6), np.uint8))
    with pytest.raises(UserError, match=r"small\.png is 6x5 pixels but .*a\.tif is 64x32"):
        read_contents([image], rv=small)
    mask = write_tall(tmp_path / "mask.tif", HIGH.astype(np.uint8) * 255)
    with pytest.raises(UserError, match=r"mask\.tif is 64x32 pixels but .*small\.png is 6x5"):
        read_contents(rv=small, faz=mask)  # although both could become square


def test_a_resolution_out_of_all_proportion_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, resolution=(3000, 72), resolutionunit="inch")
    with pytest.raises(UserError, match=r"a\.tif says that its pixels are 41\.67 times as high"):
        read_contents([path])


def test_values_that_use_a_small_part_of_their_range(tmp_path):
    """12 bits stored in 16, or signed values of which none is negative, are said."""
    dim = tmp_path / "dim.png"
    Image.fromarray(GREY.astype(np.uint16) << 4).save(dim)
    (line,) = note_lines(read_contents([dim]).notes)
    assert line == f"{dim}: its values use only 0 to 0.049 of their range."
    bright = write_dicom(tmp_path / "bright.dcm", GREY.astype(np.int16) * 150)
    (line,) = note_lines(read_contents([bright]).notes)
    assert "use only 0.5 to 0.96 of their range" in line
    empty = save(tmp_path / "empty.png", np.zeros((8, 8), np.uint8))
    assert not read_contents([empty]).notes


def test_square_pixels_keep_every_value(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, resolution=(1000, 1005), resolutionunit=3)
    contents = read_contents([tmp_path / "a.tif"])
    np.testing.assert_array_equal(contents.image, GREY / np.float32(255))
    assert contents.um_per_px == pytest.approx(10 / 1.005**0.5)
    assert contents.pitch_kind == "TIFF" and not contents.notes
