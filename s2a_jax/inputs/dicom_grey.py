"""From the stored values of a DICOM file to what a viewer shows (PS3.4 N.2, the grey pipeline)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s2a_jax.errors import UserError

_HIGH = 65535  # the range of windows and of stretched values: 16 bits


def displayed(
    stored: np.ndarray, data: Any, groups: Sequence[Any], path: Path
) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """Applies the look-up tables of a file in the standard's order.

    Args:
        stored: values as stored, [H, W] or RGB [H, W, 3].
        data: the pydicom data set.
        groups: functional groups, which hold the tables of enhanced images.
        path: the file, for messages.

    Returns:
        pixels: grey [H, W] or RGB [H, W, 3]; unsigned integers from 0 to `white`, or float32 in
            [0, 1] with `white` 1.
        white: value of full intensity.
        notes: phrases about what was chosen.

    Raises:
        UserError: a table or an attribute that cannot be used.
    """
    from pydicom.pixels import apply_color_lut

    kind = data.get("PhotometricInterpretation", "MONOCHROME2")
    if kind == "PALETTE COLOR":
        rgb = _applied(path, "Palette Color Lookup Table", apply_color_lut, stored, data)[..., :3]
        # Some writers leave 8-bit colours in a table of 16-bit words.
        depth = int(data.RedPaletteColorLookupTableDescriptor[2])
        return rgb, 255 if depth == 8 or rgb.max() <= 255 else 65535, ()
    values = _stored_values(stored, data, path)
    if values.ndim == 3:
        return values, 2 ** int(data.BitsStored) - 1, ()
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise UserError(
            f"{path} has the Photometric Interpretation {kind}; expected MONOCHROME1, MONOCHROME2, "
            "PALETTE COLOR or RGB: export it as one of these."
        )
    values, low, high = _modality(values, data, groups, path)
    values, low, high, notes = _window(values, (low, high), data, groups, path)
    if _is_inverted(data, path):
        values = low + high - values
    if low == 0 and high <= _HIGH and (values == np.rint(values)).all():  # keeps integers exact
        return values.astype(np.uint8 if high <= 255 else np.uint16), int(high), notes
    unit = (values.astype(np.float64) - low) / (high - low)
    return np.clip(unit, 0, 1).astype(np.float32), 1, notes


def _applied(path: Path, name: str, apply: Any, *arguments: Any) -> np.ndarray:
    """The result of one of pydicom's functions; a table that it refuses becomes a UserError."""
    try:
        return apply(*arguments)
    except Exception as error:  # pydicom raises almost anything for a damaged table
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path}: the attribute {name} cannot be used ({reason}); export the image again."
        ) from error


def _stored_values(stored: np.ndarray, data: Any, path: Path) -> np.ndarray:
    """The Bits Stored of each value; the bits above them may hold an overlay."""
    if stored.dtype.kind not in "iu":
        raise UserError(
            f"{path} holds {stored.dtype} values; export the en-face image with 8 or 16 bits."
        )
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    bits = int(data.BitsStored)
    if (numbers(data, "HighBit", path) or [bits - 1]) != [bits - 1]:
        raise UserError(
            f"{path} has High Bit {data.HighBit} with Bits Stored {bits}; expected {bits - 1}: "
            "export the image again."
        )
    above = 8 * stored.itemsize - bits
    if not above:
        return stored
    return (stored << above) >> above  # an arithmetic shift keeps the sign of signed values


def _first(name: str, data: Any, groups: Sequence[Any], sequence: str) -> Any:
    """The data set that has an attribute: the file's top level, or an item of its groups."""
    items = [data, *(item for group in groups for item in list(group.get(sequence) or [])[:1])]
    return next((item for item in items if item.get(name) not in (None, "")), None)


