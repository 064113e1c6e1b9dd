"""`predict`: masks of images from a trained network."""

import argparse
import csv
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from s2a_jax import __version__
from s2a_jax.analysis.analysis import EyeFacts
from s2a_jax.analysis.batch import stream_files, write_png
from s2a_jax.analysis.dicom_seg import (
    Algorithm,
    check_sources,
    without_segmentation,
    write_segmentation,
)
from s2a_jax.analysis.reading import Read, read_image
from s2a_jax.commands.failures import Failures
from s2a_jax.commands.flags import TTA_HELP, check_out_folder, left_out_lines, path_flag, slabs_flag
from s2a_jax.commands.pitch import add_pitch_flags, check_pitch_flags, known_pitch
from s2a_jax.commands.weights import ENSEMBLE_HELP, weights_of
from s2a_jax.errors import UserError
from s2a_jax.evaluation.pictures import overlay
from s2a_jax.files import text_cell, written_whole
from s2a_jax.inference.ensemble import Others, load_all
from s2a_jax.inference.journal import Finished, Journal, Shard, written_states
from s2a_jax.inference.masks import masks_of, noted
from s2a_jax.inference.pieces import Computed, Prepared
from s2a_jax.inference.runtimes import RUNTIMES
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.contents import Contents
from s2a_jax.inputs.image_files import ImageFiles, check_slab_count, list_images
from s2a_jax.inputs.names import counted, file_name_of
from s2a_jax.inputs.notes import note_lines
from s2a_jax.inputs.result_files import PREDICTED

_ALONE = Shard(0, 1)
_TASKS = ("rv", "faz")
_COLUMNS = ("height_px", "width_px", "rv_px", "faz_px")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Writes <image>_rv.png, <image>_faz.png (0/255) and <image>_overlay.png for "
        "every image, and predictions.csv with the number of pixels in each mask. The mask of the "
        "FAZ is its most central piece, without holes. Images whose "
        "pixel pitch is known, and not one that the network was trained on, are resampled for the "
        "network, and their masks have the images' own size again. For a network "
        "that takes several slabs, IMAGE lists the files of one eye (or as many folders), "
        "separated by commas, in the order of the training's config.data.slab: "
        "whole.png,deep.png,superficial.png. Results are named after the first file. The same "
        "command resumes: it skips images whose files and results are as the last run left them "
        "(predictions.jsonl lists them). Frames around screenshots are cut off, and masks then "
        "have the size of what is left. Files that cannot be used are listed at the end, with exit "
        "code 1. A task that the network was not trained on is left out."
    )
    parser.add_argument(
        "--weights",
        required=True,
        action="append",
        type=path_flag,
        help="workdir, checkpoint, .safetensors file, a .onnx or .stablehlo file of export, or "
        f"sim_to_real, which ships with the package. {ENSEMBLE_HELP}",
    )
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        help="what computes an exported network: onnx (default for .onnx) and openvino, which are "
        "for CPUs, openvino-bf16, which rounds more for speed, or stablehlo",
    )
    add_batch_flags(parser, PREDICTED)
    add_pitch_flags(parser, "the TIFF resolution or DICOM")


def add_batch_flags(parser: argparse.ArgumentParser, table: str) -> None:
    """Adds the flags of commands that segment many images.

    Args:
        parser: the command's.
        table: name of the table of results, without extension.
    """
    parser.add_argument("--out", required=True, type=path_flag, help="folder for the results")
    parser.add_argument("--threshold", type=float, default=0.5, help="in [0, 1]; default 0.5")
    parser.add_argument("--tta", action="store_true", help=TTA_HELP)
    parser.add_argument(
        "--dicom-seg",
        action="store_true",
        help="for DICOM images also write <image>_seg.dcm, a DICOM Segmentation of the size of the "
        "file's own pixels, which refers to the image",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="images computed together, of one size (rounded up to 16 pixels); default: 1 on a "
        "CPU, where more are no faster, else 16 a device, fewer if they are larger than 304x304",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="threads that read images, and as many that write results; default: one a core, at "
        "most 16",
    )
    parser.add_argument(
        "--shard",
        type=_shard,
        default=_ALONE,
        metavar="I/N",
        help="the I-th of N parts of the images, from 0, for one of N processes on any machines, "
        "which need no connection: --shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT. Its table "
        f"is {table}-I-of-N.csv; the command without --shard then finds all images finished, "
        f"and writes {table}.csv",
    )
    parser.add_argument(
        "images",
        nargs="+",
        type=slabs_flag,
        metavar="IMAGE",
        help="files, folders of images, or patterns such as 'eyes/*.png'; pictures that predict or "
        "analyze wrote are skipped",
    )


