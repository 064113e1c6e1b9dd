"""Image files that no command can use, as data."""

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image
from pydicom.uid import SegmentationStorage

from tests.inputs.files import RAMP, dicom

GREY = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)


def encoded(kind, pixels=GREY, **options):
    """The bytes of an image file that Pillow writes."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def tiff(pixels=GREY, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def dicom_bytes(pixels=RAMP, **elements):
    """The bytes of a DICOM file; an element that is None is left out."""
    absent = [name for name, value in elements.items() if value is None]
    data = dicom(pixels, **{name: v for name, v in elements.items() if v is not None})
    for name in absent:
        delattr(data, name)
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def png(width, height, body=b"", depth=8, colour=0):
    """A PNG whose header claims a size, whatever its body holds."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )  # fmt: skip


def flipped(content, share):
    """The content with the bytes from a share of it on changed."""
    at = int(len(content) * share)
    return content[:at] + bytes(255 - byte for byte in content[at : at + 64]) + content[at + 64 :]


PNG, JPEG, TIFF = encoded("PNG"), encoded("JPEG"), tiff()
DICOM = dicom_bytes()


def _animation():
    file = io.BytesIO()
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


IMAGES = {
    "empty.png": b"",
    "empty.tif": b"",
    "empty.dcm": b"",
    "one-byte.png": b"\x89",
    "text.png": b"no image\n",
    "text.tif": b"no image\n",
    "text.dcm": b"no image\n",
    "text.jpg": b"no image\n",
    "page.png": b"<!DOCTYPE html><html></html>",
    "lfs.png": b"version https://git-lfs.github.com/spec/v1\n",
    "paper.png": b"%PDF-1.7\n",
    "archive.png": b"PK\x03\x04" + bytes(60),
    "array.png": b"\x93NUMPY" + bytes(60),
    "matlab.png": b"MATLAB 5.0 MAT-file" + bytes(60),
    "hdf5.png": b"\x89HDF\r\n\x1a\n" + bytes(60),
    "photo.jpg": b"\0\0\0\x18ftypheic" + bytes(60),
    "zeros.png": bytes(300),
    "zeros.dcm": bytes(300),
    "noise.png": np.random.default_rng(1).bytes(500),
    "noise.tif": b"II*\0" + np.random.default_rng(1).bytes(500),
    "noise.dcm": bytes(128) + b"DICM" + np.random.default_rng(1).bytes(500),
    "noise.jp2": np.random.default_rng(2).bytes(500),
    "cut.png": PNG[: len(PNG) // 2],
    "cut.jpg": JPEG[: len(JPEG) // 2],
    "cut.gif": encoded("GIF")[:100],
    "cut.bmp": encoded("BMP")[:100],
    "cut.webp": encoded("WEBP")[:60],
    "cut.jp2": encoded("JPEG2000")[:90],
    "cut.tif": TIFF[: len(TIFF) // 2],
    "cut-head.png": PNG[:20],
    "cut-head.tif": TIFF[:6],
    "cut-head.dcm": DICOM[:140],
    "cut.dcm": DICOM[: len(DICOM) - 400],
    "flipped.png": flipped(PNG, 0.5),
    "bomb.png": png(100_000, 100_000),
    "wide-bomb.png": png(2**31 - 1, 2),
    "no-width.png": png(0, 40),
    "no-pixels.png": png(40, 40),
    "strange-depth.png": png(40, 40, depth=7),
    "strange-colour.png": png(40, 40, colour=5),
    "animation.gif": _animation(),
    "stack.tif": tiff(np.stack([GREY, GREY])),
    "complex.tif": tiff(GREY.astype(np.complex64)),
    "double.tif": tiff(GREY.astype(np.float64) * 3),
    "nan.tif": tiff(np.where(GREY > 100, np.nan, 0.5).astype(np.float32)),
    "infinite.tif": tiff(np.where(GREY > 100, np.inf, 0.5).astype(np.float32)),
    "negative.tif": tiff(-GREY.astype(np.float32) / 255),
    "signed.tif": tiff(-GREY.astype(np.int16)),
    "wide-integers.tif": tiff(GREY.astype(np.uint32) * 2**20),
    "five-channels.tif": tiff(np.stack([GREY] * 5, -1), photometric="minisblack"),
    "truncated-tags.tif": TIFF[:-200] + bytes(10),
    "syntax.dcm": DICOM.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.99"),
    "spacing-one.dcm": dicom_bytes(PixelSpacing=[0.01]),
    "spacing-three.dcm": dicom_bytes(PixelSpacing=[0.01, 0.01, 0.01]),
    "spacing-zero.dcm": dicom_bytes(PixelSpacing=[0, 0.01]),
    "spacing-negative.dcm": dicom_bytes(PixelSpacing=[-0.01, 0.01]),
    "spacing-text.dcm": dicom_bytes(PixelSpacing=[0.012, 0.011]).replace(
        b"0.012\\0.011", b"abcde\\0.011"
    ),
    "spacing-alone-text.dcm": dicom_bytes(PixelSpacing=[0.012, 0.011]).replace(
        b"0.012\\0.011", b"unspecified"
    ),
    "spacing-nan.dcm": dicom_bytes(PixelSpacing=[0.012, 0.011]).replace(
        b"0.012\\0.011", b"nan\\  0.011"
    ),
    "spacing-inf.dcm": dicom_bytes(PixelSpacing=[0.012, 0.011]).replace(
        b"0.012\\0.011", b"inf\\  0.011"
    ),
    "aspect-one.dcm": dicom_bytes(PixelAspectRatio=["2"]),
    "aspect-zero.dcm": dicom_bytes(PixelAspectRatio=["0", "1"]),
    "slope-zero.dcm": dicom_bytes(RescaleSlope=0, RescaleIntercept=0),
    "slope-two.dcm": dicom_bytes(RescaleSlope=[1, 2], RescaleIntercept=0),
    "window-zero.dcm": dicom_bytes(WindowCenter=10, WindowWidth=0),
    "window-text.dcm": dicom_bytes(WindowCenter=12345, WindowWidth=54321).replace(
        b"12345", b"wxyz "
    ),
    "function.dcm": dicom_bytes(WindowCenter=10, WindowWidth=20, VOILUTFunction="CUBIC"),
    "frames.dcm": dicom_bytes(np.stack([RAMP, RAMP])),
    "frames-text.dcm": dicom_bytes(NumberOfFrames=1234567).replace(b"1234567", b"sevenXY"),
    "rows-missing.dcm": dicom_bytes(Rows=None),
    "columns-missing.dcm": dicom_bytes(Columns=None),
    "rows-zero.dcm": dicom_bytes(Rows=0),
    "rows-many.dcm": dicom_bytes(Rows=65535),
    "pixels-many.dcm": dicom_bytes(Rows=65535, Columns=65535),
    "columns-one.dcm": dicom_bytes(Columns=1),
    "bits-missing.dcm": dicom_bytes(BitsStored=None),
    "bits-allocated.dcm": dicom_bytes(BitsAllocated=7),
    "bits-many.dcm": dicom_bytes(BitsStored=12),
    "bits-zero.dcm": dicom_bytes(BitsStored=0),
    "high-bit.dcm": dicom_bytes(HighBit=3),
    "samples.dcm": dicom_bytes(SamplesPerPixel=4),
    "samples-missing.dcm": dicom_bytes(SamplesPerPixel=None),
    "sign.dcm": dicom_bytes(PixelRepresentation=None),
    "photometric.dcm": dicom_bytes(PhotometricInterpretation="YBR_ICT"),
    "photometric-missing.dcm": dicom_bytes(PhotometricInterpretation=None),
    "palette-missing.dcm": dicom_bytes(PhotometricInterpretation="PALETTE COLOR"),
    "shape.dcm": dicom_bytes(PresentationLUTShape="ROUND"),
    "identity.dcm": dicom_bytes(
        PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY"
    ),
    "segmentation.dcm": dicom_bytes(SOPClassUID=SegmentationStorage),
    "no-pixels.dcm": dicom_bytes(PixelData=None),
}
"""File name -> content."""
