"""Small files that several tests of inputs write."""

import struct

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    OphthalmicOpticalCoherenceTomographyEnFaceImageStorage,
    generate_uid,
)

RAMP = (np.arange(32 * 24) % 256).astype(np.uint8).reshape(32, 24)


def save(path, array, mode=None):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


def disc(side=24, radius=7):
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    return (y - 2) ** 2 + x**2 < radius**2  # not symmetric


def dicom(pixels, photometric="MONOCHROME2", bits=None, syntax=ExplicitVRLittleEndian, **elements):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.SOPClassUID = OphthalmicOpticalCoherenceTomographyEnFaceImageStorage
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.PhotometricInterpretation = photometric
    data.Rows, data.Columns = pixels.shape[-2:] if pixels.shape[-1] != 3 else pixels.shape[:2]
    is_coloured = pixels.shape[-1] == 3
    data.SamplesPerPixel = 3 if is_coloured else 1
    if is_coloured:
        data.PlanarConfiguration = 0
    if pixels.ndim == 3 and not is_coloured:
        data.NumberOfFrames = len(pixels)
    data.BitsAllocated = 8 * pixels.itemsize
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    data["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    for name, value in elements.items():
        setattr(data, name, value)
    return data


def write_dicom(path, *arguments, **elements):
    dicom(*arguments, **elements).save_as(path, enforce_file_format=True)
    return path


def write_bits(path, values, bits):
    """A baseline TIFF of one strip with `bits` bits a pixel; BlackIsZero."""
    height, width = values.shape
    rows = [
        np.packbits(
            ((row[:, None].astype(np.uint32) >> np.arange(bits)[::-1]) & 1).astype(np.uint8).ravel()
        ).tobytes()
        for row in values
    ]
    data = b"".join(rows)
    tags = [
        (256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1),
        (278, height), (279, len(data)),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    path.write_bytes(head + data + struct.pack("<H", len(tags)) + entries + bytes(4))
    return path
