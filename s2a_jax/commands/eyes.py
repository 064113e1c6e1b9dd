"""What is known about an eye on the command line: from a table, the flags, or the image's file."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from s2a_jax.analysis.analysis import EyeFacts
from s2a_jax.biomarkers.magnification import REFERENCE_AXIAL_LENGTH_MM, bennett_factor
from s2a_jax.biomarkers.measure import parse_laterality
from s2a_jax.commands.flags import path_flag
from s2a_jax.commands.pitch import add_pitch_flags, check_pitch_flags, known_pitch
from s2a_jax.data.patients import side_of
from s2a_jax.errors import UserError
from s2a_jax.inputs.contents import Contents
from s2a_jax.inputs.eye_table import EyeRow, match_rows, read_eyes
from s2a_jax.inputs.image_files import ImageFiles
from s2a_jax.inputs.names import first_few


def add_eye_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags about pitch, laterality and axial length."""
    add_pitch_flags(parser, "--eyes, the TIFF resolution or DICOM")
    eye = parser.add_argument_group("the eyes")
    eye.add_argument("--laterality", help="OD or OS, for all; names nasal and temporal")
    eye.add_argument("--axial-length-mm", type=float, help="for all; corrects magnification")
    eye.add_argument(
        "--reference-axial-length-mm",
        type=float,
        default=REFERENCE_AXIAL_LENGTH_MM,
        help="axial length that the pitch assumes; default %(default)s (AngioVue); Cirrus: 24.46",
    )
    eye.add_argument(
        "--eyes",
        type=path_flag,
        help="CSV file, as spreadsheets save it, with id and any of laterality, "
        "axial_length_mm, um_per_px or field_mm; its cells override the flags",
    )


def check_eye_flags(options: argparse.Namespace) -> None:
    """Raises a UserError unless the flags of `add_eye_flags` can be used."""
    check_pitch_flags(options)
    reference = options.reference_axial_length_mm
    try:
        parse_laterality(options.laterality)
    except UserError as error:
        raise UserError(f"--laterality={options.laterality}: {error}") from None
    try:
        bennett_factor(options.axial_length_mm or reference, reference)
    except UserError as error:
        raise UserError(f"--axial-length-mm or --reference-axial-length-mm: {error}") from None


def eye_rows(files: Sequence[ImageFiles], path: Path | None) -> dict[str, EyeRow]:
    """Reads the table of eyes, by id of the files; prints how it was matched."""
    if path is None:
        return {}
    rows, notes = match_rows(read_eyes(path), {one.id: one.names for one in files})
    for note in notes:
        print(note)
    return rows


def side_lines(sides: Iterable[tuple[str, str]]) -> list[str]:
    """A line about eyes that are the other eye by their names, if there are any.

    Args:
        sides: names of eyes, and the laterality that counts: "OD", "OS" or "".
    """
    other = [
        f"{name} ({laterality})"
        for name, laterality in sides
        if laterality and side_of(name) not in (None, laterality)
    ]
    if not other:
        return []
    return [
        f"By name, {first_few(other)} would be the other eye; the laterality in brackets is used, "
        "and nasal and temporal depend on it."
    ]


def known_eye(contents: Contents, options: argparse.Namespace, row: EyeRow) -> EyeFacts:
    """Takes pitch, laterality and axial length from the table, else the flags, else the file.

    Args:
        contents: what the files of the eye hold.
        options: with the flags of `add_eye_flags`.
        row: the eye's row of the table.

    Raises:
        UserError: one of them is out of range, or the file states another laterality.
    """
    pitch = known_pitch(contents, options, row)
    axial_length = row.axial_length_mm
    if axial_length is None:
        axial_length = options.axial_length_mm
    if axial_length is not None:  # raises if it is out of range
        bennett_factor(axial_length, options.reference_axial_length_mm)
    laterality = parse_laterality(row.laterality or options.laterality)
    if laterality and contents.laterality and laterality != contents.laterality:
        raise UserError(
            f"The file says {contents.laterality}, --eyes or --laterality says {laterality}; "
            "correct the wrong one, since nasal and temporal depend on it."
        )
    return EyeFacts(
        um_per_px=pitch and pitch.um_per_px,
        pitch_source=pitch.source if pitch else "",
        laterality=laterality or contents.laterality,
        axial_length_mm=axial_length,
        reference_axial_length_mm=options.reference_axial_length_mm,
    )
