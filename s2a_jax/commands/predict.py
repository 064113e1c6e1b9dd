"""`predict`: masks of images from a trained network."""

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from s2a_jax.commands.flags import check_out_folder, make_out_folder
from s2a_jax.console import make_console
from s2a_jax.errors import UserError
from s2a_jax.evaluation.pictures import overlay
from s2a_jax.files import written_whole
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.image_files import PREDICTED, check_slab_count, list_images
from s2a_jax.inputs.names import counted, name_of
from s2a_jax.inputs.notes import note_lines
from s2a_jax.inputs.slabs import first_slab


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Writes <image>_rv.png, <image>_faz.png (0/255) and <image>_overlay.png for "
        "every image, and predictions.csv with the number of pixels in each mask. For a network "
        "that takes several slabs, IMAGE lists the files of one eye (or as many folders), "
        "separated by commas, in the order of the training's config.data.slab: "
        "whole.png,deep.png,superficial.png. Results are named after the first file."
    )
    parser.add_argument(
        "--weights",
        required=True,
        type=Path,
        help="workdir, checkpoint, .safetensors file, or sim_to_real, which ships with the package",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the results")
    parser.add_argument("--threshold", type=float, default=0.5, help="in [0, 1]; default 0.5")
    parser.add_argument(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="files, or folders of images; pictures that predict wrote are skipped",
    )


def run(options: argparse.Namespace) -> None:
    """Segments every image.

    Raises:
        UserError: a flag, image or weights that cannot be used.
    """
    out, threshold = options.out, options.threshold
    if not 0 <= threshold <= 1:
        raise UserError(f"--threshold={threshold} is outside [0, 1].")
    check_out_folder(out, out)
    images = list_images(options.images)
    # A file that cannot be read fails before anything is written.
    notes = note_lines(note for files in images for note in files.read().notes)
    model = Segmenter.load_from_checkpoint(options.weights)
    check_slab_count(images, model.slabs, options.weights)
    make_out_folder(out)
    rows = []
    console = make_console(stderr=True)
    for files in track(images, "Segmenting", console=console, disable=not console.is_terminal):
        image = files.read().image
        rv, faz = model.predict(image, threshold=threshold)
        masks = (mask.astype(np.uint8) * 255 for mask in (rv, faz))
        pictures = (*masks, overlay(first_slab(image), rv, faz))
        for name, pixels in zip(PREDICTED, pictures, strict=True):
            with written_whole(out / f"{files.id}_{name}.png") as path:
                Image.fromarray(pixels).save(path, "PNG")
        rows.append((name_of(files.image), *image.shape[:2], int(rv.sum()), int(faz.sum())))
    table = out / "predictions.csv"
    with written_whole(table) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "height_px", "width_px", "rv_px", "faz_px"))
        writer.writerows(rows)
    for line in notes:
        print(line)
    print(f"{counted(len(rows), 'image')} -> {out}")
