"""Images: from files and arrays to float32 in [0, 1]."""

from pathlib import Path

import numpy as np
from PIL import Image

from s2a_jax.errors import UserError
from s2a_jax.inputs.dicom import is_dicom, read_dicom
from s2a_jax.inputs.picture import Picture, native
from s2a_jax.inputs.raster import read_raster
from s2a_jax.inputs.tiff import read_tiff
from s2a_jax.inputs.tiff_structure import is_tiff

EXTENSIONS = (
    ".bmp",
    ".png",
    ".tif",
    ".tiff",
    ".gif",
    ".jpg",
    ".jpeg",
    ".jp2",
    ".j2k",
    ".webp",
)
"""Extensions of image files; DICOM files are recognised by their content too."""
# ITU-R 601 luminance in 1/65536. The weights sum to 65536, so that grey RGB keeps its value.
_LUMINANCE = np.array([19595, 38470, 7471], np.int64)


def read_picture(path: str | Path) -> Picture:
    """Reads a file of any format; docs/formats.md says how each is interpreted.

    Args:
        path: a PNG, TIFF, BMP, GIF, JPEG, JPEG 2000, WebP or DICOM file with one image.

    Raises:
        UserError: the file is missing, damaged, empty or no image, cannot be opened, or has several
            pages.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise UserError(
                f"{path} is a folder where an image file is expected; name a file in it."
            )
        with path.open("rb") as file:
            head = file.read(4)
    except FileNotFoundError:
        raise UserError(f"The image file {path} does not exist; check its path.") from None
    except PermissionError:
        raise UserError(
            f"{path} cannot be opened: permission denied; change the file's permissions."
        ) from None
    except OSError as error:  # a circle of links; a drive or network that fails
        raise UserError(
            f"{path} cannot be opened: {error.strerror}; check the file and its drive."
        ) from None
    if not head:
        raise UserError(f"The image file {path} is empty (0 bytes); copy or download it again.")
    if is_tiff(head):
        return read_tiff(path)
    return read_dicom(path) if is_dicom(path) else read_raster(path)


def read_image(path: str | Path) -> np.ndarray:
    """Reads one greyscale image.

    Integers are divided by the largest value of their bits, as 8-bit values by 255; a float TIFF is
    taken as it is. Colour and palette images become luminance (ITU-R 601, rounded to the file's
    depth); an alpha channel is dropped.

    Args:
        path: as for `read_picture`.

    Returns:
        float32 [H, W] in [0, 1].

    Raises:
        UserError: as for `read_picture`, or the values are out of range, or the picture is in the
            alpha channel.
    """
    return intensity(read_picture(path))


def intensity(picture: Picture) -> np.ndarray:
    """The picture as `read_image` returns it."""
    pixels = picture.pixels
    if picture.alpha is not None and is_constant(pixels) and not is_constant(picture.alpha):
        raise UserError(
            f"{picture.path} holds one colour, and a picture in its transparency only; save it "
            "without transparency."
        )
    if picture.white == 0:
        raise UserError(
            f"{picture.path} holds {pixels.dtype} values from {pixels.min()} to {pixels.max()}, "
            "which do not say what is white; save it as an 8- or 16-bit image."
        )
    if pixels.dtype.kind != "u":
        return _unit_float(pixels, str(picture.path))
    grey = _luminance(pixels) if pixels.ndim == 3 else pixels
    return grey.astype(np.float32) / np.float32(picture.white)


def to_unit_float(array: np.ndarray) -> np.ndarray:
    """Converts an image array of any usual type to the form that networks read.

    Args:
        array: [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4] (RGBA, alpha is dropped); bool,
            uint8 (divided by 255), uint16 (divided by 65535) or float in [0, 1]; any byte order.

    Returns:
        float32 [H, W] in [0, 1]; colour becomes luminance as in `read_image`.

    Raises:
        UserError: another shape or dtype, an empty array, NaN, or floats outside [0, 1].
    """
    if isinstance(array, str | Path):
        raise UserError(
            f"The image is a path, {array}; expected an array [H, W]: pass "
            "s2a_jax.inputs.images.read_image(path)."
        )
    if array is None:
        raise UserError(
            "The image is None: its file was not read (OpenCV's imread returns None for a file "
            "that is missing or no image); check the path, or use s2a_jax.inputs.images.read_image."
        )
    try:
        array = np.asarray(array)
    except ValueError as error:  # rows of unequal length
        raise UserError(f"The image is no array ({error}); pass a NumPy array [H, W].") from error
    return _unit_float(native(array), "The image array")


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


def is_constant(values: np.ndarray) -> bool:
    """Whether all pixels of [H, W] or [H, W, C] are equal."""
    return bool((values == values[:1, :1]).all())


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
