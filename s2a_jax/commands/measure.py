"""`python -m s2a_jax measure`: biomarkers of eyes, from masks or from images."""

import argparse
from pathlib import Path

from s2a_jax.analysis.magnification import REFERENCE_AXIAL_LENGTH_MM
from s2a_jax.starting import ends_at_once


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command and its flags."""
    parser = commands.add_parser(
        "measure",
        help="measure vessels and FAZ: one CSV row per eye, with units",
        description="Measures masks, or images with --weights. Writes one CSV row per eye and "
        "prints a summary; docs/biomarkers.md explains each column. Not a medical device.",
    )
    what = parser.add_argument_group("what to measure (a folder, or one file)")
    what.add_argument("--rv", type=Path, help="vessel masks; of <id>_rv files if there are any")
    what.add_argument("--faz", type=Path, help="FAZ masks; of <id>_faz files if there are any")
    what.add_argument("--masks", type=Path, help="masks of both: 0, 100 (FAZ), 255 (vessel)")
    what.add_argument(
        "--weights",
        type=Path,
        help="segment IMAGEs with this network first (sim_to_real comes along)",
    )
    what.add_argument(
        "images",
        nargs="*",
        type=Path,
        metavar="IMAGE",
        help="with --weights; files or folders; "
        "of a network of several slabs a.png,b.png as for predict",
    )
    pitch = parser.add_argument_group(
        "pixel pitch (else from --eyes, the TIFF resolution or DICOM)"
    ).add_mutually_exclusive_group()
    pitch.add_argument("--um-per-px", type=float, help="micrometres per pixel, 0.5 to 100")
    pitch.add_argument(
        "--field-mm", type=float, help="side of the square field of view, 1 to 30 mm"
    )
    eye = parser.add_argument_group("the eyes")
    eye.add_argument("--laterality", help="OD or OS, for all; names nasal and temporal")
    eye.add_argument("--axial-length-mm", type=float, help="for all; corrects magnification")
    eye.add_argument(
        "--reference-axial-length-mm",
        type=float,
        default=REFERENCE_AXIAL_LENGTH_MM,
        help="that the pitch assumes; default %(default)s (AngioVue); Cirrus: 24.46",
    )
    eye.add_argument(
        "--eyes",
        type=Path,
        help="CSV (, or ;): id, laterality, axial_length_mm, um_per_px; its cells go before the "
        "flags",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="CSV", help="one row per eye")


def run(options: argparse.Namespace) -> None:
    """Measures every eye.

    Raises:
        UserError: a flag, file or weights that cannot be used; nothing is written then.
    """
    # Only now: SciPy and scikit-image take a while to load, and other commands need them not.
    with ends_at_once():
        from s2a_jax.commands.measure_eyes import measure_eyes

    measure_eyes(options)
