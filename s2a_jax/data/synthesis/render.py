"""Draws an anatomy given in mm into pixel maps: vessels, capillary bed and masks."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from s2a_jax.data.synthesis.capillaries import draw_capillaries
from s2a_jax.data.synthesis.faz import FazContour
from s2a_jax.data.synthesis.parameters import EyeParameters
from s2a_jax.data.synthesis.vessels import VesselTrees


@dataclass(frozen=True)
class Drawing:
    """An eye without noise.

    Attributes:
        vessels: [H, W] float, brightness of arteries and veins, 0 to 1.
        bed: [H, W] float, brightness of the capillaries of all layers seen from above, 0 to 1.
        deep_bed: [H, W] float, the same of the deep plexus alone.
        rv: [H, W] bool, vessels of at least the labelled radius.
        vessel_class: [H, W] uint8 on `rv`: 1 artery, 2 vein; 0 elsewhere.
        centreline_radius_um: [H, W] float32, radius on the axes of `rv`, um; 0 elsewhere.
        capillaries: [H, W] bool, pixels that superficial capillaries cover by 40 % or more.
        faz: [H, W] bool, the foveal avascular zone.
        deep_faz: [H, W] bool, that of the deep plexus.
    """

    vessels: np.ndarray
    bed: np.ndarray
    deep_bed: np.ndarray
    rv: np.ndarray
    vessel_class: np.ndarray
    centreline_radius_um: np.ndarray
    capillaries: np.ndarray
    faz: np.ndarray
    deep_faz: np.ndarray


def draw_anatomy(
    rng: np.random.Generator, faz: FazContour, trees: VesselTrees, parameters: EyeParameters
) -> Drawing:
    """Draws the trees, the capillaries between them, and all labels."""
    size, pitch = parameters.size, parameters.field_mm / parameters.size
    # Thin vessels carry less signal than the resolution cell they share with tissue.
    brightness = 0.5 + 0.5 * np.clip((trees.radius_um - 4) / 8, 0, 1)
    arteries, veins = (
        _paint(trees, kind, size, pitch, weight=brightness)
        for kind in (trees.artery, ~trees.artery)
    )
    labelled = trees.radius_um >= parameters.least_label_radius_um
    # Graders draw the thinnest vessels about 1.5 px wide.
    wider = 1e-3 * parameters.widening_um / pitch
    artery_label, vein_label = (
        _paint(trees, labelled & kind, size, pitch, least_radius_px=0.75, wider_px=wider)
        for kind in (trees.artery, ~trees.artery)
    )
    rv = np.maximum(artery_label, vein_label) >= 0.5
    vessel_class = np.where(rv, np.where(artery_label >= vein_label, 1, 2), 0).astype(np.uint8)

    vessels = np.maximum(arteries, veins)
    beds = draw_capillaries(rng, faz, vessels, parameters)
    free_zone = ndimage.gaussian_filter(arteries, 1e-3 * parameters.artery_free_zone_um / pitch)
    # The slab shows both plexuses, one above the other.
    seen = 1 - (1 - beds.superficial) * (1 - parameters.deep_share * beds.deep)
    return Drawing(
        vessels=vessels,
        bed=seen * (1 - np.clip(0.9 * free_zone, 0, 0.6)),
        deep_bed=beds.deep,
        rv=rv,
        vessel_class=vessel_class,
        centreline_radius_um=_draw_axes(trees, labelled, size, pitch),
        capillaries=beds.superficial >= 0.4,
        faz=largest_region(beds.faz & ~rv),
        deep_faz=beds.deep_faz,
    )


def largest_region(mask: np.ndarray) -> np.ndarray:
    """The largest 4-connected region of a mask.  [H, W] bool -> [H, W] bool."""
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(labels.ravel())
    return labels == 1 + np.argmax(sizes[1:])


def _paint(trees, chosen, size, pitch, *, weight=1.0, least_radius_px=0.0, wider_px=0.0):
    """Antialiased drawing [H, W], 0 to 1, of the chosen segments as discs along their axis."""
    reach = 0.5 * size * pitch + 0.1  # mm; segments further out are not drawn
    chosen = chosen & np.all(np.abs(trees.end) < reach, axis=1)
    start, end = trees.start[chosen], trees.end[chosen]
    steps = max(2, int(np.ceil(np.max(np.hypot(*(end - start).T), initial=0) / (0.5 * pitch))))
    fraction = (np.arange(1, steps + 1) / steps)[:, None, None]
    centre = (start + fraction * (end - start)) / pitch + (size - 1) / 2  # [steps, N, 2] px
    radius = np.maximum(1e-3 * trees.radius_um[chosen] / pitch, least_radius_px) + wider_px
    weight = np.broadcast_to(weight, chosen.shape)[chosen]
    extents = np.ceil(radius + 0.5).astype(int)
    canvas = np.zeros((size, size))
    for extent in np.unique(extents):
        same = extents == extent
        middle = centre[:, same].reshape(-1, 2)
        # [M, window, 2]: the pixels around every disc's centre.
        window = np.mgrid[-extent : extent + 1, -extent : extent + 1].reshape(2, -1).T
        pixel = np.rint(middle).astype(int)[:, None] + window
        distance = np.hypot(*np.moveaxis(pixel - middle[:, None], -1, 0))
        disc = np.clip(np.tile(radius[same], steps)[:, None] - distance + 0.5, 0, 1)
        disc *= np.tile(weight[same], steps)[:, None]
        inside = np.all((pixel >= 0) & (pixel < size), axis=-1)
        np.maximum.at(canvas, tuple(pixel[inside].T), disc[inside])
    return canvas


def _draw_axes(trees, chosen, size, pitch):
    """Radius [H, W] float32, um, on the pixels that the axes of the chosen segments pass."""
    start, end = (points[chosen] / pitch + (size - 1) / 2 for points in (trees.start, trees.end))
    steps = max(2, int(np.ceil(2 * np.max(np.hypot(*(end - start).T), initial=0))))
    fraction = (np.arange(steps + 1) / steps)[:, None, None]
    pixel = np.rint(start + fraction * (end - start)).astype(int).reshape(-1, 2)
    inside = np.all((pixel >= 0) & (pixel < size), axis=1)
    radius = np.tile(trees.radius_um[chosen], steps + 1)
    canvas = np.zeros((size, size), np.float32)
    np.maximum.at(canvas, tuple(pixel[inside].T), radius[inside])
    return canvas
