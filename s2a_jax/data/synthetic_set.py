"""A fixed set of synthetic eyes on disk: made on first use, read ever after."""

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from s2a_jax.data.images import FAZ_VALUE, RV_VALUE
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.errors import UserError

VERSION = 4
"""Of the generator: raised whenever the eyes of a seed change, so that no old cache is read."""

_FEW = 8  # eyes that are made faster than processes start


def synthetic_folder(
    root: str | Path,
    size: int,
    seed: int,
    counts: dict[str, int],
    field_mm: tuple[float, float] = (3.0, 3.0),
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

    Raises:
        UserError: the folder cannot be written.
    """
    name = "-".join(f"{split}{n}" for split, n in counts.items())
    field = "-".join(f"{side:g}" for side in dict.fromkeys(field_mm))
    folder = Path(root).absolute() / f"v{VERSION}-{size}px-{field}mm-seed{seed}-{name}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial_folder = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    except OSError as error:
        raise UserError(f"Cannot write synthetic eyes below {root}: {error}.") from error
    try:
        jobs = [
            (partial_folder / split, split, code, number)
            for code, split in enumerate(counts)
            for number in range(counts[split])
        ]
        for split in counts:
            for kind in ("images", "masks"):
                (partial_folder / split / kind).mkdir(parents=True)
        for _ in _map(partial(_write_eye, seed, size, field_mm), jobs):
            pass
        partial_folder.rename(folder)
    except BaseException:
        shutil.rmtree(partial_folder, ignore_errors=True)
        if folder.is_dir():  # another process was faster
            return folder
        raise
    return folder


def eye_recipe(
    seed: int, size: int, field_mm: tuple[float, float], which: tuple[int, ...]
) -> tuple[tuple[int, ...], EyeParameters]:
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


def _write_eye(
    seed: int, size: int, field_mm: tuple[float, float], job: tuple[Path, str, int, int]
) -> None:
    folder, split, code, number = job
    eye = synthesize_eye(*eye_recipe(seed, size, field_mm, (code, number)))
    mask = np.zeros(eye.image.shape, np.uint8)
    mask[eye.faz], mask[eye.rv] = FAZ_VALUE, RV_VALUE
    name = f"{split}{number:04d}.png"
    Image.fromarray(eye.image).save(folder / "images" / name)
    Image.fromarray(mask).save(folder / "masks" / name)


def _map(function: partial, jobs: list) -> Iterator[None]:
    """Runs the jobs on all cores, with a bar and the time left."""
    console = Console(stderr=True)
    show = partial(
        track, total=len(jobs), description="Making synthetic eyes", console=console,
        disable=not console.is_terminal,
    )  # fmt: skip
    if len(jobs) <= _FEW:
        yield from show(map(function, jobs))
        return
    # Fresh processes: a fork of one in which JAX runs its threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        yield from show(pool.map(function, jobs, chunksize=2))
