"""PNG, BMP, GIF, JPEG, JPEG 2000 and WebP files, read with Pillow."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from s2a_jax.errors import UserError
from s2a_jax.inputs.picture import Picture, native, upright

FORMATS = ("BMP", "PNG", "GIF", "JPEG", "JPEG2000", "WEBP")
_ORIENTATION = 274  # tag of EXIF
_MOST = Image.MAX_IMAGE_PIXELS or 0  # Pillow decodes twice as many
_SHALLOW = {"L;2": 2, "L;4": 4}  # Pillow's raw modes of grey PNGs
_OTHER_KINDS = (
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x93NUMPY", "NumPy"),
    (b"MATLAB", "MATLAB"),
    (b"\x89HDF", "HDF5"),
    (b"version https://git-lfs", "Git LFS pointer"),
    (b"<!DOCTYPE html", "HTML"),
    (b"<html", "HTML"),
)
"""First bytes of files that are handed in by mistake -> their kind."""


def read_raster(path: Path) -> Picture:
    """Reads a file with one picture.

    Args:
        path: an existing file.

    Raises:
        UserError: the file is damaged or no image, or has several pages.
    """
    image, bits, orientation = _decode(path)
    pixels, white, alpha = _channels(image, bits)
    picture = Picture(path, pixels, white, image.format, alpha, aspect=_aspect(image))
    return upright(picture, orientation)


def _decode(path: Path) -> tuple[Image.Image, int, int]:
    """The decoded file, its bits a pixel if they are fewer than 8, and its orientation."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            # MPO is a JPEG that carries previews behind its image.
            pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            if pages == 1:
                bits = _SHALLOW.get(str(image.tile[0][3]), 8) if image.format == "PNG" else 8
                _check_depth(image, path)
                image.load()
                orientation = image.getexif().get(_ORIENTATION, 1)
    except UserError:
        raise
    except UnidentifiedImageError:
        kind = _other_kind(path)
        what = f"is a file of the kind {kind}, not an image" if kind else "is not an image"
        raise UserError(
            f"{path} {what} that can be read; expected a PNG, TIFF, BMP, GIF, JPEG, JPEG 2000, "
            "WebP or DICOM file."
        ) from None
    except Image.DecompressionBombError:
        raise UserError(
            f"{path} says that it holds more pixels than Pillow decodes ({2 * _MOST:,}); save a "
            "smaller image."
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
    return image, bits, orientation


def _check_depth(image: Image.Image, path: Path) -> None:
    """Raises a UserError for JPEG 2000 in colour with more than 8 bits.

    Pillow reduces such values to 8 bits, and the brightest become 0.
    """
    if image.format != "JPEG2000" or image.mode not in ("RGB", "RGBA", "LA", "YCbCr"):
        return
    content = path.read_bytes()
    size = content.find(b"\xff\x4f\xff\x51")  # the codestream starts with the marker SIZ
    count = int.from_bytes(content[size + 40 : size + 42], "big")
    components = content[size + 42 : size + 42 + 3 * count : 3]
    if any((depth & 0x7F) + 1 > 8 for depth in components):
        raise UserError(
            f"{path} is JPEG 2000 in colour, or with transparency, of more than 8 bits; save it as "
            "grey, or as TIFF or PNG."
        )


def _channels(image: Image.Image, bits: int) -> tuple[np.ndarray, int, np.ndarray | None]:
    """The pixels, grey [H, W] or RGB [H, W, 3], the value of white, and the alpha channel."""
    key = image.info.get("transparency")
    if image.mode in ("1", "L", "I") or image.mode.startswith("I;16"):
        pixels, white = native(np.asarray(image)), 255
        if image.mode.startswith("I"):  # of some files Pillow holds 16 bits in 32
            pixels, white = pixels.astype(np.uint16), 65535
        elif image.mode == "1":
            white = 1
        elif bits < 8:  # as saved: Pillow spreads the values over 0 to 255
            white = 2**bits - 1
            pixels = pixels // np.uint8(255 // white)
        # The key of a grey PNG: one value that is transparent.
        return pixels, white, None if key is None else pixels != key
    if image.mode in ("LA", "La"):
        both = np.asarray(image.convert("LA"))
        return both[..., 0], 255, both[..., 1]
    has_alpha = key is not None or image.mode in ("RGBA", "RGBa", "PA")
    # Through RGBA, because Pillow warns about palettes with transparency on the way to RGB.
    pixels = np.asarray(image.convert("RGBA"))
    return pixels[..., :3], 255, pixels[..., 3] if has_alpha else None


def _aspect(image: Image.Image) -> float | None:
    """Height over width of a pixel, from the density of PNG, JPEG and BMP files."""
    for name in ("aspect", "dpi", "jfif_density"):
        across, down = image.info.get(name, (0, 0))
        if across > 0 and down > 0:
            return None if across == down else float(across / down)
    return None


def _other_kind(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(32)
    if head[4:8] == b"ftyp":
        return {b"avif": "AVIF", b"heic": "HEIC"}.get(head[8:12], "HEIF or video")
    starts = ((start, kind) for start, kind in _OTHER_KINDS)
    return next((kind for start, kind in starts if head.lower().startswith(start.lower())), None)
