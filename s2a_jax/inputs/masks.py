"""Masks: from files to boolean arrays."""

from pathlib import Path

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import decode, resize_image

RV_VALUE = 255  # vessels in a combined mask
FAZ_VALUE = 100  # foveal avascular zone in a combined mask
_ARTERY, _VEIN, _FAZ_CLASS = 2, 3, 4  # OCTA-500's GT_CAVF; 0 is background, 1 capillary


def read_label(path: str | Path) -> np.ndarray:
    """Reads the label values of a mask as they were saved.

    1-bit files give 0 and 255. Grey RGB gives its channel; alpha is dropped. In a palette file
    the label is the colour if all colours in use are grey (a palette of 0, 100 and 255), and
    otherwise the index (colours that only make the labels 0, 1, 2 visible on a screen).

    Args:
        path: a BMP, PNG, TIFF, GIF or JPEG file with one page.

    Returns:
        uint8 [H, W].

    Raises:
        UserError: as for `read_image`; also for colours and for values that are not whole numbers
            from 0 to 255.
    """
    image = decode(path)
    if image.mode == "P":
        indices = np.asarray(image)
        used = np.unique(indices)
        colours = np.zeros((256, 3), np.uint8)
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        colours[: len(palette)] = palette
        is_grey = (colours[used] == colours[used, :1]).all()
        return colours[indices, 0] if is_grey else indices
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8) * np.uint8(255)
    if image.mode in ("L", "I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        # A range check first: it is also false for NaN, which cannot be cast.
        in_range = values.min() >= 0 and values.max() <= 255
        if not in_range or (values != values.astype(np.uint8)).any():
            raise UserError(
                f"The mask {path} holds values from {values.min()} to {values.max()} where whole "
                "numbers from 0 to 255 are expected; save it as an 8-bit PNG or BMP."
            )
        return values.astype(np.uint8)
    rgb = np.asarray(image.convert("RGBA"))[..., :3]
    if (rgb != rgb[..., :1]).any():
        raise UserError(
            f"The mask {path} is a colour picture; save it as an 8-bit greyscale PNG or BMP."
        )
    return rgb[..., 0]


def binary_mask(path: str | Path, threshold: int | None = None) -> np.ndarray:
    """Reads the mask of one structure, saved as {0, 1} or {0, 255}.

    Args:
        path: as for `read_label`.
        threshold: for masks with grey edges: pixels that reach this value are inside. A mask of 0
            and 1 is never thresholded.

    Returns:
        bool [H, W], true inside the structure.

    Raises:
        UserError: as for `read_label`; also for any other value.
    """
    label = read_label(path)
    if label.max() == 1:
        return label == 1
    if threshold is not None:
        return label >= threshold
    _check_values(label, (0, 255), path, "only 0 and 255, or only 0 and 1")
    return label == 255


def combined_mask(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a mask of both structures: 0 background, 100 FAZ, 255 vessel.

    Returns:
        rv: bool [H, W], true on vessels.
        faz: bool [H, W], true in the foveal avascular zone.

    Raises:
        UserError: as for `read_label`; also for any other value.
    """
    label = read_label(path)
    _check_values(
        label,
        (0, FAZ_VALUE, RV_VALUE),
        path,
        f"only 0 (background), {FAZ_VALUE} (FAZ) and {RV_VALUE} (vessel)",
    )
    return label == RV_VALUE, label == FAZ_VALUE


def class_mask(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a mask of classes, OCTA-500's GT_CAVF: 1 capillary, 2 artery, 3 vein, 4 FAZ.

    Returns:
        rv: bool [H, W], true on arteries and veins.
        faz: bool [H, W], true in the foveal avascular zone.

    Raises:
        UserError: as for `read_label`; also for any other value, or if 2, 3 and 4 are all missing.
    """
    label = read_label(path)
    classes = "0 (background), 1 (capillary), 2 (artery), 3 (vein) and 4 (FAZ)"
    _check_values(label, (0, 1, _ARTERY, _VEIN, _FAZ_CLASS), path, f"only {classes}")
    if label.max() < _ARTERY:  # a mask of something else would pass for an eye without vessels
        raise UserError(
            f"The mask {path} holds no artery, vein or FAZ; expected the classes {classes}: "
            "replace or remove it."
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


def _check_values(label: np.ndarray, allowed: tuple[int, ...], path: str | Path, rule: str) -> None:
    unexpected = np.setdiff1d(label, allowed)
    if unexpected.size:
        listed = ", ".join(str(value) for value in unexpected[:5])
        more = f" and {unexpected.size - 5} others" if unexpected.size > 5 else ""
        raise UserError(
            f"The mask {path} holds the unexpected values {listed}{more}; it may hold {rule}. "
            "Save it without lossy compression or smoothing, as PNG or BMP."
        )
