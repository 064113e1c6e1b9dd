"""Weights of the pitch estimate from synthetic eyes, and its error on these and on real images.

    python -m benchmarks.pitch_calibration --real NAME=DIR:FIELD_MM ...

Renders eyes with fields of view of 2.4 to 6.4 mm at 192 to 1024 px, segments them at these sizes
with the shipped network, and fits the logarithm of the pitch by least squares on every second eye.
The rest, and real images at several sizes, give the error: the mean and the standard deviation of
log(estimate / truth), and the share of estimates within a factor of 1.5.
"""

import argparse
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.command_line import parser, positive
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.errors import UserError
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.images import read_image, resize_image, to_unit_float
from s2a_jax.inputs.names import images_in
from s2a_jax.quality.pitch_estimate import pitch_measures
from s2a_jax.signals import leave, run_program

_SIZES = (192, 256, 304, 400, 512, 768, 1024)
_SHARES = (0.12, 0.16, 0.2, 0.2, 0.16, 0.09, 0.07)
_FIELDS_MM = (2.4, 6.4)
_SCALES = (0.6, 1.0, 1.6, 2.5)  # of real images


class Folder(NamedTuple):
    """Real images: their name in the table, where they are, and their field of view in mm."""

    name: str
    path: Path
    field_mm: float


def main() -> None:
    """Measure, fit and print."""
    flags = parser("benchmarks.pitch_calibration", __doc__)
    flags.add_argument("--eyes", type=positive, default=140, help="synthetic eyes; default 140")
    add_folders(flags, count=12)
    options = flags.parse_args()
    check_folders(options.real)
    model = Segmenter.load_from_checkpoint("sim_to_real")
    pitch, measures = _synthetic(model, options.eyes)
    weights, *_ = np.linalg.lstsq(_design(measures[::2]), np.log(pitch[::2]), rcond=None)
    print("weights:", ", ".join(f"{w:.3f}" for w in weights))
    print(f"{'images':24s} {'n':>4s} {'mean':>7s} {'sd':>6s} {'within 1.5':>11s}")
    _print_errors("synthetic, not fitted", measures[1::2], pitch[1::2], weights)
    for folder in options.real:
        for scale, (pitch, measures) in _real(model, folder, options.count).items():
            _print_errors(f"{folder.name} x {scale:g}", measures, pitch, weights)


def add_folders(flags: argparse.ArgumentParser, count: int) -> None:
    """Adds the flags --real, folders of real images, and --count, images of each to take."""
    flags.add_argument(
        "--real",
        type=_folder,
        nargs="*",
        default=[],
        metavar="NAME=DIR:FIELD_MM",
        help="folders of square superficial slabs with their field of view in mm",
    )
    text = f"images a folder; default {count}"
    flags.add_argument("--count", type=positive, default=count, help=text)


def check_folders(folders: Iterable[Folder]) -> None:
    """Raises a UserError for the first one that is no folder."""
    for folder in folders:
        if not folder.path.is_dir():
            raise UserError(f"--real {folder.name}: {folder.path} is no folder; name one.")


def _folder(text: str) -> Folder:
    name, equals, rest = text.partition("=")
    path, colon, field = rest.rpartition(":")
    try:
        field_mm = float(field)
    except ValueError:
        field_mm = 0.0
    if not equals or not colon or not name or field_mm <= 0:
        raise argparse.ArgumentTypeError(f"{text}: expected NAME=DIR:FIELD_MM")
    return Folder(name, Path(path), field_mm)


def _synthetic(model: Segmenter, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pitches [N] in um, and measures [N, 3]."""
    rng = np.random.default_rng(7)
    rows = []
    for i in range(count):
        field_mm, size = rng.uniform(*_FIELDS_MM), int(rng.choice(_SIZES, p=_SHARES))
        eye = synthesize_eye((77, i), EyeParameters(size=size, field_mm=field_mm))
        rows.append((1000 * field_mm / size, _measures(model, to_unit_float(eye.image))))
    return _arrays(rows)


def _real(model: Segmenter, folder: Folder, count: int) -> dict[float, tuple]:
    """Scale -> pitches [N] in um, and measures [N, 3]."""
    images = some_images(folder, count)
    found = {}
    for scale in _SCALES:
        rows = []
        for image in images:
            side = round(scale * len(image))
            shown = image if scale == 1 else resize_image(image, (side, side))
            rows.append((1000 * folder.field_mm / side, _measures(model, shown)))
        found[scale] = _arrays(rows)
    return found


def some_images(folder: Folder, count: int) -> list[np.ndarray]:
    """Up to `count` images, float [H, W], spread over the folder."""
    paths = list(images_in(folder.path).values())
    return [read_image(path) for path in paths[:: max(1, len(paths) // count)][:count]]


def _measures(model: Segmenter, image: np.ndarray) -> tuple[float, float, float] | None:
    return pitch_measures(image, model.predict_proba(image)["rv"])


def _arrays(rows: list) -> tuple[np.ndarray, np.ndarray]:
    kept = [row for row in rows if row[1] is not None]
    return np.array([pitch for pitch, _ in kept]), np.array([found for _, found in kept])


def _design(measures: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(measures)), np.log(measures)])


def _print_errors(name: str, measures: np.ndarray, pitch: np.ndarray, weights: np.ndarray) -> None:
    if not len(pitch):
        print(f"{name:24s} {0:4d}")
        return
    errors = _design(measures) @ weights - np.log(pitch)
    within = (np.abs(errors) <= math.log(1.5)).mean()
    print(
        f"{name:24s} {len(pitch):4d} {errors.mean():7.2f} {errors.std():6.2f} {within:11.0%}",
        flush=True,
    )


if __name__ == "__main__":
    leave(run_program(main))
