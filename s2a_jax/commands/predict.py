"""`predict`: masks of images from a trained network."""

import argparse
import contextlib
import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from s2a_jax import __version__
from s2a_jax.commands.flags import TTA_HELP, check_out_folder, left_out_lines
from s2a_jax.commands.pitch import UNKNOWN, add_pitch_flags, check_pitch_flags, known_pitch
from s2a_jax.console import progress
from s2a_jax.errors import UserError
from s2a_jax.evaluation.pictures import overlay
from s2a_jax.files import written_whole
from s2a_jax.inference.journal import (
    Finished,
    Journal,
    Settings,
    Shard,
    read_states,
    result_paths,
    state_of,
)
from s2a_jax.inference.pieces import Computed, Prepared
from s2a_jax.inference.runtimes import RUNTIMES
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inference.stream import predict_stream
from s2a_jax.inputs.image_files import ImageFiles, check_slab_count, list_images
from s2a_jax.inputs.names import counted, name_of
from s2a_jax.inputs.notes import Note, note_lines
from s2a_jax.inputs.slabs import first_slab

_ALONE = Shard(0, 1)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Writes <image>_rv.png, <image>_faz.png (0/255) and <image>_overlay.png for "
        "every image, and predictions.csv with the number of pixels in each mask. Images whose "
        "pixel pitch is known, and not one that the network was trained on, are resampled for the "
        "network, and their masks have the images' own size again. For a network "
        "that takes several slabs, IMAGE lists the files of one eye (or as many folders), "
        "separated by commas, in the order of the training's config.data.slab: "
        "whole.png,deep.png,superficial.png. Results are named after the first file. The same "
        "command resumes: it skips images whose files and results are as the last run left them "
        "(predictions.jsonl lists them). A task that the network was not trained on is left out."
    )
    parser.add_argument(
        "--weights",
        required=True,
        type=Path,
        help="workdir, checkpoint, .safetensors file, a .onnx or .stablehlo file of export, or "
        "sim_to_real, which ships with the package",
    )
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        help="what computes an exported network: onnx (default for .onnx) and openvino, which are "
        "for CPUs, openvino-bf16, which rounds more for speed, or stablehlo",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the results")
    parser.add_argument("--threshold", type=float, default=0.5, help="in [0, 1]; default 0.5")
    parser.add_argument("--tta", action="store_true", help=TTA_HELP)
    add_pitch_flags(parser, "the TIFF resolution or DICOM")
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="images computed together, of one size (rounded up to 16 pixels); default: 1 on a "
        "CPU, where more are no faster, else 16 a device, fewer if they are larger than 304x304",
    )
    parser.add_argument(
        "--shard",
        type=_shard,
        default=_ALONE,
        metavar="I/N",
        help="the I-th of N parts of the images, from 0, for one of N processes on any machines, "
        "which need no connection: --shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT. Its table "
        "is predictions-I-of-N.csv; the command without --shard then finds all images finished, "
        "and writes predictions.csv",
    )
    parser.add_argument(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="files, or folders of images; pictures that predict wrote are skipped",
    )


def _shard(text: str) -> Shard:
    """Parses I/N."""
    index, slash, count = text.partition("/")
    if not slash or not index.isdecimal() or not count.isdecimal() or int(index) >= int(count):
        raise argparse.ArgumentTypeError(f"{text!r}: expected I/N with I from 0 to N - 1")
    return Shard(int(index), int(count))


class _Eye(NamedTuple):
    """What is known of an image before it is predicted.

    Attributes:
        files: its files.
        read: their state before they were read.
        picture: [H, W] in [0, 1], what the overlay shows.
        notes: what reading had to change.
    """

    files: ImageFiles
    read: list[list]
    picture: np.ndarray
    notes: tuple[Note, ...]


