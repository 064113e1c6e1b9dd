"""En-face OCTA images in DICOM files: pixels, pitch and laterality."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import to_unit_float

EXTENSIONS = (".dcm", ".dicom")


@dataclass(frozen=True)
class DicomEye:
    """One eye in a DICOM file.

    Attributes:
        image: float32 [H, W] in [0, 1].
        um_per_px: (down, across), or None if the file has none.
        laterality: "OD", "OS" or None.
    """

    image: np.ndarray
    um_per_px: tuple[float, float] | None
    laterality: str | None


def is_dicom(path: str | Path) -> bool:
    """Whether a file has the name or the preamble of DICOM; such files often have no extension."""
    path = Path(path)
    if path.suffix.lower() in EXTENSIONS:
        return True
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:  # reading the pixels reports it
        return False


def read_dicom(path: str | Path) -> DicomEye:
    """Reads a single-frame image, such as Ophthalmic OCT En Face Image Storage.

    Values are divided by the largest value of the stored bits; MONOCHROME1 is inverted. The pitch
    comes from Pixel Spacing at the top level or in the functional groups, the laterality from
    Image Laterality, Laterality, or Frame Laterality in the functional groups.

    Args:
        path: a DICOM file.

    Raises:
        UserError: pydicom is not installed, the file is missing or damaged, or it holds several
            frames or signed values.
    """
    try:
        import pydicom
    except ImportError:
        raise UserError(
            f"Reading {path} needs pydicom: pip install 's2a_jax[dicom]', or pip install pydicom."
        ) from None
    path = Path(path)
    if not path.is_file():
        raise UserError(f"The DICOM file {path} does not exist; check its path.")
    try:
        data = pydicom.dcmread(path)
        frames = int(data.get("NumberOfFrames") or 1)
        pixels = data.pixel_array if frames == 1 else None
    except Exception as error:  # pydicom raises almost anything for damaged files
        raise UserError(
            f"The DICOM file {path} cannot be read, it may be damaged or cut short "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); copy or "
            "export it again."
        ) from error
    if pixels is None:
        raise UserError(
            f"{path} holds {frames} frames, a volume; export the en-face image of one slab."
        )
    if pixels.dtype.kind != "u":
        raise UserError(
            f"{path} holds {pixels.dtype} values where unsigned ones are expected; export the "
            "en-face image with 8 or 16 bits."
        )
    scaled = pixels / np.float32(2 ** int(data.BitsStored) - 1)
    image = to_unit_float(np.clip(scaled, 0, 1))
    if data.get("PhotometricInterpretation") == "MONOCHROME1":
        image = 1 - image
    return DicomEye(image, _pitch(data), _laterality(data))


def _functional_groups(data: Any) -> list[Any]:
    """The functional groups shared by all frames, then those of the first frame."""
    shared = data.get("SharedFunctionalGroupsSequence") or []
    each = data.get("PerFrameFunctionalGroupsSequence") or []
    return [*list(shared)[:1], *list(each)[:1]]


def _pitch(data: Any) -> tuple[float, float] | None:
    measures = [
        item
        for group in _functional_groups(data)
        for item in group.get("PixelMeasuresSequence", [])
    ]
    for item in (data, *measures):
        spacing = item.get("PixelSpacing")
        if spacing:
            return float(spacing[0]) * 1000, float(spacing[1]) * 1000  # mm between rows, columns
    return None


def _laterality(data: Any) -> str | None:
    frames = [
        item for group in _functional_groups(data) for item in group.get("FrameAnatomySequence", [])
    ]
    found = [data.get("ImageLaterality"), data.get("Laterality")]
    found += [item.get("FrameLaterality") for item in frames]
    return next(({"R": "OD", "L": "OS"}[side] for side in found if side in ("R", "L")), None)
