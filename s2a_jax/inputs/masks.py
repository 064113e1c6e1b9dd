"""Masks: from pictures to boolean arrays."""

from pathlib import Path

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import is_constant, resize_image
from s2a_jax.inputs.names import first_few
from s2a_jax.inputs.picture import Picture

RV_VALUE = 255  # vessels in a combined mask
FAZ_VALUE = 100  # foveal avascular zone in a combined mask
_ARTERY, _VEIN, _FAZ_CLASS = 2, 3, 4  # OCTA-500's GT_CAVF; 0 is background, 1 capillary


def grey_label(picture: Picture) -> np.ndarray:
    """Label values of a mask as they were saved.

    1-bit files give 0 and 255; a grey palette or grey RGB gives its grey.

    Returns:
        uint8 [H, W].

    Raises:
        UserError: the mask has colours, a shape in its alpha channel, or values that are not whole
            numbers from 0 to 255.
    """
    _check_alpha(picture)
    if _is_coloured(picture):
        raise UserError(
            f"The mask {picture.path} has the colours {_named(*_colours(picture.pixels))}, which "
            "do not say what they stand for; save it as an 8-bit greyscale PNG or BMP."
        )
    values = picture.pixels if picture.pixels.ndim == 2 else picture.pixels[..., 0]
    if values.dtype == bool:
        return values.astype(np.uint8) * np.uint8(255)
    white = picture.white
    is_deep = white > 255 and np.isin(values, (0, white)).all()  # black and white in 16 bits
    is_shallow = 0 < white < 255 and values.max() == white  # 2 or 4 bits that use their range
    if values.dtype.kind == "u" and (is_deep or is_shallow):
        values = values * (255 / white)
    # A range check first: it is also false for NaN, which cannot be cast.
    in_range = values.min() >= 0 and values.max() <= 255
    if not in_range or (values != values.astype(np.uint8)).any():
        raise UserError(
            f"The mask {picture.path} holds values from {values.min()} to {values.max()} where "
            "whole numbers from 0 to 255 are expected; save it as an 8-bit PNG or BMP."
        )
    return values.astype(np.uint8)


def binary_mask(picture: Picture, threshold: int | None = None) -> np.ndarray:
    """The mask of one structure: {0, 1}, {0, 255}, or black and one other colour.

    Args:
        picture: the mask's file.
        threshold: for masks with grey edges: pixels that reach this value are inside. A mask of 0
            and 1 is never thresholded.

    Returns:
        bool [H, W], true inside the structure.

    Raises:
        UserError: as for `grey_label`, or the mask has other values or colours.
    """
    _check_alpha(picture)
    if _is_coloured(picture):
        return _inside_colour(picture)
    label = grey_label(picture)
    if label.max() == 1:
        return label == 1
    if threshold is not None:
        return label >= threshold
    _check_values(label, (0, 255), picture.path, "only 0 and 255, or only 0 and 1")
    return label == 255


def combined_mask(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """A mask of both structures: 0 background, 100 FAZ, 255 vessel.

    Returns:
        rv: bool [H, W], true on vessels.
        faz: bool [H, W], true in the foveal avascular zone.

    Raises:
        UserError: as for `grey_label`; also for any other value.
    """
    label = grey_label(picture)
    rule = f"only 0 (background), {FAZ_VALUE} (FAZ) and {RV_VALUE} (vessel)"
    _check_values(label, (0, FAZ_VALUE, RV_VALUE), picture.path, rule)
    return label == RV_VALUE, label == FAZ_VALUE


def class_mask(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """A mask of classes, OCTA-500's GT_CAVF: 1 capillary, 2 artery, 3 vein, 4 FAZ.

    Returns:
        rv: bool [H, W], true on arteries and veins.
        faz: bool [H, W], true in the foveal avascular zone.

    Raises:
        UserError: as for `grey_label`; also for any other value, or if 2, 3 and 4 are all missing.
    """
    label = grey_label(picture)
    classes = "0 (background), 1 (capillary), 2 (artery), 3 (vein) and 4 (FAZ)"
    _check_values(label, (0, 1, _ARTERY, _VEIN, _FAZ_CLASS), picture.path, f"only {classes}")
    if label.max() < _ARTERY:  # a mask of something else would pass for an eye without vessels
        raise UserError(
            f"The mask {picture.path} holds no artery, vein or FAZ; expected the classes "
            f"{classes}: replace or remove it."
        )
    return (label == _ARTERY) | (label == _VEIN), label == _FAZ_CLASS


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes as `resize_image` does; a pixel is inside if at least half of it is covered.

    Args:
        mask: bool [H, W].
        size: the new (height, width) in pixels.

    Returns:
        bool [height, width].
    """
    return resize_image(mask, size) >= 0.5


def _check_values(label: np.ndarray, allowed: tuple[int, ...], path: Path, rule: str) -> None:
    unexpected = np.setdiff1d(label, allowed)
    if unexpected.size:
        listed = ", ".join(str(value) for value in unexpected[:5])
        more = f" and {unexpected.size - 5} others" if unexpected.size > 5 else ""
        raise UserError(
            f"The mask {path} holds the unexpected values {listed}{more}; it may hold {rule}. "
            "Save it without lossy compression or smoothing, as PNG or BMP."
        )


def _is_coloured(picture: Picture) -> bool:
    pixels = picture.pixels
    return pixels.ndim == 3 and bool((pixels != pixels[..., :1]).any())


def _inside_colour(picture: Picture) -> np.ndarray:
    """A mask in black and one other colour, whatever their order in a palette."""
    colours, counts = _colours(picture.pixels)
    if len(colours) != 2 or colours[0].any():  # sorted: black is first
        raise UserError(
            f"The mask {picture.path} has the colours {_named(colours, counts)}; expected black "
            "for the background and one other colour: save it as an 8-bit greyscale PNG or BMP."
        )
    return picture.pixels.any(axis=-1)


def _colours(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Different colours, [N, 3], and the number of pixels of each."""
    return np.unique(rgb.reshape(-1, 3), axis=0, return_counts=True)


def _named(colours: np.ndarray, counts: np.ndarray) -> str:
    """Colours and their shares, the most frequent first."""
    listed = [
        f"({', '.join(map(str, colours[i].tolist()))}) in {100 * counts[i] / counts.sum():.3g} %"
        for i in np.argsort(-counts, kind="stable")
    ]
    return first_few(listed)


def _check_alpha(picture: Picture) -> None:
    """Raises a UserError unless the colours alone hold the mask.

    What is transparent must be black, as the background is: then dropping the alpha channel gives
    what a viewer shows on black.
    """
    alpha, pixels = picture.alpha, picture.pixels
    if alpha is None or is_constant(alpha):
        return
    if is_constant(pixels) or pixels[alpha < alpha.max()].any():
        raise UserError(
            f"The mask {picture.path} has a transparent layer, so that its shape is in the "
            "transparency; flatten it onto black and save it as an 8-bit greyscale PNG or BMP."
        )
