"""All biomarkers of one eye from its masks; docs/biomarkers.md explains each of them."""

import math

import numpy as np
from scipy import ndimage

from s2a_jax.biomarkers.faz import FazMeasures, measure_faz
from s2a_jax.biomarkers.fractal import box_counting_dimension
from s2a_jax.biomarkers.magnification import REFERENCE_AXIAL_LENGTH_MM, bennett_factor
from s2a_jax.biomarkers.sectors import etdrs_sectors, grid_diameters, quadrant_names
from s2a_jax.biomarkers.vessels import measure_vessels
from s2a_jax.errors import UserError

_CONDITIONS = ("um_per_px", "axial_length_applied", "faz_touches_border", "etdrs_")
_RING_UM = 300.0  # width of the ring of FD-300
_ISOTROPY = 0.01  # largest relative difference between the pitches of rows and columns
_LATERALITIES = {"OD": "OD", "R": "OD", "RIGHT": "OD", "OS": "OS", "L": "OS", "LEFT": "OS"}


def measure(
    rv: np.ndarray | None,
    faz: np.ndarray | None,
    *,
    um_per_px: float | tuple[float, float],
    laterality: str | None = None,
    axial_length_mm: float | None = None,
    reference_axial_length_mm: float = REFERENCE_AXIAL_LENGTH_MM,
) -> dict[str, float]:
    """Measures one eye.

    Args:
        rv: [H, W], vessels: bool, or 0 and 1, or 0 and 255. None if there is no such mask;
            every value that needs it is then NaN.
        faz: [H, W], foveal avascular zone, as `rv`.
        um_per_px: pixel pitch in um: a number, or (down, across) that differ by at most 1 %.
        laterality: "OD" or "OS" (also R, L, right, left); None leaves nasal and temporal unnamed.
        axial_length_mm: axial length of the eye; scales all lengths by Bennett's factor. None: no
            correction.
        reference_axial_length_mm: axial length that `um_per_px` assumes; 23.95 mm for AngioVue.

    Returns:
        Name with unit -> value, always the same names in the same order; without laterality the
        sectors nasal and temporal are named left and right. NaN: the mask is missing, or the value
        is not defined for it; no value lies outside its range. A: area, P: perimeter, L: length of
        centrelines, W and H: sides of the image.

        FAZ (largest region, holes filled; an empty mask gives NaN unless stated otherwise):
        `faz_area_mm2`: pixels x pitch^2, 0 to W H; empty 0. `faz_perimeter_mm`: P of the smoothed
        outline, > 0. `faz_circularity`: 4 pi A / P^2, about 1 for a disc, less for others, (0,
        1.021]. `faz_acircularity`: P / (2 sqrt(pi A)), about 1 for a disc, more for others, >=
        0.989. `faz_axis_ratio`: major / minor axis of the ellipse of equal second moments, >= 1.
        `faz_feret_mm`: largest distance between two points of the outline, up to the image's
        diagonal. `faz_solidity`: A / A of the convex hull, (0, 1]. These, but the axis ratio, are
        NaN if the outline's area is not A within 2 %, as below a radius of 4 pixels.
        `faz_centroid_x_mm`, `faz_centroid_y_mm`: from the upper left corner, 0 to W or H.
        `faz_components`: regions in the mask, >= 0; empty 0.

        Vessels (an empty mask gives 0 unless stated otherwise): `vessel_density`: vessel
        pixels / pixels, [0, 1]. `skeleton_density_per_mm`: L / image area, 0 to 1.5 / pitch.
        `vessel_diameter_index_um`: A / L, > 0; NaN if empty, without background, or more than twice
        the widest place of the mask. `mean_calibre_um`, `median_calibre_um`: distance between both
        walls along the centrelines, > 0; NaN if empty, or without background or centreline. These
        three are at most the image's diagonal, otherwise NaN. `perimeter_index_per_px`,
        `perimeter_index_per_mm`: P / image area in pixels or mm, 0 to 2 / pitch. `complexity`:
        P^2 / (4 pi A), >= 0; empty NaN. `tortuosity`: arc / chord of branches, mean weighted by
        arc, >= 1; without a branch of 10 pixels NaN. `branch_point_density_per_mm2`: points where
        three branches meet / image area, >= 0. `fractal_dimension`, `skeleton_fractal_dimension`:
        box counting on the mask and on its centrelines, [0, 2]; NaN without structure at the scales
        of the boxes, as in a few pixels or a blob.

        Both: `fd300`: vessel density in the part of the 300 um ring around the FAZ that lies in
        the image, [0, 1]; NaN if the FAZ is empty or no part of the ring lies in the image.
        `vessel_density_etdrs_<sector>`: vessel density in a sector of the ETDRS grid, [0, 1]; NaN
        if less than half of the sector lies in the image.

        Conditions: `um_per_px` (um, after correction), `axial_length_applied`,
        `faz_touches_border`, `etdrs_centred_on_faz` (0 or 1), `etdrs_inner_ring_mm`,
        `etdrs_outer_ring_mm` (diameters). docs/biomarkers.md explains the methods and their errors.

    Raises:
        UserError: no mask, an array that is no mask, masks of different sizes, or a pitch,
            laterality or axial length that cannot be used.
    """
    rv, faz = _as_mask(rv, "rv"), _as_mask(faz, "faz")
    if rv is None and faz is None:
        raise UserError("There is nothing to measure: give a vessel mask, a FAZ mask, or both.")
    if rv is not None and faz is not None and rv.shape != faz.shape:
        raise UserError(
            f"The vessel mask is {_size(rv)} and the FAZ mask {_size(faz)} pixels; they must be "
            "masks of the same image."
        )
    pitch = isotropic_pitch(um_per_px)
    laterality = parse_laterality(laterality)
    shape = faz.shape if rv is None else rv.shape
    grid_mm = grid_diameters(min(shape) * pitch / 1000)  # by the nominal field
    corrected = axial_length_mm is not None
    if corrected:
        pitch *= bennett_factor(axial_length_mm, reference_axial_length_mm)
    zone = None if faz is None else measure_faz(faz)
    return {
        "um_per_px": pitch,
        "axial_length_applied": float(corrected),
        **_faz_values(faz, zone, pitch / 1000),
        **_vessel_values(rv, pitch / 1000),
        "fd300": _ring_density(rv, zone, pitch),
        **_sector_values(rv, zone, pitch, grid_mm, laterality),
    }


