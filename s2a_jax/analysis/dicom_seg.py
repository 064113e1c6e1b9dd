"""Masks as DICOM Segmentation (PS3.3 A.51), with pydicom alone.

Frames have the size of the image's own pixel matrix and refer to its pixels, not to a Frame of
Reference, in which en-face images have no position; Pixel Measures need one (A.51.5). highdicom
refuses en-face images that lack its UID.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s2a_jax.analysis.reading import Read
from s2a_jax.errors import UserError
from s2a_jax.files import written_whole
from s2a_jax.inputs.dicom_source import Source, has_sources
from s2a_jax.inputs.image_files import ImageFiles
from s2a_jax.inputs.masks import resize_mask
from s2a_jax.inputs.names import counted, file_name_of, first_few
from s2a_jax.inputs.picture import Place
from s2a_jax.inputs.result_files import SEGMENTATION

_REQUIRED = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientOrientation",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
"""Attributes taken from the image that must be there, and may be empty."""
_SCHEME = "99S2AJAX"  # private ones start with 99


@dataclass(frozen=True)
class Algorithm:
    """What made the masks.

    Attributes:
        network: name of the network.
        version: of this package.
        weights: `Segmenter.fingerprint` of each network whose mean was taken.
        threshold: smallest probability of a mask's pixels, in [0, 1].
        tta: whether the symmetries were averaged.
    """

    network: str
    version: str
    weights: tuple[str, ...]
    threshold: float
    tta: bool


def check_sources(images: Sequence[ImageFiles]) -> None:
    """Raises a UserError unless some image is made of DICOM files."""
    if not any(has_sources(files.images) for files in images):
        raise UserError(
            "--dicom-seg: none of the images is a DICOM file, to which a segmentation could refer; "
            "give DICOM files, or leave out the flag (masks are written as PNG)."
        )


def without_segmentation(images: Sequence[ImageFiles]) -> tuple[str, ...]:
    """A sentence about the images that are no DICOM files; () if all are."""
    names = [str(files.image) for files in images if not has_sources(files.images)]
    if not names:
        return ()
    what = counted(len(names), "image that is no DICOM file", "images that are no DICOM files")
    return (f"No DICOM segmentation of {what}: {first_few(names)}.",)


def write_segmentation(
    out: Path, one: Read, masks: Mapping[str, np.ndarray], algorithm: Algorithm
) -> list[Path]:
    """Writes <id>_seg.dcm.

    Args:
        out: folder of the results.
        one: the image, read with `dicom_seg`.
        masks: task -> bool [H, W], at the size of `one.image`.
        algorithm: what made them.

    Returns:
        Its path; [] if the image is no DICOM file.

    Raises:
        UserError: the file cannot be written.
    """
    if not one.sources:
        return []
    path = out / f"{file_name_of(one.files.id)}{SEGMENTATION}"
    frames = {task: in_file(mask, one.place) for task, mask in masks.items()}
    data = segmentation(frames, one.sources, one.eye.laterality, algorithm)
    with written_whole(path) as partial:
        data.save_as(partial, enforce_file_format=True)
    return [path]


def in_file(mask: np.ndarray, place: Place) -> np.ndarray:
    """A mask at the size of the file's pixel matrix.

    Args:
        mask: bool [h, w], of the square pixels that are left after a frame was cut off.
        place: where they lie.

    Returns:
        bool [H, W]; False where a frame was cut off.
    """
    whole = np.zeros(place.size, bool)
    part = whole[place.rows, place.columns]
    part[...] = mask if mask.shape == part.shape else resize_mask(mask, part.shape)
    return whole


def segmentation(
    masks: Mapping[str, np.ndarray],
    sources: Sequence[Source],
    laterality: str | None,
    algorithm: Algorithm,
) -> Any:
    """The pydicom data set of a binary segmentation, one frame a segment.

    Args:
        masks: task -> bool [H, W], at the size of the images' pixel matrix.
        sources: the images, of one study.
        laterality: "OD", "OS", or None if unknown.
        algorithm: what made the masks.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

    pixels = np.stack(list(masks.values()))
    now = datetime.datetime.now()
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    data = _item(**{name: "" for name in _REQUIRED})
    data.update(sources[0].attributes)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dimension = generate_uid()
    elements = {
        "SOPClassUID": SegmentationStorage,
        "SOPInstanceUID": generate_uid(),
        "InstanceCreationDate": date,
        "InstanceCreationTime": time,
        "CodingSchemeIdentificationSequence": [
            _item(CodingSchemeDesignator=_SCHEME, CodingSchemeName="Codes of s2a-jax")
        ],
        "Modality": "SEG",
        "SeriesInstanceUID": generate_uid(),
        "SeriesNumber": 1,
        "SeriesDescription": "Retinal vessels and foveal avascular zone",
        "Manufacturer": "s2a-jax",
        "ManufacturerModelName": algorithm.network,
        "DeviceSerialNumber": algorithm.weights[0],
        "SoftwareVersions": algorithm.version,
        "InstanceNumber": 1,
        "ContentDate": date,
        "ContentTime": time,
        "ContentLabel": "SEGMENTATION",
        "ContentDescription": "Not a medical device",
        "ContentCreatorName": "",
        "ImageType": ["DERIVED", "PRIMARY"],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "NumberOfFrames": len(pixels),
        "Rows": pixels.shape[1],
        "Columns": pixels.shape[2],
        "BitsAllocated": 1,
        "BitsStored": 1,
        "HighBit": 0,
        "PixelRepresentation": 0,
        "SegmentationType": "BINARY",
        "SegmentsOverlap": "YES" if (pixels.sum(axis=0) > 1).any() else "NO",
        "SegmentSequence": [
            _segment(number, task, laterality, algorithm) for number, task in enumerate(masks, 1)
        ],
        "DimensionOrganizationSequence": [_item(DimensionOrganizationUID=dimension)],
        "DimensionIndexSequence": [
            _item(
                DimensionOrganizationUID=dimension,
                DimensionIndexPointer=0x0062000B,  # Referenced Segment Number
                FunctionalGroupPointer=0x0062000A,  # Segment Identification Sequence
                DimensionDescriptionLabel="Segment Number",
            )
        ],
        "SharedFunctionalGroupsSequence": [_item()],
        "PerFrameFunctionalGroupsSequence": [
            _frame(number, sources) for number in range(1, len(pixels) + 1)
        ],
        "ReferencedSeriesSequence": list(_series(sources)),
    }
    if "LossyImageCompression" not in data:
        elements["LossyImageCompression"] = "00"
    if laterality:
        elements["ImageLaterality"] = {"OD": "R", "OS": "L"}[laterality]
    for name, value in elements.items():
        setattr(data, name, value)
    packed = np.packbits(pixels, bitorder="little").tobytes()  # frames follow without a gap
    data.PixelData = packed + bytes(len(packed) % 2)
    data["PixelData"].VR = "OB"
    return data


