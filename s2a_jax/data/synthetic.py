"""Synthetic eyes as a data set: made on first use, kept in a folder, read from there later."""

import contextlib
import itertools
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import track

from s2a_jax.console import make_console
from s2a_jax.data.entry import DataSet, Pitch, Subset, unknown_pitch
from s2a_jax.data.layouts import OURS, list_slabs
from s2a_jax.data.pairing import Listing
from s2a_jax.data.splits import SPLITS, TRAINING, Wanted
from s2a_jax.data.synthesis import Eye, EyeParameters, synthesize_eye
from s2a_jax.data.synthesis.stream import EyesAhead, Recipe
from s2a_jax.errors import UserError
from s2a_jax.files import full_path, writing
from s2a_jax.inputs.masks import FAZ_VALUE, RV_VALUE
from s2a_jax.inputs.slabs import slab_names

VERSION = 7
"""Version of the generator; it changes with the eyes of a seed, so that no older set is read."""

FIELD_MM = (2.0, 6.5)
"""Allowed fields of view, mm: vessels grow on a square of 6.5 mm."""

SYNTHETIC_SLABS = ("superficial", "deep", "whole")

_SIZES = (64, 2048)  # px
_MOST = 1_000_000  # eyes of a split
_FEW = 8  # eyes that are made faster than processes start
_SET_NAME = re.compile(rf"v{VERSION}-\d+px-([\d.]+)(?:-([\d.]+))?mm-seed(\d+)-")
_EYE_NAME = re.compile(rf"({'|'.join(SPLITS)})(\d+)")


def check_eyes(
    section: Mapping[str, Any],
    size: int,
    splits: Sequence[str] = SPLITS,
    slabs: Sequence[str] = (),
) -> None:
    """Raises a UserError unless eyes can be made.

    Args:
        section: `config.data.synthetic`.
        size: side of the images in pixels.
        splits: the splits that are made.
        slabs: names of the slabs; (): the superficial one.
    """
    field = section["field_mm"]
    if len(field) != 2 or not all(isinstance(side, int | float) for side in field):
        raise UserError(
            f"config.data.synthetic.field_mm={field}: expected two numbers of mm, such as (3, 3)."
        )
    low, high = field
    least_mm, most_mm = FIELD_MM
    least_px, most_px = _SIZES
    field_is_good = least_mm <= low <= high <= most_mm
    share, is_plain_set = section["deep_share"], tuple(slabs) in ((), SYNTHETIC_SLABS[:1])
    share_is_good = 0 <= share <= 1 if is_plain_set else share == 0
    checks = [
        ("size", size, least_px <= size <= most_px, f"{least_px} to {most_px} pixels"),
        ("synthetic.seed", section["seed"], 0 <= section["seed"] < 2**64, "0 to 2^64 - 1"),
        ("synthetic.field_mm", f"{low:g} {high:g}", field_is_good,
         f"{least_mm:g} to {most_mm:g} mm, the smaller first"),
        ("synthetic.deep_share", share, share_is_good,
         "a share in [0, 1], and 0 unless the slab is the superficial one alone"),
    ]  # fmt: skip
    for split in splits:
        least = 0 if split == "test" else 1
        count = section[split]
        is_good = least <= count <= _MOST
        checks.append((f"synthetic.{split}", count, is_good, f"{least} to {_MOST:,}"))
    for field, value, is_good, expected in checks:
        if not is_good:
            raise UserError(f"config.data.{field}={value}: expected {expected}.")


