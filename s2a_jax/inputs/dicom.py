"""En-face OCTA images in DICOM files: pixels, pitch and laterality."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s2a_jax.errors import UserError
from s2a_jax.extras import import_extra
from s2a_jax.inputs.dicom_grey import displayed, numbers
from s2a_jax.inputs.picture import MOST_PIXELS, Picture

EXTENSIONS = (".dcm", ".dicom")
_USED = (
    "BitsStored",
    "Columns",
    "HighBit",
    "ImageLaterality",
    "Laterality",
    "ModalityLUTSequence",
    "NumberOfFrames",
    "PerFrameFunctionalGroupsSequence",
    "PhotometricInterpretation",
    "PixelAspectRatio",
    "PixelSpacing",
    "PresentationLUTSequence",
    "PresentationLUTShape",
    "RescaleIntercept",
    "RescaleSlope",
    "Rows",
    "SharedFunctionalGroupsSequence",
    "VOILUTFunction",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
)
"""Attributes that decide how an image is read."""
_MARK = b"DICM"  # after a preamble of 128 bytes
_GROUPS = (b"\x02\x00", b"\x08\x00")  # the first groups of a file without a preamble
_PACKAGES = {
    "1.2.840.10008.1.2.4.90": "pylibjpeg pylibjpeg-openjpeg",  # JPEG 2000, Lossless Only
    "1.2.840.10008.1.2.4.91": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.201": "pylibjpeg pylibjpeg-openjpeg",  # High-Throughput JPEG 2000
    "1.2.840.10008.1.2.4.202": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg pylibjpeg-openjpeg",
}
"""Transfer syntax -> packages that decode it; the others of JPEG need pylibjpeg-libjpeg."""


def is_dicom(path: str | Path) -> bool:
    """Whether a file has the name or the beginning of DICOM; such files often have no extension."""
    path = Path(path)
    if path.suffix.lower() in EXTENSIONS:
        return True
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:  # reading the pixels reports it
        return False
    if path.name.upper() == "DICOMDIR":  # the list of files beside an export
        return False
    return head[128:] == _MARK or _is_element(head)


def _is_element(head: bytes) -> bool:
    """Whether a file starts with a plausible attribute, as one without a preamble does."""
    if len(head) < 8 or head[:2] not in _GROUPS:
        return False
    element, length = (int.from_bytes(head[i : i + n], "little") for i, n in ((2, 2), (4, 4)))
    has_type = head[4:6].isalpha() and head[4:6].isupper()
    return element <= 0x0100 and (has_type or length <= 256)


def read_dicom(path: Path) -> Picture:
    """Reads a file with one image, such as Ophthalmic OCT En Face Image Storage.

    Grey values pass through the Modality LUT, the VOI LUT or window, and the inversion that
    Presentation LUT Shape or MONOCHROME1 asks for; PALETTE COLOR becomes RGB. The pitch comes from
    Pixel Spacing at the top level or in the functional groups, the laterality from Image
    Laterality, Laterality, or Frame Laterality in the functional groups.

    Args:
        path: an existing file.

    Raises:
        UserError: pydicom or a decoder is not installed, the file is damaged or no DICOM image (a
            segmentation is none), or it holds several frames or an attribute that cannot be used.
    """
    pydicom = import_extra("pydicom", "dicom", f"Reading {path}")
    try:
        # Without `force`, pydicom refuses files that lack the preamble, as old exports do.
        data = pydicom.dcmread(path, force=True)
        is_image = "PixelData" in data and "Rows" in data
        kind = data.get("SOPClassUID")
        _parse(data)
    except Exception as error:  # pydicom raises almost anything for damaged files
        raise damaged(path, error) from error
    if not is_image:
        raise UserError(
            f"{path} is no DICOM file with an image: it has no Pixel Data, or it is damaged or cut "
            "short; export the en-face image again."
        )
    if kind == pydicom.uid.SegmentationStorage:
        raise UserError(
            f"{path} is a DICOM Segmentation, not an image; give the image, or masks as PNG."
        )
    _check_frames(data, path)
    _check_size(data, path)
    _complete_syntax(data)
    _check_decoder(data, path)
    try:
        stored = data.pixel_array
    except Exception as error:
        raise damaged(path, error) from error
    shape = (data.Rows, data.Columns, data.SamplesPerPixel)[: 2 + (data.SamplesPerPixel > 1)]
    if stored.size != math.prod(shape):
        raise UserError(
            f"{path} holds {stored.size} values, but its attributes Rows and Columns say "
            f"{data.Columns}x{data.Rows} pixels; export the image again."
        )
    stored = stored.reshape(shape)  # without the axis of its one frame
    pixels, white, notes = displayed(stored, data, list(_groups(data)), path)
    pitch = _pitch(data, path)
    aspect = pitch[0] / pitch[1] if pitch else _aspect(data, path)
    laterality = _laterality(data)
    return Picture(path, pixels, white, "DICOM", None, pitch, aspect, laterality, notes)


def damaged(path: Path, error: Exception) -> UserError:
    """The message about a file for which pydicom or a decoder raised an error."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"The DICOM file {path} cannot be read, it may be damaged or cut short ({reason}); copy or "
        "export it again."
    )


