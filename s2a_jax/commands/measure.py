"""`measure`: biomarkers of eyes from masks or images."""

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track

from s2a_jax.biomarkers.magnification import REFERENCE_AXIAL_LENGTH_MM, bennett_factor
from s2a_jax.biomarkers.measure import measure, parse_laterality
from s2a_jax.biomarkers.table import print_summary, write_rows
from s2a_jax.commands.flags import TTA_HELP, check_out_folder, left_out_lines, make_out_folder
from s2a_jax.commands.pitch import SOURCES, add_pitch_flags, check_pitch_flags, known_pitch
from s2a_jax.console import make_console
from s2a_jax.errors import UserError
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.eye_table import EyeRow, match_rows, read_eyes
from s2a_jax.inputs.image_files import (
    ImageFiles,
    check_slab_count,
    list_combined_masks,
    list_images,
    list_mask_pairs,
)
from s2a_jax.inputs.names import counted, first_few, name_of
from s2a_jax.inputs.notes import Note, note_lines
from s2a_jax.inputs.plausibility import MaskFacts, doubt_lines, mask_facts
from s2a_jax.inputs.slabs import resize_slabs


@dataclass(frozen=True)
class _Eye:
    """An eye before its pixels are measured."""

    files: ImageFiles
    um_per_px: float
    pitch_source: str
    laterality: str | None
    axial_length_mm: float | None


class _Masks(NamedTuple):
    """What is measured.

    Attributes:
        image: [H, W] or [H, W, C] in [0, 1]; None without one.
        rv: bool [H, W], or None.
        faz: bool [H, W], or None.
        um_per_px: pitch of these pixels: of the file, or those that the network saw.
    """

    image: np.ndarray | None
    rv: np.ndarray | None
    faz: np.ndarray | None
    um_per_px: float


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Measures masks, or images with --weights. Writes one CSV row per eye and "
        "prints a summary; docs/biomarkers.md explains each column. Not a medical device."
    )
    what = parser.add_argument_group("what to measure (a folder, or one file)")
    what.add_argument("--rv", type=Path, help="vessel masks; of <id>_rv files if there are any")
    what.add_argument("--faz", type=Path, help="FAZ masks; of <id>_faz files if there are any")
    what.add_argument("--masks", type=Path, help="masks of both: 0, 100 (FAZ), 255 (vessel)")
    what.add_argument(
        "--weights",
        type=Path,
        help="segment IMAGEs with this network first (sim_to_real ships with the package)",
    )
    what.add_argument(
        "images",
        nargs="*",
        type=Path,
        metavar="IMAGE",
        help="with --weights: files or folders; a.png,b.png for a network that takes several "
        "slabs, as for predict",
    )
    what.add_argument("--tta", action="store_true", help=TTA_HELP)
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
        type=Path,
        help="CSV file, as spreadsheets save it, with id, laterality, axial_length_mm, um_per_px; "
        "its cells override the flags",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="CSV", help="one row per eye")


def run(options: argparse.Namespace) -> None:
    """Measures every eye.

    Raises:
        UserError: a flag, file or weights that cannot be used; nothing is written.
    """
    if options.out.is_dir():
        raise UserError(f"--out={options.out} is a folder; give the CSV file to write.")
    check_out_folder(options.out.parent, options.out)
    check_pitch_flags(options)
    files = _files(options)
    rows = _rows(files, options.eyes)
    # All files are read first: one that cannot be read fails before the long work.
    notes: list[Note] = []
    eyes = [_known(one, rows.get(one.id, EyeRow()), options, notes) for one in files]
    read = _read_masks
    if options.weights:
        read = _predictor(options.weights, files, options.tta, notes)
    console = make_console(stderr=True)
    table, facts = [], []
    for eye in track(eyes, "Measuring", console=console, disable=not console.is_terminal):
        row, masks = _measure(eye, read, options.reference_axial_length_mm)
        table.append(row)
        facts.append((eye.files.id, masks))
    make_out_folder(options.out.parent)
    write_rows(options.out, table)
    print_summary(table)
    for line in (*note_lines(notes), *doubt_lines(facts, "eye")):
        print(line)
    count = counted(len(table), "eye")
    sources = Counter(SOURCES[eye.pitch_source] for eye in eyes)
    listed = ", ".join(f"{name} ({counted(n, 'eye')})" for name, n in sources.items())
    print(f"Pixel pitch: {listed}.")
    for name, column, is_asked in (
        ("vessel mask", "vessel_density", options.rv or not options.faz),
        ("FAZ", "faz_centroid_x_mm", options.faz or not options.rv),
    ):
        without = [row["id"] for row in table if np.isnan(row[column])]
        if is_asked and without:
            print(f"{len(without)} of {count} without {name}: {first_few(without)}.")
    corrected = sum(eye.axial_length_mm is not None for eye in eyes)
    print(f"Lengths are corrected by axial length in {corrected} of {count}.")
    print(f"{count} -> {options.out}")


