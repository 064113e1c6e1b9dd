"""Dice on real images without single parts of the simulation.

    python -m benchmarks.sim_to_real_ablation --octa500 DIR --octa25k DIR --out runs/ablation

Trains `--variant` once for each row of `ROWS`, with the same number of eyes, seeds and steps, and
measures it as `benchmarks.sim_to_real` does. Writes OUT/ablation.csv. Run the same command again
after Ctrl-C to resume: finished rows are not trained again.
"""

import argparse
import csv
import dataclasses
import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from benchmarks.command_line import parser, positive
from benchmarks.sim_to_real import add_real_eyes, check_real_eyes, measure
from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.console import make_console
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.errors import UserError
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.masks import FAZ_VALUE, RV_VALUE
from s2a_jax.machine import cores
from s2a_jax.runs.workdir import Workdir
from s2a_jax.signals import leave, run_program
from s2a_jax.training.loop import train

_OFF = (0.0, 0.0)
_NO_PHOTOMETRY = {
    "gamma": 0.0, "contrast": 0.0, "noise": 0.0, "motion_stripes": 0.0, "local_shadow": 0.0,
    "blur": 0.0,
}  # fmt: skip
_STILL = {
    "motion_lines": 0.0, "motion_shifts": 0.0, "line_gain": _OFF, "bulk_motion_probability": 0.0,
}  # fmt: skip
_EVEN = {
    "vignetting": _OFF, "floater_probability": 0.0, "signal_loss_probability": 0.0,
    "reflex_probability": 0.0, "dark_border_probability": 0.0, "modulation": _OFF,
}  # fmt: skip
ROWS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "everything": ({}, {}),
    "without photometric augmentation": ({}, _NO_PHOTOMETRY),
    "without motion": (_STILL, {}),
    "without shadows, reflex and uneven light": (_EVEN, {}),
    "without any of these": (_STILL | _EVEN, _NO_PHOTOMETRY),
    "without capillaries": ({"bed_signal": _OFF}, {}),
    "3 mm fields alone": ({"field_mm": 3.0}, {}),
}
"""Name -> changed parameters of the eyes, changed fields of config.augment."""

_FIELDS_MM = (2.6, 6.3)


def main() -> int:
    """Train and measure each row; print and write the table.

    Returns:
        The exit code: not 0 if a signal stopped the training of a row.
    """
    flags = parser("benchmarks.sim_to_real_ablation", __doc__)
    add_real_eyes(flags)
    flags.add_argument(
        "--out",
        type=Path,
        default=Path("runs/ablation"),
        help="output folder; default runs/ablation",
    )
    flags.add_argument(
        "--eyes", type=positive, default=96, help="training eyes of each row; default 96"
    )
    flags.add_argument(
        "--steps", type=positive, default=300, help="training steps of each row; default 300"
    )
    flags.add_argument("--variant", default="tiny", help="variant of S2A-Net; default tiny")
    options = flags.parse_args()
    check_real_eyes(options)
    for number, (eyes, _) in enumerate(ROWS.values()):  # forks, so before JAX has threads
        _make_eyes(options.out / f"{number}" / "eyes", options.eyes, eyes)
    table = []
    for number, (name, (_, augmentation)) in enumerate(ROWS.items()):
        folder = options.out / f"{number}"
        config = _config(folder / "eyes", options, augmentation)
        if code := train(resolve(config), Workdir(folder / "run"), make_console(soft_wrap=True)):
            return code  # stopped: an unfinished network is no row of the table
        sets = measure(Segmenter.load_from_checkpoint(folder / "run"), options)
        table.append(
            (name, {key: np.mean([dice for _, dice in rows]) for key, rows in sets.items()})
        )
    with (options.out / "ablation.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("trained on", *table[0][1]))
        writer.writerows((name, *(f"{v:.4f}" for v in means.values())) for name, means in table)
    print(" | ".join(("trained on".ljust(44), *table[0][1])))
    for name, means in table:
        cells = (f"{value:.3f}".ljust(len(key)) for key, value in means.items())
        print(" | ".join((name.ljust(44), *cells)))
    return 0


def _config(root: Path, options: argparse.Namespace, augmentation: dict[str, float]) -> ConfigDict:
    config = load_config("sim_to_real")
    config.model.variant = options.variant
    config.data.update({"name": "folder", "root": str(root.absolute())})
    config.augment.update(augmentation)
    config.augment.crop = 144
    steps_per_epoch = max(1, round(options.eyes / 8))
    config.train.update({"batch_size": 8, "epochs": max(1, round(options.steps / steps_per_epoch))})
    config.eval.every_epochs = config.train.epochs  # the last network is measured, not the best one
    return config


def _make_eyes(folder: Path, count: int, changes: dict[str, Any]) -> None:
    """Write synthetic eyes to {train,val}/{images,masks}, with the same seeds for all changes."""
    if folder.is_dir():
        if (found := len(list((folder / "train/images").iterdir()))) != count:
            raise UserError(f"{folder} has {found} eyes, not --eyes={count}; give another --out.")
        return
    partial_folder = folder.with_name("making")
    shutil.rmtree(partial_folder, ignore_errors=True)  # from a stopped run
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (partial_folder / split / kind).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(cores()) as pool:
        jobs = [("train", n) for n in range(count)] + [("val", n) for n in range(8)]
        list(pool.map(partial(_write_eye, partial_folder, changes), jobs))
    partial_folder.rename(folder)


def _write_eye(folder: Path, changes: dict[str, Any], job: tuple[str, int]) -> None:
    split, number = job
    seed = (0, int(split == "val"), number)
    field = float(np.exp(np.random.default_rng((*seed, 1)).uniform(*np.log(_FIELDS_MM))))
    drawn = EyeParameters(size=400, field_mm=round(field, 3))
    eye = synthesize_eye(seed, dataclasses.replace(drawn, **changes))
    mask = np.zeros(eye.image.shape, np.uint8)
    mask[eye.faz], mask[eye.rv] = FAZ_VALUE, RV_VALUE
    for kind, pixels in (("images", eye.image), ("masks", mask)):
        Image.fromarray(pixels).save(folder / split / kind / f"{number:04d}.png")


if __name__ == "__main__":
    leave(run_program(main))
