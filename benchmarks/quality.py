"""False alarms and misses of `s2a_jax.quality`, on generated and real images.

    python -m benchmarks.quality --good DIR ... --kind noise=DIR ... --faz IMAGES:MASKS

Segments images of each kind with the shipped network and counts their levels and reasons: every
level but "good" is a false alarm for eyes, and "good" is a miss for everything else. The limits of
`s2a_jax/quality/assess.py` were set on the first half (every second file of a folder, and one seed
of generated images); by default the table is that of the second half. With --faz it also gives the
Dice of the FAZ with and without a reason to doubt it (or the whole image).
"""

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks import quality_images
from benchmarks.command_line import parser, positive
from s2a_jax.errors import UserError
from s2a_jax.inference.masks import masks_of
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.contents import read_contents
from s2a_jax.inputs.images import read_image
from s2a_jax.inputs.names import images_in
from s2a_jax.inputs.picture import Picture
from s2a_jax.quality.assess import FAZ_OFF_CENTRE, FAZ_PIECES, FAZ_UNSURE, NO_FAZ, Quality, assess
from s2a_jax.quality.frame import crop_frame
from s2a_jax.signals import leave, run_program

_TRAINED_UM = (6.5, 15.75)
_HALVES = {"first": 0, "second": 1}
_FAZ_REASONS = {NO_FAZ, FAZ_PIECES, FAZ_OFF_CENTRE, FAZ_UNSURE}


def main() -> None:
    """Print the tables."""
    flags = parser("benchmarks.quality", __doc__)
    flags.add_argument(
        "--good", type=Path, nargs="*", default=[], metavar="DIR", help="folders of good images"
    )
    flags.add_argument(
        "--kind",
        type=_named,
        nargs="*",
        default=[],
        metavar="NAME=DIR",
        help="folders of images of another kind",
    )
    flags.add_argument(
        "--faz",
        type=_pair,
        nargs="*",
        default=[],
        metavar="IMAGES:MASKS",
        help="folders of images and of FAZ masks with the same names",
    )
    flags.add_argument("--images", type=positive, default=40, help="images a folder; default 40")
    flags.add_argument("--made", type=positive, default=24, help="made a kind; default 24")
    flags.add_argument(
        "--half", choices=tuple(_HALVES), default="second", help="of the images; default second"
    )
    options = flags.parse_args()
    folders = [*options.good, *(path for _, path in options.kind)]
    for folder in [*folders, *(path for pair in options.faz for path in pair)]:
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder; name one with images.")
    half, count, made = _HALVES[options.half], options.images, options.made
    model = Segmenter.load_from_checkpoint("sim_to_real")
    print(f"{'kind':32s} {'n':>4s} {'good':>5s} {'doubtful':>9s} {'unusable':>9s}  reasons")
    for folder in options.good:
        _print(f"good: {folder.name}", (_assessed(model, i) for i in _files(folder, half, count)))
    for kind, make in quality_images.KINDS.items():
        rng = np.random.default_rng((half, 18))
        _print(kind, (_assessed(model, make(rng)) for _ in range(made)))
    for name, folder in options.kind:
        _print(f"{name}: {folder.name}", (_assessed(model, i) for i in _files(folder, half, count)))
    _print_frames(made, half)
    for images, masks in options.faz:
        _print_faz(model, images, masks)


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise argparse.ArgumentTypeError(f"{text}: expected NAME=DIR")
    return name, Path(path)


def _pair(text: str) -> tuple[Path, Path]:
    images, colon, masks = text.partition(":")
    if not colon or not images or not masks:
        raise argparse.ArgumentTypeError(f"{text}: expected IMAGES:MASKS")
    return Path(images), Path(masks)


def _files(folder: Path, half: int, count: int) -> Iterable[np.ndarray]:
    """Up to `count` images of one half of a folder, spread over it."""
    paths = list(images_in(folder).values())[half::2]
    picked = np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)
    return (read_image(paths[i]) for i in picked)


def _assessed(model: Segmenter, image: np.ndarray) -> Quality:
    return assess(image, model.predict_proba(image), None, _TRAINED_UM)


def _print(name: str, found: Iterable[Quality]) -> None:
    found = list(found)
    levels = Counter(one.level for one in found)
    reasons = Counter(reason.name for one in found for reason in one.reasons)
    named = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
    numbers = f"{levels['good']:5d} {levels['doubtful']:9d} {levels['unusable']:9d}"
    print(f"{name:32s} {len(found):4d} {numbers}  {named}", flush=True)


def _print_frames(count: int, half: int) -> None:
    rng = np.random.default_rng((half, 19))
    single, multiple, plain, largest = Counter(), Counter(), Counter(), 0
    for _ in range(count):
        pixels, truth = quality_images.screenshot(rng)
        kept = _cropped(pixels)
        is_exact = kept is not None and np.array_equal(kept, pixels[truth])
        single["exact" if is_exact else _outcome(pixels, kept)] += 1
        if kept is not None and not is_exact:
            sides = zip(kept.shape[:2], pixels[truth].shape[:2], strict=True)
            largest = max(largest, *(abs(found - side) for found, side in sides))
        pixels = quality_images.several(rng)
        multiple[_outcome(pixels, _cropped(pixels))] += 1
        pixels = np.rint(255 * quality_images.eye(rng)).astype(np.uint8)
        plain[_outcome(pixels, _cropped(pixels))] += 1
    print(f"\nscreenshots of one eye: {dict(single)}; largest error of a side {largest} px")
    print(f"reports with several pictures: {dict(multiple)}")
    print(f"eyes without a frame: {dict(plain)}")


def _cropped(pixels: np.ndarray) -> np.ndarray | None:
    """The pixels that are left; None if refused."""
    try:
        return crop_frame(Picture(Path("screenshot.png"), pixels, 255, "PNG")).pixels
    except UserError:
        return None


def _outcome(pixels: np.ndarray, kept: np.ndarray | None) -> str:
    if kept is None:
        return "refused"
    return "unchanged" if kept.shape == pixels.shape else "cropped"


def _print_faz(model: Segmenter, images: Path, masks: Path) -> None:
    """Dice of the FAZ with and without a reason that doubts it, of all images."""
    truths = images_in(masks)
    scores = {"without a doubt": [], "with a doubt": []}
    for name, path in images_in(images).items():
        if name not in truths:
            continue
        contents = read_contents([path], faz=truths[name])
        truth = contents.faz
        probability = model.predict_proba(contents.image)
        quality = assess(contents.image, probability, None)
        has_reason = bool(_FAZ_REASONS & {reason.name for reason in quality.reasons})
        is_doubted = has_reason or quality.level == "unusable"
        mask = masks_of(probability, 0.5).masks["faz"]
        dice = 2 * np.count_nonzero(mask & truth) / max(1, mask.sum() + truth.sum())
        scores["with a doubt" if is_doubted else "without a doubt"].append(dice)
    for name, values in scores.items():
        spread = f"{np.mean(values):.3f}, lowest {min(values):.3f}" if values else "-"
        print(f"FAZ of {images.parent.name} {name}: {len(values)} images, mean Dice {spread}")


if __name__ == "__main__":
    leave(run_program(main))
