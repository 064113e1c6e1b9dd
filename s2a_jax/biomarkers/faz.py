"""Size and shape of the foveal avascular zone (FAZ), in pixels."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage.measure import label

from s2a_jax.biomarkers.contours import enclosed_area, outlines, segments


@dataclass(frozen=True)
class FazMeasures:
    """The largest region of a FAZ mask, its holes filled.

    Attributes:
        region: bool [H, W], true in the region.
        area: number of its pixels.
        perimeter: length of its outline, pixels.
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
    parts = outlines(region)
    outline = np.concatenate(parts)
    hull = outline[ConvexHull(outline).vertices]
    edges = (region[0], region[-1], region[:, 0], region[:, -1])
    return FazMeasures(
        region=region,
        area=len(points),
        perimeter=sum(float(segments(part)[1].sum()) for part in parts),
        axis_ratio=float(major / minor),
        feret=float(pdist(hull).max()),
        solidity=sum(map(enclosed_area, parts)) / enclosed_area(hull),
        centroid=tuple((points.mean(axis=0) + 0.5).tolist()),
        components=int(components),
        touches_border=any(edge.any() for edge in edges),
    )
