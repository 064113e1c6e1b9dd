"""Dice of a trained network on real images of two devices.

    python -m benchmarks.sim_to_real --weights runs/sim_to_real --octa500 DIR --octa25k DIR

Prints the mean Dice over images: vessels on the val splits of OCTA-500 (at native size), FAZ on all
cases of OCTA-500 with a FAZ mask, and FAZ on OCTA-25K ({image,faz}/{superficial,deep}_<n>.png).
Masks are those of `predict`: of the FAZ the most central piece, with --raw all of it. Sets without
cases are left out. Images of OCTA-25K are resampled to `--octa25k-size` pixels before they are
segmented, since their pixels are smaller than any that the networks are trained on.
"""

import argparse
import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.command_line import parser, positive
from s2a_jax.data.cases import read_case
from s2a_jax.data.layouts import existing_folder
from s2a_jax.data.octa500 import list_octa500
from s2a_jax.data.pairing import CaseFiles
from s2a_jax.errors import UserError
from s2a_jax.evaluation.metrics import scores
from s2a_jax.inference.masks import masks_of
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.images import read_image, read_picture, resize_image
from s2a_jax.inputs.masks import binary_mask
from s2a_jax.inputs.names import images_in
from s2a_jax.signals import leave, run_program

Rows = list[tuple[str, float]]
"""Pairs of case and Dice."""


def main() -> None:
    """Print the table, and write one CSV row per image."""
    flags = parser("benchmarks.sim_to_real", __doc__)
    flags.add_argument(
        "--weights",
        required=True,
        type=Path,
        help="workdir, checkpoint or weights file, or sim_to_real for the shipped network",
    )
    add_real_eyes(flags)
    flags.add_argument("--raw", action="store_true", help="keep all pieces of the FAZ")
    flags.add_argument(
        "--out",
        type=Path,
        default=Path("runs/sim_to_real.csv"),
        help="CSV file to write; default runs/sim_to_real.csv",
    )
    options = flags.parse_args()
    check_real_eyes(options)
    try:  # fails before the long measurement, not after it
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.open("a").close()
    except OSError as error:
        raise UserError(f"--out={options.out} cannot be written: {error}.") from error
    sets = measure(Segmenter.load_from_checkpoint(options.weights), options, raw=options.raw)
    with options.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("set", "case", "dice"))
        for name, rows in sets.items():
            writer.writerows((name, *row) for row in rows)
            dice = [value for _, value in rows]
            print(f"{name:24s} {len(dice):3d} images  {np.mean(dice):.4f} ± {np.std(dice):.4f}")
    print(options.out)


def add_real_eyes(flags: argparse.ArgumentParser) -> None:
    """Add the flags for the folders of real images."""
    flags.add_argument("--octa500", required=True, type=Path, help="folder of OCTA-500, 3M and 6M")
    flags.add_argument("--octa25k", type=Path, help="folder of OCTA-25K; default: leave it out")
    flags.add_argument(
        "--octa25k-size", type=positive, default=304, help="side in pixels; default 304"
    )


def check_real_eyes(options: argparse.Namespace) -> None:
    """Find the files of the real images, before long work that ends with them.

    Raises:
        UserError: a folder does not hold its data set, or an image of OCTA-25K has no mask.
    """
    for subset in ("3M", "6M"):
        list_octa500(options.octa500, subset)
    if options.octa25k:
        images, masks = (
            images_in(
                existing_folder(options.octa25k / name, "It belongs in the folder --octa25k.")
            )
            for name in ("image", "faz")
        )
        if missing := sorted(images.keys() - masks.keys()):
            raise UserError(f"{images[missing[0]]} has no mask in {options.octa25k / 'faz'}.")


def measure(model: Segmenter, options: argparse.Namespace, *, raw: bool = False) -> dict[str, Rows]:
    """Measure the Dice of each image of each set.

    Args:
        model: the network.
        options: the parsed flags of `add_real_eyes`.
        raw: whether all pieces of the FAZ count.

    Returns:
        Display name of a set -> rows; sets without cases are left out.
    """
    cases = {subset: list_octa500(options.octa500, subset).cases for subset in ("3M", "6M")}
    sets = {}
    for subset, files in cases.items():
        val = [file for file in files if file.split == "val" and file.rv is not None]
        sets[f"OCTA-500 {subset} val, RV"] = _octa500(model, val, "rv", raw)
    labelled = [file for files in cases.values() for file in files if file.faz is not None]
    sets["OCTA-500, FAZ"] = _octa500(model, labelled, "faz", raw)
    if options.octa25k:
        for half in ("superficial", "deep"):
            sets[f"OCTA-25K {half}, FAZ"] = _octa25k(
                model, options.octa25k, half, options.octa25k_size, raw
            )
    return {name: rows for name, rows in sets.items() if rows}


def _octa500(model: Segmenter, files: Iterable[CaseFiles], task: str, raw: bool) -> Rows:
    rows = []
    for file in files:
        case = read_case(file)
        mask = mask_of(model.predict_proba(case.image), task, raw)
        rows.append((file.id, _dice(mask, getattr(case, task))))
    return rows


def _octa25k(model: Segmenter, root: Path, half: str, size: int, raw: bool) -> Rows:
    masks, rows = images_in(root / "faz"), []
    for name, path in images_in(root / "image").items():
        if name.startswith(half):
            image, truth = read_image(path), binary_mask(read_picture(masks[name]), 128)
            probability = model.predict_proba(resize_image(image, (size, size)))["faz"]
            back = {"faz": resize_image(probability, image.shape)}
            rows.append((name, _dice(mask_of(back, "faz", raw), truth)))
    return rows


def mask_of(probabilities: Mapping[str, np.ndarray], task: str, raw: bool) -> np.ndarray:
    """The mask of one task as `predict` writes it, or with `raw` every pixel of at least 0.5."""
    return probabilities[task] >= 0.5 if raw else masks_of(probabilities, 0.5).masks[task]


def _dice(predicted: np.ndarray, truth: np.ndarray) -> float:
    pairs = {"tp": (True, True), "fp": (True, False), "fn": (False, True), "tn": (False, False)}
    counts = {name: np.sum((predicted == p) & (truth == t)) for name, (p, t) in pairs.items()}
    return float(scores(counts)["dice"])


if __name__ == "__main__":
    leave(run_program(main))
