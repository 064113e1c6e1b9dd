"""Draws an anatomy given in mm into pixel maps: vessels, capillary bed and masks."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import Voronoi, cKDTree

from s2a_jax.data.synthesis.faz import FazContour
from s2a_jax.data.synthesis.parameters import EyeParameters
from s2a_jax.data.synthesis.vessels import VesselTrees


@dataclass(frozen=True)
class Drawing:
    """An eye without noise.

    Attributes:
        vessels: [H, W] float, brightness of arteries and veins, 0 to 1.
        bed: [H, W] float, brightness of the capillaries of all layers seen from above, 0 to 1.
        deep_bed: [H, W] float, that of the deep plexus alone.
        rv: [H, W] bool, vessels of at least the labelled radius.
        vessel_class: [H, W] uint8 on `rv`: 1 artery, 2 vein; 0 elsewhere.
        centreline_radius_um: [H, W] float32, radius on the axes of `rv`, um; 0 elsewhere.
        capillaries: [H, W] bool, pixels that superficial capillaries cover by 40 % or more.
        faz: [H, W] bool, the foveal avascular zone.
    """

    vessels: np.ndarray
    bed: np.ndarray
    deep_bed: np.ndarray
    rv: np.ndarray
    vessel_class: np.ndarray
    centreline_radius_um: np.ndarray
    capillaries: np.ndarray
    faz: np.ndarray


def draw_anatomy(
    rng: np.random.Generator, faz: FazContour, trees: VesselTrees, parameters: EyeParameters
) -> Drawing:
    """Draws the trees, capillaries that fill the space between them, and every label."""
    size, pitch = parameters.size, parameters.field_mm / parameters.size
    # Thin vessels carry less signal than the resolution cell they share with tissue.
    brightness = 0.5 + 0.5 * np.clip((trees.radius_um - 4) / 8, 0, 1)
    arteries, veins = (
        _paint(trees, kind, size, pitch, weight=brightness)
        for kind in (trees.artery, ~trees.artery)
    )
    labelled = trees.radius_um >= parameters.label_radius_um
    # Below 0.6 px a vessel's label would fall apart into single pixels.
    artery_label, vein_label = (
        _paint(trees, labelled & kind, size, pitch, least_radius_px=0.6)
        for kind in (trees.artery, ~trees.artery)
    )
    rv = np.maximum(artery_label, vein_label) >= 0.5
    vessel_class = np.where(rv, np.where(artery_label >= vein_label, 1, 2), 0).astype(np.uint8)

    superficial, deep, faz_mask, layers = _capillary_beds(rng, faz, parameters)
    free_zone = ndimage.gaussian_filter(arteries, 1e-3 * parameters.artery_free_zone_um / pitch)
    seen = (1 - np.exp(-superficial - 0.5 * deep)) * layers
    return Drawing(
        vessels=np.maximum(arteries, veins),
        bed=seen * (1 - np.clip(0.9 * free_zone, 0, 0.6)),
        deep_bed=1 - np.exp(-deep),
        rv=rv,
        vessel_class=vessel_class,
        centreline_radius_um=_draw_axes(trees, labelled, size, pitch),
        capillaries=superficial >= 0.4,
        faz=largest_region(faz_mask & ~rv),
    )


def largest_region(mask: np.ndarray) -> np.ndarray:
    """The largest 4-connected region of a mask.  [H, W] bool -> [H, W] bool."""
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(labels.ravel())
    return labels == 1 + np.argmax(sizes[1:])


def _paint(trees, chosen, size, pitch, *, weight=1.0, least_radius_px=0.0):
    """Antialiased drawing [H, W], 0 to 1, of the chosen segments as discs along their axis."""
    reach = 0.5 * size * pitch + 0.1  # mm; what grew in the margin is not drawn
    chosen = chosen & np.all(np.abs(trees.end) < reach, axis=1)
    start, end = trees.start[chosen], trees.end[chosen]
    steps = max(2, int(np.ceil(np.max(np.hypot(*(end - start).T), initial=0) / (0.5 * pitch))))
    fraction = (np.arange(1, steps + 1) / steps)[:, None, None]
    centre = (start + fraction * (end - start)) / pitch + (size - 1) / 2  # [steps, N, 2] px
    radius = np.maximum(1e-3 * trees.radius_um[chosen] / pitch, least_radius_px)
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


@dataclass(frozen=True)
class _Mesh:
    """Voronoi cells, longer towards the fovea than across, and their edges, in mm."""

    tree: cKDTree  # of the seeds, in warped coordinates
    seeds: np.ndarray  # [S, 2]
    edges: np.ndarray  # [E, 2, 2], both ends of every edge
    cells: np.ndarray  # [E, 2], the two cells an edge parts
    centre: np.ndarray  # [2]
    stretch: float

    def cell_of(self, points):
        """The cell in which each point lies.  [N, 2] -> [N] int."""
        return self.tree.query(_scale(points - self.centre, 1 / self.stretch))[1]


def _scale(offset, power):
    """Raises the lengths of vectors [N, 2] to a power."""
    return offset * np.maximum(np.hypot(*offset.T), 1e-6)[:, None] ** (power - 1)


def _make_mesh(rng, spacing, stretch, centre, half):
    """A mesh over the square of half side `half`; lengths to the centre are compressed to build
    it, which leaves cells `stretch` times longer towards the centre than across.
    """
    count = int(np.ceil(2 * half / spacing))
    grid = np.stack(np.meshgrid(*[np.arange(count)] * 2, indexing="ij"), -1).reshape(-1, 2)
    brick = np.stack([np.zeros(len(grid)), 0.5 * (grid[:, 0] % 2)], axis=1)
    seeds = -half + spacing * (grid + brick + rng.uniform(-0.1, 0.8, grid.shape))
    warped = _scale(seeds - centre, 1 / stretch)
    diagram = Voronoi(warped)
    ends = np.asarray(diagram.ridge_vertices)
    closed = ends.min(axis=1) >= 0
    vertices = _scale(diagram.vertices, stretch) + centre
    return _Mesh(
        tree=cKDTree(warped),
        seeds=seeds,
        edges=vertices[ends[closed]],
        cells=diagram.ridge_points[closed],
        centre=centre,
        stretch=stretch,
    )


def _avascular_cells(mesh, faz):
    """Which cells form the FAZ, [S] bool: those deepest inside the outline, up to its area."""
    grain = 0.015  # mm; a cell covers about ten grains
    extent = 2.0 * np.sqrt(faz.area_mm2 / np.pi)
    axis = np.arange(-extent, extent, grain)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2) + faz.centre
    area = grain**2 * np.bincount(mesh.cell_of(points), minlength=len(mesh.seeds))
    order = np.argsort(faz.level(mesh.seeds))
    chosen = np.zeros(len(mesh.seeds), bool)
    chosen[order[np.cumsum(area[order]) - area[order] / 2 <= faz.area_mm2]] = True
    return chosen


def _capillary_beds(rng, faz, parameters):
    """The superficial and the deep honeycomb of capillaries, and the avascular zone.

    The FAZ is a union of cells of the superficial honeycomb, so that its outline follows the
    innermost capillaries, as a grader's does.

    Returns:
        Both beds [H, W] float, capillary area per pixel area; the FAZ [H, W] bool; and [H, W]
        float, by how much the layers that lie above each other thin out towards the fovea.
    """
    size, pitch = parameters.size, parameters.field_mm / parameters.size
    half = parameters.field_mm / 2 + 0.1
    spacing = rng.uniform(*parameters.capillary_spacing_mm)
    stretch = rng.uniform(*parameters.capillary_elongation)

    mesh = _make_mesh(rng, spacing, stretch, faz.centre, half)
    avascular = _avascular_cells(mesh, faz)
    inside = avascular[mesh.cells]
    strength = _edge_strength(rng, len(mesh.edges), parameters)
    strength[inside[:, 0] != inside[:, 1]] = 1.0  # the perifoveal ring is closed
    strength[inside.all(axis=1)] = 0.0
    superficial = _draw_edges(mesh.edges, strength, size, pitch)

    # The deep plexus: the mesh reflected in the image's centre does for it.  It ends further from
    # the fovea.
    reflected = -mesh.edges
    strength = _edge_strength(rng, len(reflected), parameters)
    strength *= np.clip(1.4 * (faz.level(reflected.mean(axis=1)) - 1.15), 0, 1)
    deep = _draw_edges(reflected, strength, size, pitch)
    cover = 1e-3 * parameters.capillary_width_um / pitch  # length to covered area

    axis = (np.arange(size) - (size - 1) / 2) * pitch
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    near = np.hypot(*(points - faz.centre).T) < 3 * np.sqrt(faz.area_mm2 / np.pi)
    mask = np.zeros(size * size)
    mask[near] = avascular[mesh.cell_of(points[near])]
    # A grader's outline skips the tips of the dark wedges between capillaries, so it is smoothed;
    # the level that bounds it is the one that keeps the area.
    soft = ndimage.gaussian_filter(mask.reshape(size, size), 0.02 / pitch)
    pixels = max(1, round(faz.area_mm2 / pitch**2))
    mask = soft >= np.partition(soft, -pixels, axis=None)[-pixels]
    # Fewer layers of capillaries lie above each other towards the fovea.
    layers = np.ones(size * size)
    layers[near] = 0.6 + 0.4 * np.clip(faz.level(points[near]) - 1, 0, 1)
    return cover * superficial, cover * deep, mask, layers.reshape(size, size)


def _edge_strength(rng, count, parameters):
    """Brightness of each capillary [N]; a share of them shows no flow."""
    strength = rng.gamma(4.0, 0.25, count)
    return np.where(rng.uniform(size=count) < parameters.capillary_dropout, 0.0, strength)


def _draw_edges(edges, strength, size, pitch):
    """Length of line per pixel [H, W], weighted by strength and spread bilinearly."""
    drawn = strength > 0
    edges, strength = edges[drawn] / pitch + (size - 1) / 2, strength[drawn]
    start, along = edges[:, 0], edges[:, 1] - edges[:, 0]
    samples = max(2, round(0.06 / pitch))  # mm; few capillaries are longer
    fraction = (np.arange(samples) + 0.5)[:, None, None] / samples
    points = (start + fraction * along).reshape(-1, 2)
    mass = np.tile(strength * np.hypot(*along.T) / samples, samples)
    corner = np.floor(points).astype(int)
    weight = points - corner
    canvas = np.zeros((size + 2) ** 2)
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dy - weight[:, 0]) * np.abs(1 - dx - weight[:, 1])
            y, x = np.clip(corner + np.array([dy + 1, dx + 1]), 0, size + 1).T
            canvas += np.bincount(y * (size + 2) + x, mass * share, len(canvas))
    return canvas.reshape(size + 2, size + 2)[1:-1, 1:-1]