def _files(options: argparse.Namespace) -> list[ImageFiles]:
    given = [options.rv or options.faz, options.masks, options.weights]
    if sum(one is not None for one in given) != 1:
        raise UserError(
            "Give one of: --rv and/or --faz (masks), --masks (masks of both), or --weights with "
            "images."
        )
    if options.weights:
        if not options.images:
            raise UserError("--weights needs images: name the files or folders to segment.")
        return list_images(options.images)
    if options.tta:
        raise UserError("--tta: only networks are averaged; give --weights with images.")
    if options.images:
        raise UserError(f"{options.images[0]}: images are measured with --weights; add it.")
    if options.masks:
        return list_combined_masks(options.masks)
    return list_mask_pairs(options.rv, options.faz)


def _rows(files: list[ImageFiles], path: Path | None) -> dict[str, EyeRow]:
    """Reads the table of eyes, by id of the files; prints how it was matched."""
    if path is None:
        return {}
    names = {one.id: [name_of(path) for path in one.paths] for one in files}
    rows, notes = match_rows(read_eyes(path), names)
    for note in notes:
        print(note)
    return rows


def _known(files: ImageFiles, row: EyeRow, options: argparse.Namespace, notes: list[Note]) -> _Eye:
    """Takes pitch, laterality and axial length from the table, else the flags, else the file.

    Adds the notes of reading the files to `notes`.
    """
    contents = None
    try:
        contents = files.read()
        notes += contents.notes
        pitch = known_pitch(contents, options, row)
        if pitch is None:
            raise UserError(
                "The pixel pitch is unknown; give --um-per-px or --field-mm, a column um_per_px in "
                "--eyes, TIFF files with their resolution (1 to 40 um), or DICOM images."
            )
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
        laterality = laterality or contents.laterality
        return _Eye(files, *pitch, laterality, axial_length)
    except UserError as error:
        changed = note_lines(contents.notes) if contents else ()
        raise UserError(" ".join((f"Eye {files.id}: {error}", *changed))) from None


def _read_masks(eye: _Eye) -> _Masks:
    contents = eye.files.read()
    return _Masks(contents.image, contents.rv, contents.faz, eye.um_per_px)


def _predictor(
    weights: Path, files: list[ImageFiles], tta: bool, notes: list[Note]
) -> Callable[[_Eye], _Masks]:
    """What reads an image and predicts its masks; adds notes on resampling to `notes`."""
    model = Segmenter.load_from_checkpoint(weights)
    for line in left_out_lines(model.tasks):
        print(line)
    check_slab_count(files, model.slabs, weights)

    def read(eye: _Eye) -> _Masks:
        image = eye.files.read().image
        computed = model.compute(image, um_per_px=eye.um_per_px, tta=tta)
        if computed.scale.is_resampled:
            notes.append(Note(eye.files.image, computed.scale.describe()))
            image = resize_slabs(image, computed.scale.network_size)
        masks = {task: p >= 0.5 for task, p in computed.at_network.items()}
        return _Masks(image, masks.get("rv"), masks.get("faz"), computed.um_per_px)

    return read


def _measure(
    eye: _Eye, read: Callable[[_Eye], _Masks], reference_axial_length_mm: float
) -> tuple[dict[str, str | float], MaskFacts]:
    """One row of the table, and facts about the masks."""
    try:
        contents = read(eye)
        values = measure(
            contents.rv,
            contents.faz,
            um_per_px=contents.um_per_px,
            laterality=eye.laterality,
            axial_length_mm=eye.axial_length_mm,
            reference_axial_length_mm=reference_axial_length_mm,
        )
    except UserError as error:
        raise UserError(f"Eye {eye.files.id}: {error}") from None
    row = {
        "id": eye.files.id,
        "laterality": eye.laterality or "",
        "axial_length_mm": np.nan if eye.axial_length_mm is None else eye.axial_length_mm,
        "pitch_source": eye.pitch_source,
        **values,
    }
    return row, mask_facts(contents.image, contents.rv, contents.faz)
