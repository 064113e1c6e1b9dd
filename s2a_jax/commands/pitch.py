"""The pixel pitch of an image on the command line: from a table, a flag or the image's file."""

import argparse
from typing import NamedTuple

from s2a_jax.biomarkers.measure import isotropic_pitch
from s2a_jax.errors import UserError
from s2a_jax.inputs.contents import Contents
from s2a_jax.inputs.eye_table import EyeRow
from s2a_jax.inputs.pitch import FIELD_MM, UM_PER_PX, check_range

SOURCES = {
    "eyes": "um_per_px in --eyes",
    "eyes-field-mm": "field_mm in --eyes",
    "um-per-px": "--um-per-px",
    "field-mm": "--field-mm",
    "DICOM": "the DICOM file's Pixel Spacing",
    "TIFF": "the TIFF file's resolution",
}
"""Where a pitch came from, as in the column `pitch_source` -> the same in words."""


class KnownPitch(NamedTuple):
    """The pixel pitch of one image.

    Attributes:
        um_per_px: side of a square pixel, um.
        source: a name in `SOURCES`.
    """

    um_per_px: float
    source: str


def add_pitch_flags(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """Adds --um-per-px and --field-mm.

    Args:
        parser: the command's.
        otherwise: where the pitch comes from without them, for the help.
    """
    pitch = parser.add_argument_group(
        f"pixel pitch (else from {otherwise})"
    ).add_mutually_exclusive_group()
    low, high = UM_PER_PX
    pitch.add_argument(
        "--um-per-px", type=float, help=f"micrometres per pixel, {low:g} to {high:g}"
    )
    low, high = FIELD_MM
    pitch.add_argument(
        "--field-mm", type=float, help=f"side of the square field of view, {low:g} to {high:g} mm"
    )


def check_pitch_flags(options: argparse.Namespace) -> None:
    """Raises a UserError unless the flags of `add_pitch_flags` are in range."""
    check_range("--um-per-px", options.um_per_px, UM_PER_PX, "um")
    check_range("--field-mm", options.field_mm, FIELD_MM, "mm")


def known_pitch(
    contents: Contents, options: argparse.Namespace, row: EyeRow | None = None
) -> KnownPitch | None:
    """Takes the pitch from the table of eyes, else the flags, else the file.

    Args:
        contents: what the files of the eye hold.
        options: with the flags of `add_pitch_flags`.
        row: the eye's row of the table.

    Returns:
        None if nothing states it.

    Raises:
        UserError: it is out of range, or the image does not have the shape of the field.
    """
    if row is not None and row.um_per_px is not None:
        check_range(SOURCES["eyes"], row.um_per_px, UM_PER_PX, "um")
        pitch, source = row.um_per_px, "eyes"
    elif row is not None and row.field_mm is not None:
        check_range(SOURCES["eyes-field-mm"], row.field_mm, FIELD_MM, "mm")
        pitch, source = _pitch_of(row.field_mm, contents.size), "eyes-field-mm"
    elif options.um_per_px is not None:
        pitch, source = options.um_per_px, "um-per-px"
    elif options.field_mm is not None:
        pitch, source = _pitch_of(options.field_mm, contents.size), "field-mm"
    elif contents.um_per_px is not None:
        pitch, source = contents.um_per_px, contents.pitch_kind
    else:
        return None
    return KnownPitch(_square(pitch, source), source)


def stated_pitch(options: argparse.Namespace, size: tuple[int, int]) -> float | None:
    """The pitch, um, that the flags state for an image of `size` (height, width).

    Returns:
        None if they state none.

    Raises:
        UserError: it is out of range, or the image does not have the shape of the field.
    """
    if options.um_per_px is not None:
        return options.um_per_px
    if options.field_mm is None:
        return None
    return _square(_pitch_of(options.field_mm, size), "field-mm")


def _square(pitch: float | tuple[float, ...], source: str) -> float:
    """The side of a square pixel, um."""
    um_per_px = isotropic_pitch(pitch)
    low, high = UM_PER_PX
    if not low <= um_per_px <= high:
        raise UserError(
            f"{SOURCES[source]} gives {um_per_px:g} um per pixel; expected {low:g} to {high:g}."
        )
    return um_per_px


def _pitch_of(field_mm: float, size: tuple[int, int]) -> tuple[float, ...]:
    """Pitch (down, across) of an image of a square field, um."""
    return tuple(field_mm * 1000 / side for side in size)
