"""A fixed set of synthetic eyes on disk: made on first use, read ever after."""

import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from s2a_jax.data.synthesis import Eye, EyeParameters, synthesize_eye
from s2a_jax.data.synthesis.stream import EyesAhead, Recipe
from s2a_jax.data.synthetic_slabs import SYNTHETIC_SLABS, eye_image
from s2a_jax.errors import UserError
from s2a_jax.inputs.images import FAZ_VALUE, RV_VALUE

VERSION = 5
"""Of the generator: raised whenever the eyes of a seed change, so that no old cache is read."""

_FEW = 8  # eyes that are made faster than processes start


def synthetic_folder(
    root: str | Path,
    size: int,
    seed: int,
    counts: dict[str, int],
    field_mm: tuple[float, float] = (3.0, 3.0),
    slabs: bool = False,
) -> Path:
    """The folder of a synthetic set; makes the set if it is not there yet.

    It has the layout {train,val,test}/{images,masks}, masks of 0, 100 (FAZ) and 255 (vessel), and
    appears only when it is complete. An eye depends on the seed, its split and its number alone.

    Args:
        root: folder of all synthetic sets.
        size: side in pixels.
        seed: of the set.
        counts: {"train", "val", "test"} -> number of eyes.
        field_mm: smallest and largest side of the field of view, mm; each eye's logarithm is
            drawn uniformly, so that one set can hold the pixel pitches of several devices.
        slabs: instead of the superficial slab in `images`, every one in `images/<slab>`.

    Raises:
        UserError: the folder cannot be written.
    """
    name = "-".join(f"{split}{n}" for split, n in counts.items())
    field = "-".join(f"{side:g}" for side in dict.fromkeys(field_mm))
    folder = (
        Path(root).absolute() / f"v{VERSION}-{size}px-{field}mm-seed{seed}-{name}{'-slabs' * slabs}"
    )
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial_folder = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    except OSError as error:
        raise UserError(f"Cannot write synthetic eyes below {root}: {error}.") from error
    try:
        names = [(split, number) for split in counts for number in range(counts[split])]
        codes = {split: code for code, split in enumerate(counts)}
        recipes = [eye_recipe(seed, size, field_mm, (codes[s], number)) for s, number in names]
        kinds = [f"images/{slab}" for slab in SYNTHETIC_SLABS] if slabs else ["images"]
        for split in counts:
            for kind in (*kinds, "masks"):
                (partial_folder / split / kind).mkdir(parents=True)
        with contextlib.closing(_make(recipes)) as eyes:
            for (split, number), eye in zip(names, eyes, strict=True):
                _write_eye(partial_folder / split, f"{split}{number:04d}.png", eye, slabs)
        partial_folder.rename(folder)
    except BaseException as error:
        shutil.rmtree(partial_folder, ignore_errors=True)
        if folder.is_dir():  # another process was faster
            return folder
        if isinstance(error, OSError):
            raise UserError(f"Cannot write synthetic eyes below {root}: {error}.") from error
        raise
    return folder


def eye_recipe(
    seed: int, size: int, field_mm: tuple[float, float], which: tuple[int, ...]
) -> Recipe:
    """What `synthesize_eye` makes an eye of a set of.

    Args:
        seed, size, field_mm: of the set; see `synthetic_folder`.
        which: position of the eye's split (0: train), its number there, and for an eye that is no
            part of the fixed set further numbers > 0.
    """
    split, number, *more = which
    draw = np.random.default_rng((seed, split, number, 1, *more)).uniform(*np.log(field_mm))
    parameters = EyeParameters(size=size, field_mm=round(float(np.exp(draw)), 3))
    return (seed, *which), parameters


def _write_eye(folder: Path, name: str, eye: Eye, slabs: bool) -> None:
    mask = np.zeros(eye.image.shape, np.uint8)
    mask[eye.faz], mask[eye.rv] = FAZ_VALUE, RV_VALUE
    if slabs:
        for slab in SYNTHETIC_SLABS:
            Image.fromarray(eye_image(eye, [slab])).save(folder / "images" / slab / name)
    else:
        Image.fromarray(eye.image).save(folder / "images" / name)
    Image.fromarray(mask).save(folder / "masks" / name)


def _make(recipes: Sequence[Recipe]) -> Iterator[Eye]:
    """The eyes, made on all cores, with a bar and the time left."""
    console = Console(stderr=True)
    shown = track(
        recipes, description="Making synthetic eyes", console=console,
        disable=not console.is_terminal,
    )  # fmt: skip
    if len(recipes) <= _FEW:
        yield from itertools.starmap(synthesize_eye, shown)
        return
    with EyesAhead(recipes) as eyes:
        for _ in shown:
            yield next(eyes)