def is_biomarker(name: str) -> bool:
    """Whether a name that `measure` returns is a biomarker and not a condition."""
    return not name.startswith(_CONDITIONS)


def isotropic_pitch(um_per_px: float | tuple[float, float]) -> float:
    """Reduces a pixel pitch to one number, um.

    Args:
        um_per_px: as for `measure`.

    Returns:
        The geometric mean of the two directions, which keeps areas.

    Raises:
        UserError: the pitch is not positive, or its directions differ by more than 1 %.
    """
    pitches = np.atleast_1d(np.asarray(um_per_px, np.float64))
    if pitches.shape not in ((1,), (2,)) or not (np.isfinite(pitches) & (pitches > 0)).all():
        raise UserError(
            f"The pixel pitch {um_per_px} cannot be used; give a positive number of micrometres."
        )
    if pitches.max() > (1 + _ISOTROPY) * pitches.min():
        raise UserError(
            f"The pixels are {pitches[0]:.4g} um high and {pitches[1]:.4g} um wide; resample the "
            "image to square pixels first, because shapes are measured on square pixels only."
        )
    return float(pitches[0]) if pitches.size == 1 else float(np.sqrt(pitches.prod()))


def parse_laterality(text: str | None) -> str | None:
    """Parses a laterality: OD, OS, R, L, right or left in any case -> "OD" or "OS"; None -> None.

    Raises:
        UserError: any other text.
    """
    if text is None:
        return None
    if text.strip().upper() not in _LATERALITIES:
        raise UserError(f"The laterality {text!r} is neither OD (right eye) nor OS (left eye).")
    return _LATERALITIES[text.strip().upper()]


def _as_mask(mask: np.ndarray | None, name: str) -> np.ndarray | None:
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.size == 0:
        raise UserError(f"The mask {name} has shape {mask.shape}; expected [H, W].")
    if mask.dtype == bool:
        return mask
    inside = mask == (1 if mask.max() <= 1 else 255)
    if not (inside | (mask == 0)).all():
        raise UserError(
            f"The mask {name} holds values other than 0 and 1, or 0 and 255; pass the mask of one "
            "structure, for example `mask == 255`."
        )
    return inside