def make_set(section: Mapping[str, Any], size: int, slab: str | None = None) -> Path:
    """Returns the folder of a set of synthetic eyes; makes the set if it is not there yet.

    The folder has the layout {train,val,test}/{images,masks}, masks of 0, 100 (FAZ) and 255
    (vessel), and appears only when it is complete. An eye depends on the seed, its split and its
    number alone.

    Args:
        section: `config.data.synthetic`. The logarithm of each eye's field of view is drawn
            uniformly from `field_mm`, so that one set can hold the pixel pitches of several
            devices. With `stream`, training eyes are made elsewhere and the set has one. Those that
            `is_deep` chooses have a mask of the FAZ alone, `<stem>_faz.png`.
        size: side in pixels.
        slab: names of the slabs. Unless it is the superficial one alone, the set holds every slab,
            in `images/<slab>`.

    Raises:
        UserError: a field is out of its range, or the folder cannot be written.
    """
    check_eyes(section, size, SPLITS[1:] if section["stream"] else SPLITS, slab_names(slab))
    counts = {split: section[split] for split in SPLITS}
    if section["stream"]:
        counts["train"] = 1
    seed, field_mm, several = section["seed"], tuple(section["field_mm"]), not is_plain(slab)
    sides = (np.format_float_positional(float(side), trim="-") for side in dict.fromkeys(field_mm))
    numbers = "-".join(f"{split}{count}" for split, count in counts.items())
    share = 0.0 if section["stream"] else section["deep_share"]
    kind = "-slabs" if several else f"-deep{np.format_float_positional(share)}" if share else ""
    name = f"v{VERSION}-{size}px-{'-'.join(sides)}mm-seed{seed}-{numbers}{kind}"
    folder = full_path(section["root"]) / name
    if folder.is_dir():
        return folder
    what = f"synthetic eyes below {folder.parent}"
    with writing(what):
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Not by `mkdtemp`, whose folders nobody else may read: users of a machine can share a set.
        partial_folder = folder.parent / f".making-{secrets.token_hex(8)}"
        partial_folder.mkdir()
    try:
        names = [(split, number) for split in counts for number in range(counts[split])]
        recipes = [eye_recipe(seed, size, field_mm, (SPLITS.index(s), n)) for s, n in names]
        kinds = [f"images/{slab}" for slab in SYNTHETIC_SLABS] if several else ["images"]
        for split in counts:
            for kind in (*kinds, "masks"):
                (partial_folder / split / kind).mkdir(parents=True)
        with contextlib.closing(_make(recipes)) as eyes:
            for (split, number), eye in zip(names, eyes, strict=True):
                home, stem = partial_folder / split, f"{split}{number:04d}"
                if is_deep(seed, (SPLITS.index(split), number), share):
                    _write_deep(home, stem, eye)
                else:
                    _write_eye(home, f"{stem}.png", eye, several)
        try:
            partial_folder.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
            shutil.rmtree(partial_folder, ignore_errors=True)  # another process was faster
    except BaseException:
        shutil.rmtree(partial_folder, ignore_errors=True)
        with writing(what):
            raise
    return folder


def is_plain(slab: str | None) -> bool:
    """Whether `slab` chooses the superficial slab alone, the default."""
    return slab_names(slab) in ((), SYNTHETIC_SLABS[:1])


def list_synthetic(
    root: str | Path, subset: str | None, slab: str | None = None, wanted: Wanted = TRAINING
) -> Listing:
    """Lists the folder of a set that `make_set` made.

    Args:
        root: the set's folder.
        subset: None.
        slab: names of synthetic slabs with commas between; None: the superficial one.
        wanted: the cases to list.

    Raises:
        UserError: a file is missing, or there are two for one image or mask.
    """
    names = SYNTHETIC.chosen_slabs(subset, slab)
    below = [""] if is_plain(slab) else [f"/{name}" for name in names]
    places = [(Path(root), replace(OURS, image=f"{OURS.image}{name}")) for name in below]
    return replace(list_slabs(places, wanted), layout=f"Synthetic eyes in {root}")