def _parse(data: Any) -> None:
    """Parses the attributes that are used; pydicom parses each when it is asked for.

    Raises:
        Exception: of almost any type, if a value is damaged.
    """
    for name in _USED:
        if name in data and data[name].VR == "SQ":
            for item in data[name].value:
                list(item.iterall())


def _groups(data: Any) -> Iterator[Any]:
    """The functional groups of the first frame, then those shared by all frames."""
    for name in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        yield from list(data.get(name) or [])[:1]


def _check_frames(data: Any, path: Path) -> None:
    frames = (numbers(data, "NumberOfFrames", path) or [1])[0]
    if frames in (0, 1):
        return
    labels = [
        str(content.get("FrameLabel") or content.get("FrameComments") or "").strip()
        for group in data.get("PerFrameFunctionalGroupsSequence") or []
        for content in list(group.get("FrameContentSequence") or [])[:1]
    ]
    listed = ", ".join(f"{i} {label}" for i, label in enumerate(labels, start=1) if label)
    raise UserError(
        f"{path} holds {frames:g} frames{f' ({listed})' if listed else ''} where one image is "
        "expected; export the en-face image of one slab."
    )


def _check_size(data: Any, path: Path) -> None:
    """Raises a UserError for more pixels than are read, before they are decoded."""
    sides = [numbers(data, name, path) for name in ("Rows", "Columns")]
    if math.prod(side for values in sides for side in values) > MOST_PIXELS:
        raise UserError(
            f"{path} says that it holds more pixels than are read ({MOST_PIXELS:,}); export a "
            "smaller image."
        )


def _complete_syntax(data: Any) -> None:
    """Adds the transfer syntax that a file without a preamble was read with."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "TransferSyntaxUID" not in data.file_meta:
        is_implicit, is_little_endian = data.original_encoding
        explicit = ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else explicit


def _check_decoder(data: Any, path: Path) -> None:
    """Raises a UserError unless the compression of the pixels can be read."""
    from pydicom.pixels import get_decoder

    syntax = data.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise UserError(
            f"{path} is stored as {syntax.name}, which is not read; export it uncompressed or as "
            "JPEG 2000."
        ) from None
    if not decoder.is_available:
        packages = _PACKAGES.get(syntax, "pylibjpeg pylibjpeg-libjpeg")
        raise UserError(
            f"{path} is compressed as {syntax.name}, for which a decoder is missing: pip install "
            f"{packages}, or export the image uncompressed."
        )


def _pair(item: Any, name: str, path: Path) -> tuple[float, float] | None:
    """Two positive numbers of an attribute, rows then columns; None without it."""
    values = numbers(item, name, path)
    if not values:
        return None
    if len(values) != 2 or min(values) <= 0:
        raise UserError(
            f"{path}: the attribute {name} is {item.get(name)!r}; expected two positive numbers, "
            "rows then columns. Export the image again, or as PNG with --um-per-px."
        )
    return values[0], values[1]


def _pitch(data: Any, path: Path) -> tuple[float, float] | None:
    measures = [item for group in _groups(data) for item in group.get("PixelMeasuresSequence", [])]
    for item in (data, *measures):
        if spacing := _pair(item, "PixelSpacing", path):  # mm between rows, columns
            return spacing[0] * 1000, spacing[1] * 1000
    return None


def _aspect(data: Any, path: Path) -> float | None:
    ratio = _pair(data, "PixelAspectRatio", path)
    return ratio[0] / ratio[1] if ratio else None


def _laterality(data: Any) -> str | None:
    frames = [item for group in _groups(data) for item in group.get("FrameAnatomySequence", [])]
    found = [data.get("ImageLaterality"), data.get("Laterality")]
    found += [item.get("FrameLaterality") for item in frames]
    return next(({"R": "OD", "L": "OS"}[side] for side in found if side in ("R", "L")), None)
