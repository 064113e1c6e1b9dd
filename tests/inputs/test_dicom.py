"""DICOM: the grey pipeline, colours, decoders, files without a preamble, pitch and laterality."""

import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    MPEG2MPML,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SegmentationStorage,
)

from s2a_jax.errors import UserError
from s2a_jax.inputs.dicom import is_dicom
from s2a_jax.inputs.images import read_image, read_picture
from tests.inputs.files import RAMP, dicom, write_dicom

UNIT = RAMP / np.float32(255)
SHORTS = RAMP.astype(np.uint16) * 257


def table(values, depth=8):
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(values), 0, depth], [int(v) for v in values]
    item["LUTData"].VR = item["LUTDescriptor"].VR = "US"
    return item


def group(sequence, **elements):
    item, outer = Dataset(), Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    setattr(outer, sequence, [item])
    return outer


NEGATIVE = 255 - RAMP
FALLING = list(range(255, -1, -1))
SAME_PICTURE = {
    "plain": dicom(RAMP),
    "16 bits": dicom(SHORTS),
    "12 of 16 bits": dicom(RAMP.astype(np.uint16) << 4, bits=12),
    "overlay above the stored bits": dicom(RAMP.astype(np.uint16) | 0x4000, bits=8),
    "signed": dicom((RAMP.astype(np.int16) - 128).astype(np.int8)),
    "negative slope": dicom(NEGATIVE, RescaleSlope=-1, RescaleIntercept=255),
    "slope beyond 16 bits": dicom(SHORTS, RescaleSlope=2, RescaleIntercept=0),
    "negative slope beyond 16 bits": dicom(
        65535 - SHORTS, RescaleSlope=-2, RescaleIntercept=131070),
    "32 bits": dicom(RAMP.astype(np.uint32) * 0x01010101),
    "slope and intercept": dicom(RAMP, RescaleSlope=0.25, RescaleIntercept=-40),
    "slope of the frame": dicom(NEGATIVE, SharedFunctionalGroupsSequence=[group(
        "PixelValueTransformationSequence", RescaleSlope=-1, RescaleIntercept=255)]),
    "modality table": dicom(NEGATIVE, ModalityLUTSequence=[table(FALLING)]),
    "voi table": dicom(NEGATIVE, VOILUTSequence=[table(FALLING)]),
    "inverse shape": dicom(NEGATIVE, PresentationLUTShape="INVERSE"),
    "signed, inverse": dicom(
        (NEGATIVE.astype(np.int16) - 128).astype(np.int8), PresentationLUTShape="INVERSE"),
    "MONOCHROME1": dicom(NEGATIVE, "MONOCHROME1"),
    "MONOCHROME1, stated twice": dicom(NEGATIVE, "MONOCHROME1", PresentationLUTShape="INVERSE"),
    "negative slope, inverse": dicom(
        RAMP, RescaleSlope=-1, RescaleIntercept=255, PresentationLUTShape="INVERSE"),
    "window": dicom(RAMP, WindowCenter=128, WindowWidth=256, VOILUTFunction="LINEAR_EXACT"),
    "window after a slope": dicom(NEGATIVE, RescaleSlope=-2, RescaleIntercept=510,
        WindowCenter=256, WindowWidth=512, VOILUTFunction="LINEAR_EXACT"),
    "RGB": dicom(np.stack([RAMP] * 3, axis=-1), "RGB"),
    "YBR_FULL": dicom(np.stack([RAMP, RAMP * 0 + 128, RAMP * 0 + 128], axis=-1), "YBR_FULL"),
    "big endian": dicom(SHORTS, syntax=ExplicitVRBigEndian),
    "implicit": dicom(SHORTS, syntax=ImplicitVRLittleEndian),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME_PICTURE)
def test_one_picture_however_it_is_stored(tmp_path, name):
    SAME_PICTURE[name].save_as(tmp_path / "a.dcm", enforce_file_format=True)
    image = read_image(tmp_path / "a.dcm")
    assert (image.dtype, image.shape) == (np.float32, RAMP.shape)
    # 12 bits end at 4095, not at 16 x 255; these windows end one value above 255.
    white = {"12 of 16 bits": 4095 / 16}.get(name, 256 if "window" in name else 255)
    np.testing.assert_allclose(image, RAMP / np.float32(white), atol=1e-5)