def run(options: argparse.Namespace) -> None:
    """Segments every image that is not finished yet.

    Raises:
        UserError: a flag, image or weights that cannot be used. Images that can be read are
            finished nevertheless, and the same command goes on after them.
    """
    out, threshold, shard = options.out, options.threshold, options.shard
    if not 0 <= threshold <= 1:
        raise UserError(f"--threshold={threshold} is outside [0, 1].")
    if options.batch_size is not None and options.batch_size < 1:
        raise UserError(f"--batch-size={options.batch_size}: expected at least 1.")
    check_pitch_flags(options)
    check_out_folder(out, out)
    images = shard.slice(list_images(options.images))
    model = Segmenter.load_from_checkpoint(options.weights, options.runtime)
    check_slab_count(images, model.slabs, options.weights)
    settings = Settings(
        model.fingerprint(),
        threshold,
        __version__,
        options.um_per_px,
        options.field_mm,
        options.tta,
    )
    journal = Journal(out, settings, shard, model.tasks)
    with journal.alone():
        rows = journal.finished(images)
        left = [files for files in images if files.id not in rows]

        def read(files: ImageFiles) -> tuple[_Eye, Prepared]:
            states = []
            with contextlib.suppress(OSError):  # a file is missing: `files.read` says so
                states = read_states(files)
            contents = files.read()
            try:
                pitch = known_pitch(contents, options)
                um_per_px = pitch and pitch.um_per_px
                prepared = model.prepare(contents.image, um_per_px=um_per_px, tta=options.tta)
            except UserError as error:
                raise UserError(f"{files.image}: {error}") from None
            notes = contents.notes
            if prepared.scale.is_resampled:
                notes = (*notes, Note(files.image, prepared.scale.describe()))
            elif pitch is None and model.pitches_um is not None:
                notes = (*notes, Note(files.image, UNKNOWN))
            return _Eye(files, states, first_slab(contents.image), notes), prepared

        def write(eye: _Eye, computed: Computed) -> None:
            masks = {task: p >= threshold for task, p in computed.probability.items()}
            row = _write_pictures(out, eye, masks)
            journal.add(row)
            rows[row.id] = row

        unreadable: list[str] = []

        def failed(_: ImageFiles, error: UserError) -> None:
            unreadable.append(str(error))

        stream = predict_stream(model.predictor(options.batch_size), left, read, write, failed)
        with progress("Segmenting", len(left)) as advance, contextlib.closing(stream):
            for count in stream:
                advance(count)
        if unreadable:
            raise UserError(_unreadable_sentence(unreadable, len(images), out))
        every = [rows[files.id] for files in images]
        names = [name_of(files.image) for files in images]
        _write_table(out / f"predictions{shard.suffix}.csv", names, every)
    for line in note_lines(note for row in every for note in row.notes):
        print(line)
    for line in left_out_lines(model.tasks):
        print(line)
    before = len(images) - len(left)
    skipped = f" ({before} of them by an earlier run)" if before else ""
    print(f"{counted(len(images), 'image')} -> {out}{skipped}")


def _unreadable_sentence(errors: list[str], total: int, out: Path) -> str:
    if len(errors) == 1:
        return errors[0]
    return (
        f"{len(errors)} of {counted(total, 'image')} cannot be used (the others are in {out}); "
        "repair or leave them out:\n" + "\n".join(errors)
    )


def _write_pictures(out: Path, eye: _Eye, masks: dict[str, np.ndarray]) -> Finished:
    """Writes the pictures of one image."""
    rv, faz = masks.get("rv"), masks.get("faz")
    paths = result_paths(out, eye.files.id, masks)
    drawn = overlay(eye.picture, rv, faz)
    pictures = (*(mask * np.uint8(255) for mask in masks.values()), drawn)
    for path, pixels in zip(paths, pictures, strict=True):
        with written_whole(path) as partial:
            # The default level takes four times as long, and overlays become larger.
            Image.fromarray(pixels).save(partial, "PNG", compress_level=1)
    written = [*map(state_of, paths)]
    counts = (None if mask is None else int(mask.sum()) for mask in (rv, faz))
    return Finished(eye.files.id, eye.read, written, drawn.shape[:2], *counts, eye.notes)


def _write_table(path: Path, names: Iterable[str], rows: Iterable[Finished]) -> None:
    with (
        written_whole(path) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(("image", "height_px", "width_px", "rv_px", "faz_px"))
        writer.writerows(
            (name, *row.size, row.rv, row.faz) for name, row in zip(names, rows, strict=True)
        )
