"""What the files of one eye hold: image, masks, pitch and laterality, in square pixels."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import read_picture
from s2a_jax.inputs.masks import binary_mask, class_mask, combined_mask, resize_mask
from s2a_jax.inputs.notes import Note
from s2a_jax.inputs.picture import Picture
from s2a_jax.inputs.pitch import is_square
from s2a_jax.inputs.slabs import join_slabs, resize_slabs

_ASPECT = 8  # scanners that skip rows reach 4


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
        notes: what reading had to change or choose.
    """

    image: np.ndarray | None
    rv: np.ndarray | None
    faz: np.ndarray | None
    um_per_px: float | None
    pitch_kind: str
    laterality: str | None
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

    Raises:
        UserError: a file cannot be read or has unexpected values, files differ in size, or in the
            shape of their pixels.
    """
    pictures = [read_picture(path) for path in images]
    image = join_slabs(pictures) if pictures else None
    masks: dict[str, np.ndarray | None] = {"rv": None, "faz": None}

    def read_mask(path: Path, decode: Callable[[Picture], tuple], names: tuple[str, ...]) -> None:
        picture = read_picture(path)
        decoded = decode(picture)
        if image is not None:
            _check_size(picture, decoded[0], pictures[0])
        pictures.append(picture)
        masks.update(zip(names, decoded, strict=True))

    if combined is not None:
        read_mask(combined, combined_mask, ("rv", "faz"))
    if classes is not None:
        read_mask(classes, class_mask, ("rv", "faz"))
    if rv is not None:
        read_mask(rv, lambda picture: (binary_mask(picture, threshold),), ("rv",))
    if faz is not None:
        read_mask(faz, lambda picture: (binary_mask(picture, threshold),), ("faz",))

    source = next((picture for picture in pictures if picture.um_per_px), None)
    pitch = math.sqrt(math.prod(source.um_per_px)) if source else None  # keeps areas
    notes = [Note(picture.path, text) for picture in pictures for text in picture.notes]
    shaped = _not_square(pictures)
    if shaped is not None:
        height, width = shaped.pixels.shape[:2]
        size = _square_size((height, width), shaped.aspect)
        image = None if image is None else resize_slabs(image, size)
        masks = {k: None if v is None else resize_mask(v, size) for k, v in masks.items()}
        if source:
            pitch *= math.sqrt(height * width / (size[0] * size[1]))
        notes.append(
            Note(
                shaped.path,
                f"pixels {shaped.aspect:.4g} times as high as wide were resampled to square ones, "
                f"{width}x{height} to {size[1]}x{size[0]} (width x height)",
            )
        )
    laterality = next((one.laterality for one in pictures if one.laterality), None)
    kind = source.kind if source else ""
    return Contents(image, masks["rv"], masks["faz"], pitch, kind, laterality, tuple(notes))


def _not_square(pictures: Sequence[Picture]) -> Picture | None:
    """The picture that states the shape of pixels that are not square; None if they are square."""
    shaped = [picture for picture in pictures if not is_square(picture.aspect)]
    if not shaped:
        return None
    first = shaped[0]
    if not 1 / _ASPECT <= first.aspect <= _ASPECT:
        raise UserError(
            f"{first.path} says that its pixels are {first.aspect:.4g} times as high as wide; "
            f"expected at most {_ASPECT} times either way: correct its resolution."
        )
    for other in shaped[1:]:
        if not is_square(other.aspect / first.aspect):
            raise UserError(
                f"The pixels of {other.path} are {other.aspect:.4g} times as high as wide, those "
                f"of {first.path} {first.aspect:.4g} times; correct the wrong one."
            )
    return first


def _square_size(size: tuple[int, int], aspect: float) -> tuple[int, int]:
    """Height and width after resampling to the shorter side of a pixel."""
    height, width = size
    if aspect > 1:
        return round(height * aspect), width
    return height, round(width / aspect)


def _check_size(mask: Picture, pixels: np.ndarray, image: Picture) -> None:
    if pixels.shape != image.pixels.shape[:2]:
        mask_size, image_size = (
            f"{one.pixels.shape[1]}x{one.pixels.shape[0]}" for one in (mask, image)
        )
        raise UserError(
            f"The mask {mask.path} is {mask_size} pixels but its image {image.path} is "
            f"{image_size} (width x height); a mask must have the size of its image."
        )