def numbers(data: Any, name: str, path: Path) -> list[float]:
    """The numbers of an attribute; [] without it."""
    value = data.get(name)
    if value in (None, ""):
        return []
    try:
        numbers = [float(part) for part in ([value] if np.ndim(value) == 0 else value)]
    except (TypeError, ValueError):
        numbers = [math.nan]
    if not np.isfinite(numbers).all():
        raise UserError(
            f"{path}: the attribute {name} is {value!r}; expected numbers: export the image again."
        )
    return numbers


def _modality(
    values: np.ndarray, data: Any, groups: Sequence[Any], path: Path
) -> tuple[np.ndarray, float, float]:
    """Values after the Modality LUT, and their least and largest possible value."""
    from pydicom.pixels import apply_modality_lut

    if data.get("ModalityLUTSequence"):
        values = _applied(path, "Modality LUT Sequence", apply_modality_lut, values, data)
        return values, 0, 2 ** int(data.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    bits = int(data.BitsStored)
    is_signed = values.dtype.kind == "i"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    scaled = _first("RescaleSlope", data, groups, "PixelValueTransformationSequence")
    if scaled is None:
        return values, low, high
    slopes = numbers(scaled, "RescaleSlope", path)
    intercepts = numbers(scaled, "RescaleIntercept", path) or [0.0]
    slope, intercept = slopes[0], intercepts[0]
    if not slope or len(slopes) > 1:
        raise UserError(
            f"{path}: the attribute RescaleSlope is {scaled.RescaleSlope}; expected one number "
            "other than 0: export the image again."
        )
    if (slope, intercept) == (1, 0):
        return values, low, high
    ends = sorted((low * slope + intercept, high * slope + intercept))
    return values.astype(np.float64) * slope + intercept, *ends


def _window(
    values: np.ndarray, ends: tuple[float, float], data: Any, groups: Sequence[Any], path: Path
) -> tuple[np.ndarray, float, float, tuple[str, ...]]:
    """Values after the VOI LUT or window, their least and largest possible value, and notes."""
    from pydicom.dataset import Dataset
    from pydicom.pixels import apply_voi, apply_windowing

    if data.get("VOILUTSequence"):
        whole = np.rint(values).astype(np.int64)
        values = _applied(path, "VOI LUT Sequence", apply_voi, whole, data)
        return values, 0, 2 ** int(data.VOILUTSequence[0].LUTDescriptor[2]) - 1, ()
    window = _first("WindowWidth", data, groups, "FrameVOILUTSequence")
    if window is None or window.get("WindowCenter") in (None, ""):
        return values, *ends, ()
    # pydicom derives the output's range from the file's attributes, upside down for a negative
    # slope; an image of 16 bits without rescaling has the range 0 to 65535.
    plain = Dataset()
    plain.PhotometricInterpretation = "MONOCHROME2"
    plain.PixelRepresentation, plain.BitsStored = 0, 16
    plain.WindowCenter = numbers(window, "WindowCenter", path)
    plain.WindowWidth = numbers(window, "WindowWidth", path)
    plain.VOILUTFunction = window.get("VOILUTFunction") or "LINEAR"
    windows = plain["WindowWidth"].VM
    notes = (f"shown with the first of its {windows} windows",) if windows > 1 else ()
    values = _applied(path, "Window Center and Width", apply_windowing, values, plain)
    return values, 0, _HIGH, notes


def _is_inverted(data: Any, path: Path) -> bool:
    """Whether the least value is white."""
    if data.get("PresentationLUTSequence"):
        raise UserError(
            f"{path} has a Presentation LUT Sequence, which belongs to films; export the image "
            "without it."
        )
    is_negative = data.PhotometricInterpretation == "MONOCHROME1"
    shape = str(data.get("PresentationLUTShape") or "").strip().upper()
    # The standard states the inversion of MONOCHROME1 a second time as INVERSE: it is one.
    if shape not in ("", "IDENTITY", "INVERSE") or (shape == "IDENTITY" and is_negative):
        raise UserError(
            f"{path}: the Presentation LUT Shape {shape} with {data.PhotometricInterpretation} "
            "does not say whether 0 is black; export the image again."
        )
    return is_negative or shape == "INVERSE"
