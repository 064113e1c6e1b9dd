"""Images and masks: from files and arrays to float images in [0, 1] and boolean masks."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from s2a_jax.errors import UserError

FORMATS = ("BMP", "PNG", "TIFF", "GIF", "JPEG")
EXTENSIONS = (".bmp", ".png", ".tif", ".tiff", ".gif", ".jpg", ".jpeg")
RV_VALUE = 255  # vessels in a combined mask
FAZ_VALUE = 100  # foveal avascular zone in a combined mask
# Of OCTA-500's GT_CAVF, beside 0 background and 1 capillary.
_ARTERY, _VEIN, _FAZ_CLASS = 2, 3, 4
# ITU-R 601 luminance in 1/65536. The weights sum to 65536, so that grey RGB keeps its value.
_LUMINANCE = np.array([19595, 38470, 7471], np.int64)


def read_image(path: str | Path) -> np.ndarray:
    """Reads one greyscale image.

    8-bit values are divided by 255, 16-bit values by 65535; a float TIFF is taken as it is.
    Colour and palette images become luminance (ITU-R 601, rounded to the file's depth); an
    alpha channel is dropped.

    Args:
      path: a BMP, PNG, TIFF, GIF or JPEG file with one page.

    Returns:
      float32 [H, W] in [0, 1].

    Raises:
      UserError: the file is missing, damaged, empty, no image, or has values out of range.
    """
    image = _decode(path)
    if image.mode == "I":  # 32-bit integers: how some writers store 16-bit images
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise UserError(
                f"{path} holds 32-bit values from {pixels.min()} to {pixels.max()}; "
                "save it as an 8- or 16-bit image."
            )
        pixels = pixels.astype(np.uint16)
    elif image.mode in ("1", "L", "F") or image.mode.startswith("I;16"):
        pixels = np.asarray(image)
    else:
        # Through RGBA, because Pillow warns about palettes with transparency on the way to RGB.
        pixels = np.asarray(image.convert("RGBA"))
    return _unit_float(pixels, str(path))


def read_label(path: str | Path) -> np.ndarray:
    """Reads the label values of a mask as they were saved.

    1-bit files give 0 and 255. Grey RGB gives its channel; alpha is dropped. In a palette file
    the label is the colour if all colours in use are grey (a palette of 0, 100 and 255), and
    otherwise the index (colours that only tell the labels 0, 1, 2 apart on a screen).

    Args:
      path: a BMP, PNG, TIFF, GIF or JPEG file with one page.

    Returns:
      uint8 [H, W].

    Raises:
      UserError: as `read_image`; also for colours and for values that are not whole numbers
        from 0 to 255.
    """
    image = _decode(path)
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
      path: as `read_label`.
      threshold: for masks with grey edges: inside is what reaches this value. A mask of 0 and 1
        is never thresholded.

    Returns:
      bool [H, W], true inside the structure.

    Raises:
      UserError: as `read_label`; also for any other value.
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
      UserError: as `read_label`; also for any other value.
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
      UserError: as `read_label`; also for any other value, or if there is none of 2 to 4.
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


def to_unit_float(array: np.ndarray) -> np.ndarray:
    """Brings an image array of any usual kind to the form the models read.

    Args:
      array: [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4] (RGBA, alpha is dropped); bool,
        uint8 (divided by 255), uint16 (divided by 65535) or float in [0, 1].

    Returns:
      float32 [H, W] in [0, 1]; colour becomes luminance as in `read_image`.

    Raises:
      UserError: another shape or dtype, an empty array, NaN, or floats outside [0, 1].
    """
    try:
        array = np.asarray(array)
    except ValueError as error:  # rows of unequal length
        raise UserError(f"The image is no array ({error}); pass a NumPy array [H, W].") from error
    return _unit_float(array, "The image array")


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes bilinearly with half-pixel centres; antialiased when it shrinks (as Pillow does).

    Args:
      image: float [H, W] in [0, 1].
      size: the new (height, width) in pixels.

    Returns:
      float32 [height, width] in [0, 1].
    """
    height, width = size
    resized = Image.fromarray(np.asarray(image, np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    # The weights sum to 1 only up to rounding.
    return np.clip(np.asarray(resized), 0.0, 1.0)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes as `resize_image` and keeps what covers at least half.

    Args:
      mask: bool [H, W].
      size: the new (height, width) in pixels.

    Returns:
      bool [height, width].
    """
    return resize_image(mask, size) >= 0.5


def _decode(path: str | Path) -> Image.Image:
    """Opens a file and decodes all its pixels."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"The image file {path} does not exist; check its path.")
    if path.is_dir():
        raise UserError(f"{path} is a folder where an image file is expected; name a file in it.")
    if path.stat().st_size == 0:
        raise UserError(f"The image file {path} is empty (0 bytes); copy or download it again.")
    try:
        with Image.open(path, formats=FORMATS) as image:
            # MPO is a JPEG that carries previews behind its image.
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                raise UserError(
                    f"{path} holds {image.n_frames} pages where one image is expected; "
                    "save the page to use as a file of its own."
                )
            image.load()
    except UserError:
        raise
    except PermissionError:
        raise UserError(f"{path} may not be read; give yourself the right to.") from None
    except UnidentifiedImageError:
        raise UserError(
            f"{path} is not an image that can be read; expected a BMP, PNG, TIFF, GIF or JPEG file."
        ) from None
    except Exception as error:  # damaged files make the decoders raise almost anything
        raise UserError(
            f"The image file {path} cannot be read, it may be damaged or cut short ({error}); "
            "copy or download it again."
        ) from error
    if 0 in image.size:
        raise UserError(f"The image file {path} has no pixels; copy or download it again.")
    return image


def _check_values(label: np.ndarray, allowed: tuple[int, ...], path: str | Path, rule: str) -> None:
    unexpected = np.setdiff1d(label, allowed)
    if unexpected.size:
        listed = ", ".join(str(value) for value in unexpected[:5])
        more = f" and {unexpected.size - 5} others" if unexpected.size > 5 else ""
        raise UserError(
            f"The mask {path} holds the unexpected values {listed}{more}; it may hold {rule}. "
            "Save it without lossy compression or smoothing, as PNG or BMP."
        )


def _unit_float(array: np.ndarray, name: str) -> np.ndarray:
    """`to_unit_float` with the name that its messages give to the image."""
    kind = f"shape {array.shape} and dtype {array.dtype}"
    is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not is_image or array.size == 0:
        raise UserError(
            f"{name} has {kind}; expected [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] with at least "
            "one pixel."
        )
    is_float = np.issubdtype(array.dtype, np.floating)
    if not is_float and array.dtype not in (np.bool_, np.uint8, np.uint16):
        raise UserError(
            f"{name} has {kind}; expected uint8, uint16, bool, or float in [0, 1]: convert it."
        )
    if array.ndim == 3:
        array = _luminance(array[..., :3]) if array.shape[2] >= 3 else array[..., 0]
    if not is_float:
        scale = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(array.dtype, 1)
        return array.astype(np.float32) / np.float32(scale)
    low, high = array.min(), array.max()
    if not np.isfinite([low, high]).all():
        raise UserError(f"{name} holds NaN or infinite values; replace them by values in [0, 1].")
    if low < 0 or high > 1:
        remedy = "divide it by 255" if low >= 0 and high <= 255 else "scale it to this range"
        raise UserError(
            f"{name} holds floats from {low:g} to {high:g} where [0, 1] is expected; {remedy}."
        )
    return array.astype(np.float32)


def _luminance(rgb: np.ndarray) -> np.ndarray:
    """[H, W, 3] -> [H, W] of the same dtype; integers are rounded as Pillow does."""
    if rgb.dtype == np.bool_ or np.issubdtype(rgb.dtype, np.floating):
        grey = rgb.astype(np.float64) @ (_LUMINANCE / 65536)
        return grey.astype(np.float32)
    return ((rgb.astype(np.int64) @ _LUMINANCE + 32768) >> 16).astype(rgb.dtype)
