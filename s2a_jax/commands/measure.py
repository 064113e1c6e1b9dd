"""`measure`: biomarkers of eyes from masks or images."""

import argparse
from collections import Counter
from typing import NamedTuple

import numpy as np

from s2a_jax.analysis.analysis import EyeFacts
from s2a_jax.biomarkers.measure import measure
from s2a_jax.biomarkers.table import print_summary, write_rows
from s2a_jax.commands.eyes import (
    add_eye_flags,
    check_eye_flags,
    eye_rows,
    known_eye,
    side_lines,
)
from s2a_jax.commands.failures import Failures
from s2a_jax.commands.flags import (
    TTA_HELP,
    check_out_folder,
    left_out_lines,
    make_out_folder,
    path_flag,
    slabs_flag,
)
from s2a_jax.commands.pitch import SOURCES
from s2a_jax.console import progress
from s2a_jax.errors import UserError
from s2a_jax.inference.masks import masks_of, noted
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.contents import Contents
from s2a_jax.inputs.eye_table import EyeRow
from s2a_jax.inputs.image_files import (
    ImageFiles,
    check_slab_count,
    list_combined_masks,
    list_images,
    list_mask_pairs,
)
from s2a_jax.inputs.masks import FAZ_VALUE
from s2a_jax.inputs.names import counted, first_few
from s2a_jax.inputs.notes import Note, note_lines
from s2a_jax.inputs.plausibility import MaskFacts, doubt_lines, mask_facts
from s2a_jax.inputs.slabs import resize_slabs
from s2a_jax.quality.frame import crop_frame


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


class _Measured(NamedTuple):
    """A measured eye.

    Attributes:
        row: of the table.
        eye: what is known beside the files.
        facts: about the masks.
        notes: what reading and prediction had to change.
    """

    row: dict[str, str | float]
    eye: EyeFacts
    facts: MaskFacts
    notes: tuple[Note, ...]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Measures masks, or images with --weights. Writes one CSV row per eye and "
        "prints a summary; docs/biomarkers.md explains each column. Files that cannot be used are "
        "listed at the end, with exit code 1. Not a medical device."
    )
    what = parser.add_argument_group("what to measure (a folder, or one file)")
    what.add_argument(
        "--rv", type=path_flag, help="vessel masks; of <id>_rv files if there are any"
    )
    what.add_argument("--faz", type=path_flag, help="FAZ masks; of <id>_faz files if there are any")
    what.add_argument("--masks", type=path_flag, help="masks of both: 0, 100 (FAZ), 255 (vessel)")
    what.add_argument(
        "--weights",
        type=path_flag,
        help="segment IMAGEs with this network first (sim_to_real ships with the package)",
    )
    what.add_argument(
        "images",
        nargs="*",
        type=slabs_flag,
        metavar="IMAGE",
        help="with --weights: files or folders; a.png,b.png for a network that takes several "
        "slabs, as for predict",
    )
    what.add_argument("--tta", action="store_true", help=TTA_HELP)
    add_eye_flags(parser)
    parser.add_argument(
        "--out", required=True, type=path_flag, metavar="CSV", help="one row per eye"
    )


def run(options: argparse.Namespace) -> int:
    """Measures every eye.

    Returns:
        The exit code: 1 if some eyes cannot be measured.

    Raises:
        UserError: a flag or weights that cannot be used, or no eye can be measured; nothing is
            written.
    """
    if options.out.is_dir():
        raise UserError(f"--out={options.out} is a folder; give the CSV file to write.")
    check_out_folder(options.out.parent, options.out)
    check_eye_flags(options)
    files = _files(options)
    rows = eye_rows(files, options.eyes)
    model = None
    if options.weights:
        model = Segmenter.load_from_checkpoint(options.weights)
        for line in left_out_lines(model.tasks):
            print(line)
        check_slab_count(files, model.slabs, options.weights)
    failures = Failures("eye", len(files))
    measured: list[_Measured] = []
    with progress("Measuring", len(files)) as advance:
        for one in files:
            try:
                measured.append(_measure(one, rows.get(one.id, EyeRow()), options, model))
            except UserError as error:
                failures.add(one.id, error)
            advance(1)
    failures.refuse_all()
    table = [one.row for one in measured]
    if options.masks and len(files) > 1 and _lack_faz(table):
        failures.finish()
        raise UserError(
            f"--masks={options.masks}: {counted(len(table), 'mask')}, none with the FAZ value "
            f"{FAZ_VALUE}; give masks of vessels alone as --rv={options.masks}. An eye that has no "
            "FAZ can be measured by itself, with --masks and its file."
        )
    make_out_folder(options.out.parent)
    write_rows(options.out, table)
    print_summary(table)
    notes = note_lines(note for one in measured for note in one.notes)
    doubts = doubt_lines([(one.row["id"], one.facts) for one in measured], "eye")
    sides = side_lines((one.row["id"], one.row["laterality"]) for one in measured)
    for line in (*notes, *doubts, *sides):
        print(line)
    _print_sources([one.eye for one in measured])
    count = counted(len(table), "eye")
    for name, column, is_asked in (
        ("vessel mask", "vessel_density", options.rv or not options.faz),
        ("FAZ", "faz_centroid_x_mm", options.faz or not options.rv),
    ):
        without = [row["id"] for row in table if np.isnan(row[column])]
        if is_asked and without:
            print(f"{len(without)} of {count} without {name}: {first_few(without)}.")
    corrected = sum(one.eye.axial_length_mm is not None for one in measured)
    print(f"Lengths are corrected by axial length in {corrected} of {count}.")
    print(f"{count} -> {options.out}")
    return failures.finish()


