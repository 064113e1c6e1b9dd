"""Images: from files and arrays to float32 in [0, 1]."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from s2a_jax.errors import UserError

FORMATS = ("BMP", "PNG", "TIFF", "GIF", "JPEG")
EXTENSIONS = (".bmp", ".png", ".tif", ".tiff", ".gif", ".jpg", ".jpeg")
# ITU-R 601 luminance in 1/65536. The weights sum to 65536, so that grey RGB keeps its value.
_LUMINANCE = np.array([19595, 38470, 7471], np.int64)


def read_image(path: str | Path) -> np.ndarray:
    """Reads one greyscale image.

    Divides 8-bit values by 255 and 16-bit values by 65535; takes a float TIFF as it is. Colour and
    palette images become luminance (ITU-R 601, rounded to the file's depth); an alpha channel is
    dropped.

    Args:
        path: a BMP, PNG, TIFF, GIF or JPEG file with one page.

    Returns:
        float32 [H, W] in [0, 1].

    Raises:
        UserError: the file is missing, damaged, empty or no image, has several pages, or holds
            values out of range.
    """
    image = decode(path)
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


def to_unit_float(array: np.ndarray) -> np.ndarray:
    """Converts an image array of any usual type to the form that networks read.

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


def unit_pixels(pixels: np.ndarray) -> np.ndarray:
    """Pixels of a case as float32 in [0, 1]: uint8 is divided by 255, float32 stays."""
    if pixels.dtype == np.float32:
        return pixels
    return pixels.astype(np.float32) / np.float32(255)


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


def decode(path: str | Path) -> Image.Image:
    """Opens a file and decodes all its pixels.

    Raises:
        UserError: the file is missing, damaged, empty or no image, or has several pages.
    """
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
            pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            if pages == 1:
                image.load()
    except PermissionError:
        raise UserError(
            f"{path} cannot be opened: permission denied; change the file's permissions."
        ) from None
    except UnidentifiedImageError:
        raise UserError(
            f"{path} is not an image that can be read; expected a BMP, PNG, TIFF, GIF or JPEG file."
        ) from None
    except Exception as error:  # Pillow's decoders raise almost anything for damaged files
        raise UserError(
            f"The image file {path} cannot be read, it may be damaged or cut short ({error}); "
            "copy or download it again."
        ) from error
    if pages > 1:
        raise UserError(
            f"{path} holds {pages} pages where one image is expected; save the page to use as a "
            "file of its own."
        )
    if 0 in image.size:
        raise UserError(f"The image file {path} has no pixels; copy or download it again.")
    return image


def _unit_float(array: np.ndarray, name: str) -> np.ndarray:
    """`to_unit_float` with a name for the image in messages."""
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
