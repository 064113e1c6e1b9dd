"""Size and shape of the foveal avascular zone (FAZ), in pixels."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage.measure import label

from s2a_jax.biomarkers.contours import outlines

_AREA_ERROR = 0.02  # largest relative difference between the areas of a region and of its outline


@dataclass(frozen=True)
class FazMeasures:
    """The largest region of a FAZ mask, its holes filled.

    Attributes:
        region: bool [H, W], true in the region.
        area: number of its pixels.
        perimeter: length of its outline, pixels. This, `feret` and `solidity` are NaN if the area
            inside the outline differs by more than 2 % from `area`, as in regions of a few pixels,
            whose outline the smoothing changes.
        axis_ratio: major over minor axis of the ellipse with the same second moments, >= 1.
        feret: largest distance between two points of the outline, pixels.
        solidity: area over area of the convex hull, at most 1.
        centroid: (y, x) in pixels from the image's upper left corner; the centre of the first pixel
            is (0.5, 0.5).
        components: number of regions in the mask; the largest is measured.
        touches_border: whether the region reaches the image's edge, so that part of it may be
            missing.
    """

    region: np.ndarray
    area: int
    perimeter: float
    axis_ratio: float
    feret: float
    solidity: float
    centroid: tuple[float, float]
    components: int
    touches_border: bool


def measure_faz(mask: np.ndarray) -> FazMeasures | None:
    """Measures a FAZ mask.

    Args:
        mask: bool [H, W].

    Returns:
        The measures, or None if the mask is empty.
    """
    if not mask.any():
        return None
    labels, components = label(mask, return_num=True, connectivity=2)
    largest = np.argmax(np.bincount(labels.ravel())[1:]) + 1
    region = ndimage.binary_fill_holes(labels == largest)
    points = np.argwhere(region)
    # A pixel is a square of variance 1/12 around its centre.
    spread = np.cov(points.T, bias=True) + np.eye(2) / 12
    minor, major = np.sqrt(np.linalg.eigvalsh(spread))
    # Without holes there is one outline, plus one for each part that is joined by a corner only.
    outline = outlines(region)
    hull = ConvexHull(outline.points)
    edges = (region[0], region[-1], region[:, 0], region[:, -1])
    inside = outline.enclosed_area()
    faithful = abs(inside - len(points)) <= _AREA_ERROR * len(points)
    # Smoothing moves the ends of a strip out by up to a tenth of a pixel.
    feret = min(float(pdist(hull.points[hull.vertices]).max()), math.hypot(*mask.shape))
    return FazMeasures(
        region=region,
        area=len(points),
        perimeter=float(outline.segments()[1].sum()) if faithful else math.nan,
        axis_ratio=float(major / minor),
        feret=feret if faithful else math.nan,
        solidity=min(inside / hull.volume, 1.0) if faithful else math.nan,  # 1 + rounding if convex
        centroid=tuple((points.mean(axis=0) + 0.5).tolist()),
        components=int(components),
        touches_border=any(edge.any() for edge in edges),
    )