def _item(**elements: Any) -> Any:
    from pydicom import Dataset

    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item


def _coded(value: str, scheme: str, meaning: str, *_: Any) -> Any:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _segment(number: int, task: str, laterality: str | None, algorithm: Algorithm) -> Any:
    """The description of one segment."""
    from pydicom.sr.codedict import codes

    # None of DICOM's codes means this zone, and the fovea is larger.
    zone = (_SCHEME, "Foveal avascular zone")
    label, kind, place = {
        "rv": ("Retinal vessels", codes.SCT.BloodVessel, codes.SCT.Retina),
        "faz": (zone[1], ("FAZ", *zone), codes.SCT.FoveaCentralis),
    }[task]
    region = _coded(*place)
    if laterality:
        side = codes.SCT.Right if laterality == "OD" else codes.SCT.Left
        region.AnatomicRegionModifierSequence = [_coded(*side)]
    parameters = {
        "weights": "+".join(algorithm.weights),
        "threshold": f"{algorithm.threshold:g}",
        "tta": str(algorithm.tta).lower(),
    }
    identification = _item(
        AlgorithmFamilyCodeSequence=[_coded(*codes.DCM.ArtificialIntelligence)],
        AlgorithmName=algorithm.network,
        AlgorithmVersion=algorithm.version,
        AlgorithmParameters=",".join(f"{name}={value}" for name, value in parameters.items()),
        AlgorithmSource="s2a-jax",
    )
    return _item(
        SegmentNumber=number,
        SegmentLabel=label,
        SegmentAlgorithmType="AUTOMATIC",
        SegmentAlgorithmName=f"s2a-jax {algorithm.version} {algorithm.network}",
        SegmentationAlgorithmIdentificationSequence=[identification],
        SegmentedPropertyCategoryCodeSequence=[_coded(*codes.SCT.AnatomicalStructure)],
        SegmentedPropertyTypeCodeSequence=[_coded(*kind)],
        AnatomicRegionSequence=[region],
    )


def _frame(number: int, sources: Sequence[Source]) -> Any:
    """The functional groups of one frame."""
    from pydicom.sr.codedict import codes

    purpose = codes.DCM.SourceImageForImageProcessingOperation
    images = []
    for source in sources:
        image = _reference(source)
        image.SpatialLocationsPreserved = "YES"
        image.PurposeOfReferenceCodeSequence = [_coded(*purpose)]
        images.append(image)
    derivation = _item(
        DerivationCodeSequence=[_coded(*codes.DCM.SegmentationImageDerivation)],
        SourceImageSequence=images,
    )
    return _item(
        FrameContentSequence=[_item(DimensionIndexValues=[number])],
        SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=number)],
        DerivationImageSequence=[derivation],
    )


def _reference(source: Source) -> Any:
    return _item(
        ReferencedSOPClassUID=source.sop_class, ReferencedSOPInstanceUID=source.sop_instance
    )


def _series(sources: Sequence[Source]) -> Iterator[Any]:
    """The series of the images, each with its images."""
    for series in dict.fromkeys(source.series for source in sources):
        yield _item(
            SeriesInstanceUID=series,
            ReferencedInstanceSequence=[
                _reference(source) for source in sources if source.series == series
            ],
        )
