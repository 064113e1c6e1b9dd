"""The sectors of the ETDRS grid on an image of the macula."""

import numpy as np

_WIDE_FIELD_MM = 5.0  # fields of at least this side get the grid of 6 mm, others that of 3 mm
_SMALLEST_SHARE = 0.5  # smallest share of a sector's area that must lie in the image


def grid_diameters(field_mm: float) -> tuple[float, ...]:
    """Diameters of the circles in mm: 1 and 2.5, or 1, 3 and 6 for fields of at least 5 mm.

    Args:
        field_mm: shorter side of the image, mm.
    """
    return (1.0, 3.0, 6.0) if field_mm >= _WIDE_FIELD_MM else (1.0, 2.5)


def quadrant_names(laterality: str | None) -> tuple[str, ...]:
    """Names of the quadrants in the order up, left, down, right of a fundus picture.

    The nasal side is on the right of a right eye (OD) and on the left of a left one (OS).

    Args:
        laterality: "OD", "OS", or None, which names the sides left and right.
    """
    sides = {"OD": ("temporal", "nasal"), "OS": ("nasal", "temporal"), None: ("left", "right")}
    left, right = sides[laterality]
    return ("superior", left, "inferior", right)


def etdrs_sectors(
    shape: tuple[int, int],
    centre: tuple[float, float],
    um_per_px: float,
    diameters_mm: tuple[float, ...],
    laterality: str | None,
) -> dict[str, np.ndarray]:
    """Masks of the sectors: `centre`, and four quadrants of each ring, split at the diagonals.

    Args:
        shape: (H, W) of the image.
        centre: (y, x) in pixels from the image's upper left corner.
        um_per_px: pixel pitch, um.
        diameters_mm: diameters that `grid_diameters` returned.
        laterality: as for `quadrant_names`.

    Returns:
        {"centre", "inner_superior", ..., "outer_superior", ...}: bool [H, W]; all false where less
        than half of a sector lies in the image.
    """
    y, x = (np.arange(side) + 0.5 - middle for side, middle in zip(shape, centre, strict=True))
    y, x = y[:, None], x[None, :]
    radius_mm = np.hypot(y, x) * um_per_px / 1000
    # Half-open, so that every pixel is in one quadrant: up, left, down, right.
    quadrants = (
        (-y >= np.abs(x)) & (y != x),
        (-x >= np.abs(y)) & (y != -x),
        (y >= np.abs(x)) & (y != x),
        (x >= np.abs(y)) & (y != -x),
    )
    inner, *outer = (diameter / 2 for diameter in diameters_mm)
    sectors = {"centre": (radius_mm < inner, np.pi * inner**2)}
    for ring, far in zip(("inner", "outer"), outer, strict=False):
        in_ring = (radius_mm >= inner) & (radius_mm < far)
        area = np.pi * (far**2 - inner**2) / 4
        for name, quadrant in zip(quadrant_names(laterality), quadrants, strict=True):
            sectors[f"{ring}_{name}"] = (in_ring & quadrant, area)
        inner = far
    pixel_mm2 = (um_per_px / 1000) ** 2
    return {
        name: mask & (np.count_nonzero(mask) * pixel_mm2 >= _SMALLEST_SHARE * area)
        for name, (mask, area) in sectors.items()
    }
