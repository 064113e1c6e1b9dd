"""What the files of one eye hold: image, masks, pitch and laterality, in square pixels."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import read_picture
from s2a_jax.inputs.masks import binary_mask, class_mask, combined_mask, resize_mask
from s2a_jax.inputs.notes import Note
from s2a_jax.inputs.picture import Picture, Place
from s2a_jax.inputs.pitch import is_square
from s2a_jax.inputs.slabs import join_slabs, resize_slabs

_ASPECT = 8  # scanners that skip rows reach 4
_DARK = 0.4  # images whose values all lie below this, or above, were probably stored in other units


@dataclass(frozen=True, eq=False)
class Contents:
    """What the files of one eye hold, in square pixels.

    Attributes:
        image: float32 in [0, 1], [H, W], or [H, W, C] with C > 1 slabs; None without a file.
        rv: bool [H, W], vessels; None without a mask.
        faz: bool [H, W], foveal avascular zone; None without a mask.
        um_per_px: pixel pitch, um; None if no file states it.
        pitch_kind: kind of the file that states it, such as "DICOM"; "" if none does.
        laterality: "OD", "OS", or None if no file states it.
        place: where the image lies in its (first) file, before its pixels became square; None
            without an image.
        notes: what reading had to change or choose.
    """

    image: np.ndarray | None
    rv: np.ndarray | None
    faz: np.ndarray | None
    um_per_px: float | None
    pitch_kind: str
    laterality: str | None
    place: Place | None
    notes: tuple[Note, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        arrays = (self.image, self.rv, self.faz)
        return next(array.shape[:2] for array in arrays if array is not None)


def read_contents(
    images: Sequence[Path] = (),
    *,
    rv: Path | None = None,
    faz: Path | None = None,
    combined: Path | None = None,
    classes: Path | None = None,
    threshold: int | None = None,
    adjust: Callable[[Picture], Picture] | None = None,
) -> Contents:
    """Reads the files of one eye.

    Pixels that are not square are resampled to the shorter side of a pixel: images bilinearly, and
    masks so that half a pixel decides.

    Args:
        images: files of the slabs, in order.
        rv: vessel mask.
        faz: FAZ mask.
        combined: mask of both (0, 100 FAZ, 255 vessel).
        classes: mask of classes (see `class_mask`), for the structures without another mask.
        threshold: lowest value inside `rv` and `faz`; None: they hold two values only.
        adjust: a change of each decoded image, such as `quality.frame.crop_frame`.

    Raises:
        UserError: a file cannot be read or has unexpected values, files differ in size, or in the
            shape of their pixels.
    """
    named = {"combined": combined, "classes": classes, "rv": rv, "faz": faz}
    slabs = [read_picture(path) for path in images]
    if adjust is not None:
        slabs = [adjust(picture) for picture in slabs]
    pictures = {name: read_picture(path) for name, path in named.items() if path is not None}
    every = [*slabs, *pictures.values()]
    image = join_slabs(slabs) if slabs else None
    masks: dict[str, np.ndarray | None] = {"rv": None, "faz": None}
    for name, picture in pictures.items():
        masks |= _decoded(name, picture, threshold)
    _check_sizes(every)
    pitch = _agreed(every, lambda one: one.um_per_px, "pixel pitch (down, across) in um")
    aspect = _agreed(
        every, lambda one: one.aspect and (one.aspect,), "height over width of a pixel"
    )
    laterality = _agreed(every, lambda one: one.laterality, "laterality")
    um_per_px = math.sqrt(math.prod(pitch.um_per_px)) if pitch else None  # keeps areas
    notes = [Note(picture.path, text) for picture in every for text in picture.notes]
    if slabs and (low := float(image.min())) < (high := float(image.max())):
        if low > _DARK or high < _DARK:
            text = f"its values use only {low:.2g} to {high:.2g} of their range"
            notes.append(Note(slabs[0].path, text))
    if aspect is not None and not is_square(aspect.aspect):
        height, width = aspect.pixels.shape[:2]
        size = _square_size(aspect)
        image = None if image is None else resize_slabs(image, size)
        masks = {k: None if v is None else resize_mask(v, size) for k, v in masks.items()}
        if um_per_px is not None:
            um_per_px *= math.sqrt(height * width / math.prod(size))
        notes.append(
            Note(
                aspect.path,
                f"pixels {aspect.aspect:.4g} times as high as wide were resampled to square ones, "
                f"{width}x{height} to {size[1]}x{size[0]} (width x height)",
            )
        )
    return Contents(
        image,
        masks["rv"],
        masks["faz"],
        um_per_px,
        pitch.kind if pitch else "",
        laterality.laterality if laterality else None,
        slabs[0].place if slabs else None,
        tuple(notes),
    )


def _decoded(name: str, picture: Picture, threshold: int | None) -> dict[str, np.ndarray]:
    """The masks in one picture, by task."""
    if name == "combined":
        return dict(zip(("rv", "faz"), combined_mask(picture), strict=True))
    if name == "classes":
        return dict(zip(("rv", "faz"), class_mask(picture), strict=True))
    return {name: binary_mask(picture, threshold)}


def _agreed(
    pictures: Sequence[Picture], value: Callable[[Picture], Any], what: str
) -> Picture | None:
    """The first picture whose file states a value; None if none does.

    Raises:
        UserError: another file states a value that differs by more than 1 %.
    """
    stating = [picture for picture in pictures if value(picture) is not None]
    for other in stating[1:]:
        first, second = value(stating[0]), value(other)
        is_same = first == second
        if not is_same and not isinstance(first, str):
            is_same = all(is_square(a / b) for a, b in zip(first, second, strict=True))
        if not is_same:
            raise UserError(
                f"{stating[0].path} and {other.path} belong to one eye, but differ in {what}: "
                f"{_shown(first)} and {_shown(second)}; correct the wrong one."
            )
    return stating[0] if stating else None


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(f"{part:.4g}" for part in value)


def _square_size(picture: Picture) -> tuple[int, int]:
    """Height and width after resampling to the shorter side of a pixel."""
    (height, width), aspect = picture.pixels.shape[:2], picture.aspect
    if not 1 / _ASPECT <= aspect <= _ASPECT:
        raise UserError(
            f"{picture.path} says that its pixels are {aspect:.4g} times as high as wide; "
            f"expected at most {_ASPECT} times either way: correct its resolution."
        )
    if aspect > 1:
        return round(height * aspect), width
    return height, round(width / aspect)


def _check_sizes(pictures: Sequence[Picture]) -> None:
    """Raises a UserError unless all files of one eye have one size."""
    first, *others = pictures
    for other in others:
        if other.pixels.shape[:2] != first.pixels.shape[:2]:
            size, first_size = (
                f"{one.pixels.shape[1]}x{one.pixels.shape[0]}" for one in (other, first)
            )
            raise UserError(
                f"{other.path} is {size} pixels but {first.path} is {first_size} (width x height); "
                "image and masks of one eye must have one size."
            )
