"""What other DICOM objects take from the file of an image: patient, study, and references."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from s2a_jax.errors import UserError
from s2a_jax.extras import import_extra
from s2a_jax.inputs.dicom import damaged, is_dicom

_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_PATIENT = (0x0010, 0x0012)
"""Groups of the modules Patient, Patient Study and Clinical Trial Subject and Study."""
_OF_THE_SERIES = (
    "ClinicalTrialCoordinatingCenterName",
    "ClinicalTrialSeriesID",
    "ClinicalTrialSeriesDescription",
)
"""Attributes in these groups that describe the series of the image."""
_OTHERS = (
    "AccessionNumber",
    "AdmissionID",
    "AdmittingDiagnosesCodeSequence",
    "AdmittingDiagnosesDescription",
    "ConsultingPhysicianName",
    "IssuerOfAccessionNumberSequence",
    "LossyImageCompression",
    "LossyImageCompressionMethod",
    "LossyImageCompressionRatio",
    "NameOfPhysiciansReadingStudy",
    "PatientOrientation",
    "PhysiciansOfRecord",
    "ProcedureCodeSequence",
    "ReferencedStudySequence",
    "ReferringPhysicianIdentificationSequence",
    "ReferringPhysicianName",
    "SpecificCharacterSet",
    "StudyDate",
    "StudyDescription",
    "StudyID",
    "StudyInstanceUID",
    "StudyTime",
)
"""Attributes of the module General Study, and of the image that hold for what is made of it."""


class Source(NamedTuple):
    """A DICOM image from which another object is derived.

    Attributes:
        path: the file.
        sop_class: SOP Class UID.
        sop_instance: SOP Instance UID.
        series: Series Instance UID.
        study: Study Instance UID.
        attributes: pydicom data set with what is copied: patient, study, orientation, compression.
    """

    path: Path
    sop_class: str
    sop_instance: str
    series: str
    study: str
    attributes: Any


def has_sources(paths: Sequence[Path]) -> bool:
    """Whether all slabs of an image are DICOM files."""
    return all(map(is_dicom, paths))


def read_sources(paths: Sequence[Path]) -> tuple[Source, ...]:
    """Reads what is taken from the slabs of an image; () unless all of them are DICOM files.

    Raises:
        UserError: pydicom is not installed, a file is damaged or lacks a UID, or the slabs belong
            to several studies.
    """
    if not has_sources(paths):
        return ()
    first, *others = sources = tuple(map(_read, paths))
    for other in others:
        if other.study != first.study:
            raise UserError(
                f"{first.path} and {other.path} belong to two studies, but a segmentation "
                "belongs to one; correct the wrong file, or leave out --dicom-seg."
            )
    return sources


def _read(path: Path) -> Source:
    pydicom = import_extra("pydicom", "dicom", f"Reading {path}")
    kept = pydicom.Dataset()
    try:
        data = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        for tag in data.keys():
            keyword = pydicom.datadict.keyword_for_tag(tag)
            if keyword in _OTHERS or (tag.group in _PATIENT and keyword not in _OF_THE_SERIES):
                kept.add(data[tag])
        list(kept.iterall())  # parses sequences
        uids = [str(data.get(name) or "").strip() for name in _UIDS]
    except Exception as error:  # pydicom raises almost anything for damaged files
        raise damaged(path, error) from error
    if missing := [name for name, uid in zip(_UIDS, uids, strict=True) if not uid]:
        raise UserError(
            f"{path} lacks the attribute {missing[0]}, without which no segmentation can refer to "
            "it; export the image again, or leave out --dicom-seg."
        )
    return Source(path, *uids, kept)
