"""`python -m s2a_jax predict`: masks of images by a trained network."""

import argparse
import collections
import csv
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from s2a_jax.data.images import read_image
from s2a_jax.errors import UserError


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command and its flags."""
    parser = commands.add_parser(
        "predict",
        help="segment images with a trained network",
        description="Writes <image>_rv.png, <image>_faz.png (0/255) and <image>_overlay.png for "
        "every image, and predictions.csv with the pixels of each mask.",
    )
    parser.add_argument(
        "--weights", required=True, type=Path, help="workdir, checkpoint or .safetensors file"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the results")
    parser.add_argument("--threshold", type=float, default=0.5, help="in [0, 1]; default 0.5")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")


def run(options: argparse.Namespace) -> None:
    """Segments every image.

    Raises:
        UserError: a flag, image or weights that cannot be used.
    """
    images, out, threshold = options.images, options.out, options.threshold
    if not 0 <= threshold <= 1:
        raise UserError(f"--threshold={threshold} is outside [0, 1].")
    repeated = [stem for stem, n in collections.Counter(p.stem for p in images).items() if n > 1]
    if repeated:
        raise UserError(
            f"Several images are called {repeated[0]!r} and would overwrite each other's results; "
            "predict them into different folders."
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"--out={out} is a file; give a folder.")
    for path in images:  # all of them before the first result is written
        read_image(path)
    # Only now: a wrong file name should not have to wait for JAX.
    from s2a_jax.evaluation.pictures import overlay
    from s2a_jax.inference.segmenter import Segmenter

    model = Segmenter.load_from_checkpoint(options.weights)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    console = Console(stderr=True)
    for path in track(images, "Segmenting", console=console, disable=not console.is_terminal):
        image = read_image(path)
        rv, faz = model.predict(image, threshold=threshold)
        for name, pixels in (
            ("rv", rv.astype(np.uint8) * 255),
            ("faz", faz.astype(np.uint8) * 255),
            ("overlay", overlay(image, rv, faz)),
        ):
            Image.fromarray(pixels).save(out / f"{path.stem}_{name}.png")
        rows.append((path.name, *image.shape, int(rv.sum()), int(faz.sum())))
    with (out / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "height_px", "width_px", "rv_px", "faz_px"))
        writer.writerows(rows)
    print(f"{len(rows)} images -> {out}")
