"""Command line: `python -m s2a_jax predict`, `convert` and `prepare`."""

import argparse
import collections
import csv
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from s2a_jax.data.images import read_image
from s2a_jax.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m s2a_jax", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    predict = commands.add_parser(
        "predict",
        help="segment images with a trained network",
        description="Writes <image>_rv.png, <image>_faz.png (0/255) and <image>_overlay.png for "
        "every image, and predictions.csv with the pixels of each mask.",
    )
    predict.add_argument(
        "--weights", required=True, type=Path, help="workdir, checkpoint or .safetensors file"
    )
    predict.add_argument("--out", required=True, type=Path, help="folder for the results")
    predict.add_argument("--threshold", type=float, default=0.5, help="in [0, 1]; default 0.5")
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    convert = commands.add_parser(
        "convert",
        help="PyTorch weights in and out",
        description="Reads a state dict of PyTorch (.pth, .pt, .safetensors, .npz) and writes this "
        "package's weights (.safetensors), or the other way round.",
    )
    convert.add_argument("--network", help="s2anet, unet, transunet, jointseg or vaffnet")
    convert.add_argument("--from", required=True, type=Path, dest="source", metavar="FILE")
    convert.add_argument("--to", required=True, type=Path, dest="target", metavar="FILE")
    convert.add_argument(
        "--known",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a field that shapes do not tell: num_heads=4 (default 12), groups=8 (default 32)",
    )
    _add_prepare(commands)
    options = parser.parse_args(arguments)
    try:
        if options.command == "prepare":
            _prepare(options)
        elif options.command == "convert":
            from s2a_jax.convert.command import convert as run_convert
            from s2a_jax.convert.command import parse_known

            known = parse_known(options.known)
            print(run_convert(options.network, options.source, options.target, known))
        else:
            _predict(options.weights, options.out, options.images, options.threshold)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; what is written is complete.", file=sys.stderr)
        return 130
    return 0


def _add_prepare(commands: argparse._SubParsersAction) -> None:
    prepare = commands.add_parser(
        "prepare",
        help="check a data set and store it as TFDS array_record files",
        description="Reads a raw folder, reports what it holds (masks, prevalence, duplicates, "
        "unreadable files) and writes it as a TFDS data set. A data set that is there already is "
        "not written again; a run that was stopped leaves nothing half-written.",
    )
    prepare.add_argument("name", choices=("octa500", "rose", "folder", "synthetic"))
    prepare.add_argument("--from", type=Path, dest="source", metavar="RAW", help="the raw folder")
    prepare.add_argument("--to", required=True, type=Path, dest="target", metavar="DIR")
    prepare.add_argument("--subset", help="of octa500: 3M or 6M; of rose: 1, 2, O, Z or H")
    prepare.add_argument("--slab", help="as config.data.slab; default: the superficial one")
    prepare.add_argument("--skip-unreadable", action="store_true", help="leave such cases out")
    eyes = prepare.add_argument_group("synthetic eyes")
    eyes.add_argument("--size", type=int, default=304, help="pixels; default 304")
    eyes.add_argument("--seed", type=int, default=0)
    eyes.add_argument(
        "--field", type=float, nargs=2, default=(3.0, 3.0), metavar=("LOW", "HIGH"), help="mm"
    )
    for split, count in (("train", 96), ("val", 8), ("test", 24)):
        eyes.add_argument(f"--{split}", type=int, default=count, help=f"default {count}")


def _prepare(options: argparse.Namespace) -> None:
    if options.name != "synthetic" and options.source is None:
        raise UserError("--from is missing: the raw folder.")
    if options.name == "synthetic" and options.source is not None:
        raise UserError("--from: synthetic eyes are made, not read; leave it out.")
    from s2a_jax.data.prepare import prepare, prepare_synthetic

    # So that a stopped run removes what is half-written.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if options.name == "synthetic":
        counts = {split: getattr(options, split) for split in ("train", "val", "test")}
        prepare_synthetic(options.target, options.size, options.seed, tuple(options.field), counts)
    else:
        prepare(
            options.name,
            options.source,
            options.target,
            options.subset,
            options.slab,
            options.skip_unreadable,
        )


def _predict(weights: Path, out: Path, images: Sequence[Path], threshold: float) -> None:
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

    model = Segmenter.load_from_checkpoint(weights)
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