def test_a_window_shows_its_part_of_the_range(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", RAMP, WindowCenter=[100, 5], WindowWidth=[101, 2])
    # PS3.3 C.11.2.1.2.1: from center - 0.5 - (width - 1) / 2 to center - 0.5 + (width - 1) / 2.
    expected = np.clip((RAMP - 99.5) / 100 + 0.5, 0, 1)
    np.testing.assert_allclose(read_image(path), expected, atol=1e-4)
    assert read_picture(path).notes == ("shown with the first of its 2 windows",)


@pytest.mark.parametrize(("words", "depth", "scale"), [(8, 8, 1), (16, 16, 257), (16, 16, 1)])
def test_palettes_are_colours_and_not_intensities(tmp_path, words, depth, scale):
    """Also 8-bit colours that a writer left in a table of 16-bit words."""
    data = dicom(NEGATIVE, "PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        values = np.array(FALLING, np.uint8 if words == 8 else np.uint16) * np.uint8(scale % 256)
        values = values if scale < 256 else np.array(FALLING, np.uint16) * np.uint16(scale)
        setattr(data, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, depth])
        setattr(data, f"{colour}PaletteColorLookupTableData", values.tobytes())
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    np.testing.assert_allclose(read_image(tmp_path / "a.dcm"), UNIT, atol=1e-6)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"PresentationLUTSequence": [table(FALLING)]}, "Presentation LUT Sequence"),
        ({"photometric": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}, "IDENTITY with MONO"),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "RescaleSlope is 0"),
        ({"WindowCenter": 5, "WindowWidth": 0}, "Window Center and Width cannot be used"),
        ({"VOILUTSequence": [table(FALLING, depth=3)]}, "VOI LUT Sequence cannot be used"),
        ({"HighBit": 3}, "High Bit 3 with Bits Stored 8"),
        ({"PixelSpacing": [0.01]}, r"PixelSpacing is .*0.01.*two positive numbers"),
        ({"PixelSpacing": [0.01, 0]}, "two positive numbers"),
        ({"PixelAspectRatio": [1, 0]}, "PixelAspectRatio is .*two positive numbers"),
    ],
)
def test_attributes_that_cannot_be_used_are_named(tmp_path, elements, message):
    path = write_dicom(tmp_path / "eye.dcm", RAMP, **elements)
    with pytest.raises(UserError, match=rf"eye\.dcm.*({message})"):
        read_image(path)


def test_spacing_that_is_text(tmp_path):
    content = write_dicom(tmp_path / "a.dcm", RAMP, PixelSpacing=[0.25, 0.25]).read_bytes()
    (tmp_path / "a.dcm").write_bytes(content.replace(b"0.25\\0.25", b"wide\\high"))
    with pytest.raises(UserError, match=r"a\.dcm"):
        read_image(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("syntax", "message"),
    [
        (JPEGLSLossless, "JPEG-LS Lossless.*pip install pylibjpeg pylibjpeg-libjpeg"),
        (JPEGLosslessSV1, "JPEG Lossless.*pip install pylibjpeg pylibjpeg-libjpeg"),
        (MPEG2MPML, "MPEG2.*is not read"),
    ],
)
def test_compressions_without_a_decoder_are_named(tmp_path, monkeypatch, syntax, message):
    if syntax in (JPEGLSLossless, JPEGLosslessSV1):  # other packages may have brought one
        monkeypatch.setattr(get_decoder(syntax), "_available", {})
    data = dicom(RAMP)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate([b"dummy data"])
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(UserError, match=rf"a\.dcm is (compressed|stored) as {message}"):
        read_image(tmp_path / "a.dcm")


