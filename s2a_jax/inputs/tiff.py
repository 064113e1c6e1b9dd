"""TIFF files, read with tifffile: baseline TIFF 6.0, BigTIFF, ImageJ and OME-TIFF."""

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from s2a_jax.errors import UserError
from s2a_jax.inputs.picture import Picture, native, upright
from s2a_jax.inputs.tiff_structure import check_structure

PLAUSIBLE_UM = (1.0, 40.0)
"""Accepted pitches, um: OCTA scanners lie well inside; 72, 96, 300 and 600 dpi lie outside."""
_UM = {2: 25_400.0, 3: 10_000.0}
"""ResolutionUnit -> um. 1 is no unit, although tifffile's `get_resolution` takes it for metres."""
_UM_OF_NAME = {
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "nm": 0.001,
    "mm": 1000.0,
    "cm": 10_000.0,
    "inch": 25_400.0,
}
"""Unit of ImageJ or OME -> um."""
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_GREY = (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
_JPEG = (6, 7)  # compressions after which tifffile returns RGB for YCbCr
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _UNIT = 274, 282, 283, 296
_UNSPECIFIED = 0  # ExtraSamples: a channel that is no alpha


def read_tiff(path: Path) -> Picture:
    """Reads a file with one picture; smaller copies of it (thumbnails, pyramids) are left out.

    Args:
        path: an existing file.

    Raises:
        UserError: the file is damaged, or holds several pages, or colours or values of a kind that
            is not read.
    """
    try:
        with path.open("rb") as content:
            check_structure(content)
        with tifffile.TiffFile(path) as file:
            page = _only_page(file, path)
            _check_complete(page, file, path)
            samples = page.asarray()
            pitch, aspect = _pitch(file, page), _aspect(page)
            colours = page.colormap  # tifffile reads tags when they are asked for
            photometric = int(page.photometric)
            orientation = page.tags.valueof(_ORIENTATION, default=1)
    except UserError:
        raise
    except Exception as error:  # tifffile and its decoders raise almost anything
        raise UserError(
            f"The image file {path} cannot be read, it may be damaged or cut short ({error}); "
            "copy or download it again."
        ) from error
    if samples.size == 0:
        raise UserError(f"The image file {path} has no pixels; copy or download it again.")
    pixels, white, alpha = _channels(page, native(samples), photometric, colours, path)
    aspect = pitch[0] / pitch[1] if pitch else aspect
    picture = Picture(path, pixels, white, "TIFF", alpha, pitch, aspect)
    return upright(picture, orientation)


def _only_page(file: tifffile.TiffFile, path: Path) -> tifffile.TiffPage:
    full = [page for page in file.pages if not page.keyframe.is_reduced and not page.is_mask]
    pages = len(full) or len(file.pages)
    # ImageJ stores a stack as one page with the other images behind it.
    pages = max(pages, (file.imagej_metadata or {}).get("images", 1))
    pages = max(pages, full[0].imagedepth if full else 1)
    if pages != 1:
        raise UserError(
            f"{path} holds {pages} pages where one image is expected; save the page to use as a "
            "file of its own."
        )
    return (full or file.pages)[0].aspage()


def _check_complete(page: tifffile.TiffPage, file: tifffile.TiffFile, path: Path) -> None:
    """Raises a UserError where data are missing, which tifffile would replace by zeros."""
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    size = file.filehandle.size
    is_complete = len(segments) == math.prod(page.chunked) or page.is_contiguous
    if not is_complete or any(not count or start + count > size for start, count in segments):
        raise UserError(
            f"The image file {path} cannot be read, it may be damaged or cut short (pixels are "
            "missing); copy or download it again."
        )


def _channels(
    page: tifffile.TiffPage,
    samples: np.ndarray,
    photometric: int,
    colours: np.ndarray | None,
    path: Path,
) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Pixels as a viewer shows them, the value of white, and the alpha channel or None."""
    bits = page.bitspersample
    if page.axes[0] == "S":  # PlanarConfiguration 2: one plane a channel
        samples = np.moveaxis(samples, 0, -1)
    channels = samples if samples.ndim == 3 else samples[..., None]
    is_rgb = photometric == _RGB or (photometric == _YCBCR and page.compression in _JPEG)
    count = {_CMYK: 4}.get(photometric, 3 if is_rgb else 1)
    is_read = is_rgb or photometric in (*_GREY, _CMYK)
    is_read = is_read or (photometric == _PALETTE and np.shape(colours) == (3, 2**bits))
    others = channels.shape[-1] - count
    if not is_read or others not in (0, 1) or (others and page.extrasamples[:1] == (_UNSPECIFIED,)):
        name = getattr(page.photometric, "name", photometric)
        raise UserError(
            f"{path} is a TIFF file of the kind {name} with {channels.shape[-1]} channels; save it "
            "as grey or RGB."
        )
    alpha = channels[..., count] if others else None
    if photometric == _PALETTE:
        return _coloured(channels[..., 0], colours), 255, alpha
    pixels, white = _full_scale(channels[..., :count], bits, path)
    if photometric == _CMYK:
        levels = pixels.astype(np.float32) / np.float32(white)
        rgb = (1 - levels[..., :3]) * (1 - levels[..., 3:])
        return np.rint(rgb * 255).astype(np.uint8), 255, alpha
    if count == 1:
        pixels = pixels[..., 0]
    if photometric == _WHITE_IS_ZERO:
        if not white:
            raise UserError(
                f"{path} holds {pixels.dtype} values of which 0 is white, but does not say what is "
                "black; save it as an unsigned 8- or 16-bit image."
            )
        pixels = ~pixels if pixels.dtype == bool else white - pixels
    return pixels, white, alpha


def _full_scale(samples: np.ndarray, bits: int, path: Path) -> tuple[np.ndarray, int]:
    """Samples and the value of full intensity."""
    if samples.dtype.kind in "fb":
        return samples, 1
    if samples.dtype.kind == "u" and bits <= 16:
        return samples, 2**bits - 1
    if samples.dtype.kind not in "iu":
        raise UserError(f"{path} holds {samples.dtype} values; save it as an 8- or 16-bit image.")
    if bits >= 32 and 255 < samples.max() <= 65535 and samples.min() >= 0:
        return samples.astype(np.uint16), 65535  # 16-bit images in wider integers
    return samples, 0


def _coloured(indices: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """RGB of palette indices; uint8 [H, W, 3]."""
    # Some writers leave 8-bit colours in the table of 16-bit ones.
    levels = colours >> 8 if colours.max() > 255 else colours
    return np.moveaxis(levels.astype(np.uint8)[:, indices], 0, -1)


def _resolution(page: tifffile.TiffPage) -> tuple[float, float]:
    """Pixels per unit (down, across); 0 where the tag is missing or damaged."""
    values = []
    for code in (_Y_RESOLUTION, _X_RESOLUTION):
        value = page.tags.valueof(code, default=(0, 1))
        over, under = value if isinstance(value, tuple) and len(value) == 2 else (0, 1)
        values.append(over / under if under else 0.0)
    return values[0], values[1]


def _aspect(page: tifffile.TiffPage) -> float | None:
    """Height over width of a pixel, if the resolutions differ."""
    down, across = _resolution(page)
    return across / down if min(down, across) > 0 and down != across else None


def _pitch(file: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[float, float] | None:
    """(down, across) in um, from OME's metadata or the tags with their unit; None if implausible.

    A pitch outside `PLAUSIBLE_UM` is a printer's or a screen's resolution.
    """
    pitch = _ome_pitch(file.ome_metadata) if file.is_ome else None
    if pitch is None:
        name = (file.imagej_metadata or {}).get("unit", "")
        um = _UM_OF_NAME.get(str(name).strip().lower()) or _UM.get(
            page.tags.valueof(_UNIT, default=2)
        )
        is_tagged = str(name).strip().lower() not in _UM_OF_NAME
        resolution = _resolution(page)
        if um is None or min(resolution) <= 0:
            return None
        pitch = um / resolution[0], um / resolution[1]
        if is_tagged and all(_is_of_a_printer(one) for one in pitch):
            return None
    low, high = PLAUSIBLE_UM
    return pitch if low <= min(pitch) and max(pitch) <= high else None


def _is_of_a_printer(um_per_px: float) -> bool:
    """Whether a pitch is a round number of dots per inch: 1200, 2400, 720 and so on."""
    dots = 25_400 / um_per_px
    return any(abs(dots / step - round(dots / step)) * step < 0.5 for step in (100, 720))


def _ome_pitch(text: str) -> tuple[float, float] | None:
    """PhysicalSizeY and PhysicalSizeX of the first image, um."""
    try:
        root = ElementTree.fromstring(text)
        pixels = next((one for one in root.iter() if one.tag.endswith("}Pixels")), None)
        if pixels is None:
            return None
        sizes = [
            float(pixels.attrib[f"PhysicalSize{axis}"])
            * _UM_OF_NAME[pixels.get(f"PhysicalSize{axis}Unit", "µm").lower()]
            for axis in "YX"
        ]
    except (ElementTree.ParseError, KeyError, ValueError):  # a size without a known unit
        return None
    return (sizes[0], sizes[1]) if min(sizes) > 0 else None