def set_pitch(folder: Path) -> Pitch:
    """The pitch of the eyes of a set, by the name that `make_set` gave its folder."""
    match = _SET_NAME.match(full_path(folder).name)
    if match is None:
        return unknown_pitch
    low, high, seed = match.groups()
    field_mm = (float(low), float(high or low))

    def pitch(id_: str, size: tuple[int, int]) -> float | None:
        name = _EYE_NAME.fullmatch(id_)
        height, width = (int(side) for side in size)
        if name is None or height != width:
            return None
        which = (SPLITS.index(name[1]), int(name[2]))
        return 1000 * eye_recipe(int(seed), height, field_mm, which)[1].field_mm / height

    return pitch


def eye_recipe(
    seed: int, size: int, field_mm: tuple[float, float], which: tuple[int, ...]
) -> Recipe:
    """The arguments of `synthesize_eye` for one eye.

    Args:
        seed: seed of the set.
        size: side in pixels.
        field_mm: smallest and largest side of the field of view, mm.
        which: position of the eye's split in `SPLITS`, its number there, and for an eye outside
            the fixed set further numbers > 0.
    """
    split, number, *more = which
    draw = np.random.default_rng((seed, split, number, 1, *more)).uniform(*np.log(field_mm))
    parameters = EyeParameters(size=size, field_mm=round(float(np.exp(draw)), 3))
    return (seed, *which), parameters


def is_deep(seed: int, which: tuple[int, ...], share: float) -> bool:
    """Whether an eye is shown as its deep slab alone, with the FAZ of the deep plexus.

    Such an eye has no vessels' mask, since that slab has no larger vessels of its own.

    Args:
        seed: seed of the set.
        which: as in `eye_recipe`; only training eyes are chosen.
        share: of the training eyes, in [0, 1].
    """
    split, number, *more = which
    return split == 0 and np.random.default_rng((seed, split, number, 2, *more)).random() < share


def eye_image(eye: Eye, slabs: Sequence[str]) -> np.ndarray:
    """The chosen slabs of an eye: uint8 [H, W] for one slab, [H, W, C] for C.

    `whole` is the brighter of the two plexuses at each pixel, as in a maximum projection.
    """
    images = {
        "superficial": eye.image,
        "deep": eye.deep,
        "whole": np.maximum(eye.image, eye.deep),
    }
    chosen = [images[slab] for slab in slabs]
    return chosen[0] if len(chosen) == 1 else np.stack(chosen, axis=-1)


def _write_eye(folder: Path, name: str, eye: Eye, several: bool) -> None:
    mask = np.zeros(eye.image.shape, np.uint8)
    mask[eye.faz], mask[eye.rv] = FAZ_VALUE, RV_VALUE
    if several:
        for slab in SYNTHETIC_SLABS:
            Image.fromarray(eye_image(eye, [slab])).save(folder / "images" / slab / name)
    else:
        Image.fromarray(eye.image).save(folder / "images" / name)
    Image.fromarray(mask).save(folder / "masks" / name)


def _write_deep(folder: Path, stem: str, eye: Eye) -> None:
    Image.fromarray(eye.deep).save(folder / "images" / f"{stem}.png")
    faz = np.where(eye.deep_faz, RV_VALUE, 0).astype(np.uint8)  # white in a mask of its own
    Image.fromarray(faz).save(folder / "masks" / f"{stem}_faz.png")


def _make(recipes: Sequence[Recipe]) -> Iterator[Eye]:
    """Makes the eyes on all cores; a terminal shows a bar with the time left."""
    console = make_console(stderr=True)
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


def _pitch(_: str | None, root: Path) -> Pitch:
    """The pitch of a set's folder, or of a prepared data set in a folder named after its set."""
    homes = (root, *full_path(root).parents)
    return set_pitch(next((home for home in homes if _SET_NAME.match(home.name)), root))


SYNTHETIC = DataSet(
    name="synthetic",
    about="generated eyes",
    list_cases=list_synthetic,
    subsets={None: Subset(slabs={slab: slab for slab in SYNTHETIC_SLABS})},
    pitch=_pitch,
    make=make_set,
)