def test_compressions_that_need_no_package(tmp_path):
    data = dicom(SHORTS)
    data.compress(RLELossless)
    data.save_as(tmp_path / "rle.dcm", enforce_file_format=True)
    np.testing.assert_allclose(read_image(tmp_path / "rle.dcm"), UNIT, atol=1e-6)
    stream = BytesIO()
    Image.fromarray(RAMP).save(stream, "JPEG2000", irreversible=False)
    data = dicom(RAMP)
    data.file_meta.TransferSyntaxUID = JPEG2000Lossless
    data.PixelData = encapsulate([stream.getvalue()])
    data.save_as(tmp_path / "j2k.dcm", enforce_file_format=True)
    np.testing.assert_allclose(read_image(tmp_path / "j2k.dcm"), UNIT, atol=1e-6)


@pytest.mark.parametrize("name", ["old.dcm", "old"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_files_without_preamble_and_file_meta_are_read(tmp_path, name, syntax):
    data = dicom(SHORTS, syntax=syntax)
    del data.file_meta
    data.save_as(tmp_path / name, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    assert (tmp_path / name).read_bytes()[128:132] != b"DICM"
    np.testing.assert_allclose(read_image(tmp_path / name), UNIT, atol=1e-6)


def test_files_that_are_no_dicom_image(tmp_path):
    (tmp_path / "text.dcm").write_text("no DICOM file at all")
    data = dicom(RAMP)
    del data.PixelData
    data.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    for name in ("text.dcm", "report.dcm"):
        with pytest.raises(UserError, match=rf"{name} is no DICOM file with an image"):
            read_image(tmp_path / name)
    path = write_dicom(tmp_path / "mask.dcm", RAMP, SOPClassUID=SegmentationStorage)
    with pytest.raises(UserError, match=r"mask\.dcm is a DICOM Segmentation, not an image"):
        read_image(path)
    path = write_dicom(tmp_path / "cut.dcm", RAMP)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"cut\.dcm.*damaged"):
        read_image(path)


def test_several_frames_are_listed_and_one_frame_is_an_image(tmp_path):
    frames = [group("FrameContentSequence", FrameLabel=name) for name in ("superficial", "deep")]
    stack = np.stack([RAMP, RAMP])
    path = write_dicom(tmp_path / "a.dcm", stack, PerFrameFunctionalGroupsSequence=frames)
    with pytest.raises(UserError, match=r"holds 2 frames \(1 superficial, 2 deep\)"):
        read_image(path)
    write_dicom(path, RAMP[None], PerFrameFunctionalGroupsSequence=frames[:1])
    np.testing.assert_allclose(read_image(path), UNIT)


def test_pitch_aspect_and_laterality(tmp_path):
    spacing = group("PixelMeasuresSequence", PixelSpacing=[0.01, 0.015])
    anatomy = group("FrameAnatomySequence", FrameLaterality="L")
    spacing.FrameAnatomySequence = anatomy.FrameAnatomySequence
    picture = read_picture(
        write_dicom(tmp_path / "a.dcm", RAMP, SharedFunctionalGroupsSequence=[spacing])
    )
    assert picture.um_per_px == pytest.approx((10, 15))
    assert (picture.laterality, picture.aspect) == ("OS", pytest.approx(10 / 15))
    picture = read_picture(
        write_dicom(tmp_path / "b.dcm", RAMP, PixelAspectRatio=[2, 1], Laterality="R")
    )
    assert (picture.um_per_px, picture.laterality, picture.aspect) == (None, "OD", 2)


def test_dicom_without_pydicom(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "eye.dcm", RAMP)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[dicom\]'"):
        read_image(path)


def test_a_single_row_of_colours(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.stack([RAMP[:1]] * 3, axis=-1), "RGB")
    np.testing.assert_allclose(read_image(path), UNIT[:1], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("notes", b"\x02\x00 two bytes are no mark", False),
        ("notes", b"\x08\x00", False),
        ("DICOMDIR", bytes(128) + b"DICM", False),  # the list of files beside an export
        ("eye", bytes(128) + b"DICM", True),
        ("old", b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", True),
        ("old", b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100", True),
        ("eye.DCM", b"", True),
    ],
)
def test_files_without_an_extension_are_recognised_by_their_beginning(
    tmp_path, name, content, expected
):
    (tmp_path / name).write_bytes(content)
    assert is_dicom(tmp_path / name) == expected