def check_batch_flags(options: argparse.Namespace) -> None:
    """Raises a UserError unless the flags of `add_batch_flags` can be used."""
    if not 0 <= options.threshold <= 1:
        raise UserError(f"--threshold={options.threshold} is outside [0, 1].")
    for name in ("batch_size", "jobs"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')}={value}: expected at least 1.")
    check_out_folder(options.out, options.out)


def _shard(text: str) -> Shard:
    """Parses I/N."""
    index, slash, count = text.partition("/")
    if not slash or not index.isdecimal() or not count.isdecimal() or int(index) >= int(count):
        raise argparse.ArgumentTypeError(f"{text!r}: expected I/N with I from 0 to N - 1")
    return Shard(int(index), int(count))


def run(options: argparse.Namespace) -> int:
    """Segments every image that is not finished yet.

    Returns:
        The exit code: 1 if some images cannot be used.

    Raises:
        UserError: a flag or weights that cannot be used, or no image can.
    """
    out, shard = options.out, options.shard
    check_batch_flags(options)
    check_pitch_flags(options)
    every = list_images(options.images, out=out)
    if options.dicom_seg:
        check_sources(every)
    images = shard.slice(every)
    weights = weights_of(options.weights)
    models = load_all(weights, options.runtime)
    model = models[0]
    check_slab_count(images, model.slabs, weights[0])
    names = ("threshold", "um_per_px", "field_mm", "tta", "dicom_seg")
    settings = {"version": __version__, "weights": [one.fingerprint() for one in models]}
    settings |= {name: getattr(options, name) for name in names}
    algorithm = Algorithm(
        model.network, __version__, tuple(settings["weights"]), options.threshold, options.tta
    )
    journal = Journal(out, PREDICTED, settings, shard)
    failures = Failures("image", len(images))
    with journal.alone():
        rows = journal.finished(images)
        left = [files for files in images if files.id not in rows]
        _segment(models, left, rows, journal, failures, options, algorithm)
        used = [files for files in images if files.id in rows]
        finished = [rows[files.id] for files in used]
        names = [files.names[0] for files in used]
        table = out / f"{PREDICTED}{shard.suffix}.csv"
        # An earlier table would show images as usable that no longer are.
        if used or not images or table.exists():
            _write_table(table, names, finished)
        failures.refuse_all()
    for line in note_lines(note for row in finished for note in row.notes):
        print(line)
    for line in left_out_lines(model.tasks):
        print(line)
    for line in without_segmentation(images) if options.dicom_seg else ():
        print(line)
    before = len(images) - len(left)
    skipped = f" ({before} of them by an earlier run)" if before else ""
    print(f"{counted(len(used), 'image')} -> {out}{skipped}")
    return failures.finish()


def _segment(
    models: Sequence[Segmenter],
    images: Collection[ImageFiles],
    rows: dict[str, Finished],
    journal: Journal,
    failures: Failures,
    options: argparse.Namespace,
    algorithm: Algorithm,
) -> None:
    """Predicts images, writes their pictures, and adds them to `rows` and the journal."""
    model, *others = models
    rest = Others(others)

    def facts(contents: Contents) -> EyeFacts:
        pitch = known_pitch(contents, options) or (None, "")
        return EyeFacts(*pitch, laterality=contents.laterality)

    def read(files: ImageFiles) -> tuple[Read, Prepared]:
        return read_image(files, model, facts, tta=options.tta, dicom_seg=options.dicom_seg)

    def write(one: Read, computed: Computed) -> None:
        pitch = one.eye.um_per_px
        computed = rest.joined(computed, one.image, um_per_px=pitch, tta=options.tta)
        masks, left_out = masks_of(computed.probability, options.threshold)
        row = _write_files(options.out, one, masks, algorithm)
        row = row._replace(notes=row.notes + noted(one.files.image, left_out))
        journal.add(row)
        rows[row.id] = row

    predictor = model.predictor(options.batch_size)
    stream_files("Segmenting", predictor, images, read, write, failures.add, options.jobs)


def _write_files(
    out: Path, one: Read, masks: dict[str, np.ndarray], algorithm: Algorithm
) -> Finished:
    """Writes the pictures of one image, and its segmentation."""
    rv, faz = masks.get("rv"), masks.get("faz")
    pictures = {task: mask * np.uint8(255) for task, mask in masks.items()}
    pictures["overlay"] = overlay(one.picture, rv, faz)
    paths = []
    for kind, pixels in pictures.items():
        paths.append(out / f"{file_name_of(one.files.id)}_{kind}.png")
        write_png(paths[-1], pixels)
    paths += write_segmentation(out, one, masks, algorithm)
    height, width = one.picture.shape
    row = {"height_px": height, "width_px": width}
    row |= {f"{task}_px": None if task not in masks else int(masks[task].sum()) for task in _TASKS}
    return Finished(one.files.id, one.states, written_states(paths), row, one.notes)


def _write_table(path: Path, names: Iterable[str], rows: Iterable[Finished]) -> None:
    with (
        written_whole(path) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(("image", *_COLUMNS))
        for name, finished in zip(names, rows, strict=True):
            writer.writerow((text_cell(name), *(finished.row[column] for column in _COLUMNS)))