def _lack_faz(table: list[dict[str, str | float]]) -> bool:
    """Whether no eye has a FAZ, as if masks of vessels alone had been given for combined ones."""
    return all(np.isnan(row["faz_centroid_x_mm"]) for row in table)


def _print_sources(eyes: list[EyeFacts]) -> None:
    sources = Counter(SOURCES[eye.pitch_source] for eye in eyes)
    listed = ", ".join(f"{name} ({counted(n, 'eye')})" for name, n in sources.items())
    print(f"Pixel pitch: {listed}.")


def _files(options: argparse.Namespace) -> list[ImageFiles]:
    given = [options.rv or options.faz, options.masks, options.weights]
    if sum(one is not None for one in given) != 1:
        raise UserError(
            "Give one of: --rv and/or --faz (masks), --masks (masks of both), or --weights with "
            "images, such as --weights sim_to_real."
        )
    if options.weights:
        if not options.images:
            raise UserError("--weights needs images: name the files or folders to segment.")
        return list_images(options.images)
    if options.tta:
        raise UserError("--tta: only networks are averaged; give --weights with images.")
    if options.images:
        raise UserError(
            f"{options.images[0]}: images are measured with --weights; add "
            "--weights sim_to_real, or your own."
        )
    if options.masks:
        return list_combined_masks(options.masks)
    return list_mask_pairs(options.rv, options.faz)


def _measure(
    files: ImageFiles, row: EyeRow, options: argparse.Namespace, model: Segmenter | None
) -> _Measured:
    """Reads and measures one eye; errors name it."""
    notes: tuple[Note, ...] = ()
    try:
        contents = files.read(crop_frame)
        notes = contents.notes
        eye = known_eye(contents, options, row)
        if eye.um_per_px is None:
            raise UserError(
                "The pixel pitch is unknown; give --um-per-px or --field-mm, a column um_per_px "
                "or field_mm in --eyes, TIFF files with their resolution (1 to 40 um), or DICOM "
                "images."
            )
        masks = _Masks(contents.image, contents.rv, contents.faz, eye.um_per_px)
        if model is not None:
            masks, more = _predicted(files, contents, eye, model, options.tta)
            notes += more
        values = measure(
            masks.rv,
            masks.faz,
            um_per_px=masks.um_per_px,
            laterality=eye.laterality,
            axial_length_mm=eye.axial_length_mm,
            reference_axial_length_mm=eye.reference_axial_length_mm,
        )
    except UserError as error:
        raise UserError(" ".join((f"Eye {files.id}: {error}", *note_lines(notes)))) from None
    about = {
        "id": files.id,
        "laterality": eye.laterality or "",
        "axial_length_mm": np.nan if eye.axial_length_mm is None else eye.axial_length_mm,
        "pitch_source": eye.pitch_source,
    }
    return _Measured(about | values, eye, mask_facts(masks.image, masks.rv, masks.faz), notes)


def _predicted(
    files: ImageFiles, contents: Contents, eye: EyeFacts, model: Segmenter, tta: bool
) -> tuple[_Masks, tuple[Note, ...]]:
    """The network's masks of an image, at the pitch at which it saw it, and notes on that."""
    image = contents.image
    computed = model.compute(image, um_per_px=eye.um_per_px, tta=tta)
    notes = ()
    if computed.scale.is_resampled:
        notes = (Note(files.image, computed.scale.describe()),)
        image = resize_slabs(image, computed.scale.network_size)
    masks, left_out = masks_of(computed.at_network, 0.5)
    notes += noted(files.image, left_out)
    return _Masks(image, masks.get("rv"), masks.get("faz"), computed.um_per_px), notes