def _size(mask: np.ndarray) -> str:
    return f"{mask.shape[0]}x{mask.shape[1]}"


def _faz_values(
    mask: np.ndarray | None, zone: FazMeasures | None, mm_per_px: float
) -> dict[str, float]:
    names = (
        "faz_area_mm2",
        "faz_perimeter_mm",
        "faz_circularity",
        "faz_acircularity",
        "faz_axis_ratio",
        "faz_feret_mm",
        "faz_solidity",
        "faz_centroid_x_mm",
        "faz_centroid_y_mm",
        "faz_components",
        "faz_touches_border",
    )
    values = dict.fromkeys(names, math.nan)
    if zone is not None:
        measured = (
            zone.area * mm_per_px**2,
            zone.perimeter * mm_per_px,
            4 * math.pi * zone.area / zone.perimeter**2,
            zone.perimeter / (2 * math.sqrt(math.pi * zone.area)),
            zone.axis_ratio,
            zone.feret * mm_per_px,
            zone.solidity,
            zone.centroid[1] * mm_per_px,
            zone.centroid[0] * mm_per_px,
            float(zone.components),
            float(zone.touches_border),
        )
        return dict(zip(names, measured, strict=True))
    if mask is not None:  # an empty mask: there is no FAZ
        values |= {"faz_area_mm2": 0.0, "faz_components": 0.0}
    return values


def _vessel_values(mask: np.ndarray | None, mm_per_px: float) -> dict[str, float]:
    names = (
        "vessel_density",
        "skeleton_density_per_mm",
        "vessel_diameter_index_um",
        "mean_calibre_um",
        "median_calibre_um",
        "perimeter_index_per_px",
        "perimeter_index_per_mm",
        "complexity",
        "tortuosity",
        "branch_point_density_per_mm2",
        "fractal_dimension",
        "skeleton_fractal_dimension",
    )
    if mask is None:
        return dict.fromkeys(names, math.nan)
    vessels = measure_vessels(mask)
    measured = (
        vessels.area / mask.size,
        vessels.length / (mask.size * mm_per_px),
        vessels.diameter_index * mm_per_px * 1000,
        vessels.mean_calibre * mm_per_px * 1000,
        vessels.median_calibre * mm_per_px * 1000,
        vessels.perimeter / mask.size,
        vessels.perimeter / (mask.size * mm_per_px),
        vessels.perimeter**2 / (4 * math.pi * vessels.area) if vessels.area else math.nan,
        vessels.tortuosity,
        vessels.branch_points / (mask.size * mm_per_px**2),
        box_counting_dimension(mask),
        box_counting_dimension(vessels.skeleton.pixels),
    )
    return dict(zip(names, measured, strict=True))


def _ring_density(rv: np.ndarray | None, zone: FazMeasures | None, um_per_px: float) -> float:
    """Vessel density in the part of the 300 um ring around the FAZ that lies in the image."""
    if rv is None or zone is None:
        return math.nan
    # The transform measures between pixel centres; the zone's border is half a pixel nearer.
    distance = ndimage.distance_transform_edt(~zone.region) - 0.5
    ring = ~zone.region & (distance * um_per_px <= _RING_UM)
    return float(rv[ring].mean()) if ring.any() else math.nan


def _sector_values(
    rv: np.ndarray | None,
    zone: FazMeasures | None,
    um_per_px: float,
    grid_mm: tuple[float, ...],
    laterality: str | None,
) -> dict[str, float]:
    quadrants = quadrant_names(laterality)
    names = ["centre", *(f"{ring}_{name}" for ring in ("inner", "outer") for name in quadrants)]
    values = {f"vessel_density_etdrs_{name}": math.nan for name in names}
    if rv is not None:
        centre = (rv.shape[0] / 2, rv.shape[1] / 2) if zone is None else zone.centroid
        sectors = etdrs_sectors(rv.shape, centre, um_per_px, grid_mm, laterality)
        for name, sector in sectors.items():
            if sector.any():
                values[f"vessel_density_etdrs_{name}"] = float(rv[sector].mean())
    return {
        "etdrs_centred_on_faz": float(zone is not None),
        "etdrs_inner_ring_mm": grid_mm[1],
        "etdrs_outer_ring_mm": grid_mm[2] if len(grid_mm) > 2 else math.nan,
        **values,
    }
