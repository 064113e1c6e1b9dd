"""Pictures of an analysis, for files and pages."""

import base64
import io

import numpy as np
from PIL import Image
from scipy import ndimage

from s2a_jax.evaluation.pictures import FAZ_COLOUR, overlay

_THICKNESS = 300  # pixels of the image's side for each pixel of an outline


def draw(picture: np.ndarray, rv: np.ndarray | None, faz: np.ndarray | None) -> np.ndarray:
    """Draws vessels as a red area and the FAZ as a blue outline.

    Args:
        picture: float [H, W] in [0, 1].
        rv: bool [H, W], or None.
        faz: bool [H, W], or None.

    Returns:
        uint8 [H, W, 3].
    """
    drawn = overlay(picture, rv, None)
    if faz is not None:
        drawn[outline(faz)] = FAZ_COLOUR
    return drawn


def outline(mask: np.ndarray) -> np.ndarray:
    """The inner rim of a mask, bool [H, W], about a 300th of the image's side thick."""
    width = max(1, round(min(mask.shape) / _THICKNESS))
    return mask & ~ndimage.binary_erosion(mask, iterations=width, border_value=1)


def heat(picture: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Draws values in [0, 1] over a darkened image, from transparent to yellow; uint8 [H, W, 3]."""
    grey = np.repeat(picture[..., None].astype(np.float32), 3, axis=-1) * 0.6
    share = np.clip(values, 0, 1)[..., None]
    colour = np.concatenate([np.ones_like(share), 0.35 + 0.6 * share, np.zeros_like(share)], -1)
    return np.rint(255 * ((1 - share) * grey + share * colour)).astype(np.uint8)


def layer(mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A mask as a picture to be laid over another: uint8 [H, W, 4], transparent outside."""
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[mask] = (*colour, 255)
    return pixels


def grey(picture: np.ndarray) -> np.ndarray:
    """An image in [0, 1] as uint8."""
    return np.rint(np.asarray(picture, np.float64) * 255).astype(np.uint8)


def png_bytes(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 pixels [H, W], [H, W, 3] or [H, W, 4]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def data_uri(pixels: np.ndarray) -> str:
    """Pixels as the address of a picture inside a page."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(pixels)).decode()
