"""Anatomy in mm: the outline of the avascular zone and the arterial and venous trees around it."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from s2a_jax.data.synthesis.parameters import EyeParameters

# The harmonics of the FAZ outline: 1 is an offset and 2 the ellipse itself.
_HARMONICS = np.arange(3, 9)
_KEEP_OUT = 1.12  # FAZ radii; larger vessels end in a capillary ring and never touch the FAZ


@dataclass(frozen=True)
class FazContour:
    """Star-shaped outline of the foveal avascular zone: a perturbed ellipse.

    Attributes:
        centre: [2] (y, x), mm from the image centre.
        area_mm2: Target area, mm^2.
        axis_ratio: Long over short axis of the ellipse, >= 1.
        tilt: Angle of the long axis, rad.
        amplitudes: [6] relative amplitudes of harmonics 3 to 8.
        phases: [6] their phases, rad.
    """

    centre: np.ndarray
    area_mm2: float
    axis_ratio: float
    tilt: float
    amplitudes: np.ndarray
    phases: np.ndarray

    def level(self, points: np.ndarray) -> np.ndarray:
        """Distance from the centre in units of the outline's: < 1 inside.  [N, 2] -> [N]."""
        offset = points - self.centre
        angle = np.arctan2(offset[:, 0], offset[:, 1]) - self.tilt
        ellipse = np.sqrt(
            self.axis_ratio / (np.cos(angle) ** 2 + (self.axis_ratio * np.sin(angle)) ** 2)
        )
        waves = np.cos(angle[:, None] * _HARMONICS + self.phases) @ self.amplitudes
        radius = np.sqrt(self.area_mm2 / np.pi) * ellipse * (1 + waves)
        return np.hypot(*offset.T) / radius


@dataclass(frozen=True)
class VesselTrees:
    """Segments of all trees; segment i ends in node i, and parents precede children.

    Attributes:
        start: [N, 2] (y, x) of the proximal end, mm from the image centre.
        end: [N, 2] of the distal end.
        radius_um: [N] radius, um; never grows away from the root.
        artery: [N] bool, False for veins.
    """

    start: np.ndarray
    end: np.ndarray
    radius_um: np.ndarray
    artery: np.ndarray


def draw_faz(rng: np.random.Generator, parameters: EyeParameters) -> FazContour:
    """Draws place, area and outline of a FAZ."""
    angle = rng.uniform(0, 2 * np.pi)
    distance = parameters.faz_offset_mm * np.sqrt(rng.uniform())
    area = rng.normal(parameters.faz_area_mean_mm2, parameters.faz_area_sd_mm2)
    return FazContour(
        centre=distance * np.array([np.sin(angle), np.cos(angle)]),
        area_mm2=float(np.clip(area, *parameters.faz_area_clip_mm2)),
        axis_ratio=rng.uniform(*parameters.faz_axis_ratio),
        tilt=rng.uniform(0, np.pi),
        amplitudes=parameters.faz_irregularity * rng.normal(size=6) / (_HARMONICS - 2),
        phases=rng.uniform(0, 2 * np.pi, 6),
    )


def grow_vessels(
    rng: np.random.Generator, faz: FazContour, parameters: EyeParameters
) -> VesselTrees:
    """Grows arteries and veins from the border towards the fovea by space colonisation.

    Every iteration, each oxygen sink pulls at the nearest vessel node within `reach_mm`; a node
    that is pulled grows a segment, so a tip elongates and an inner node branches.  Sinks closer
    than `clearance_mm` to a vessel are fed and vanish.  All trees compete for the same sinks,
    which is what keeps neighbouring arteries and veins apart.
    """
    nodes, parent, heading, tree, outflow = _plant_roots(rng, parameters)
    sinks = _draw_sinks(rng, faz, parameters)
    nearest_distance, nearest = _tree(nodes).query(sinks)
    # Side branches leave an arcade at intervals, not from every node of the ready trunk.
    ready = np.bincount(parent[parent >= 0], minlength=len(nodes)) > 0
    children = 2 * (ready & (rng.uniform(size=len(nodes)) > parameters.arcade_branch_share))
    for _ in range(parameters.iterations):
        pulling = np.flatnonzero(nearest_distance < parameters.reach_mm)
        growing, group = np.unique(nearest[pulling], return_inverse=True)
        pull = np.zeros((len(growing), 2))
        np.add.at(pull, group, _unit(sinks[pulling] - nodes[nearest[pulling]]))
        # A node with two branches that is still pulled at sits between sinks it cannot reach.
        free = children[growing] < 2
        growing, pull = growing[free], pull[free]
        if not len(growing):
            break
        direction = _steer(_unit(pull), nodes[growing], heading[growing], faz, parameters)
        grown = nodes[growing] + parameters.step_mm * direction
        crowded = _tree(nodes).query(grown)[0] < 0.5 * parameters.step_mm
        kept = ~crowded & (faz.level(grown) > _KEEP_OUT)
        children[growing] += np.where(kept, 1, 2)
        growing, grown, direction = growing[kept], grown[kept], direction[kept]
        if not len(growing):
            continue

        first = len(nodes)
        nodes = np.concatenate([nodes, grown])
        parent = np.concatenate([parent, growing])
        heading = np.concatenate([heading, direction])
        tree = np.concatenate([tree, tree[growing]])
        children = np.concatenate([children, np.zeros(len(grown), int)])
        distance, index = _tree(grown).query(sinks)
        closer = distance < nearest_distance
        nearest_distance = np.where(closer, distance, nearest_distance)
        nearest = np.where(closer, first + index, nearest)
        hungry = nearest_distance > parameters.clearance_mm
        sinks, nearest, nearest_distance = sinks[hungry], nearest[hungry], nearest_distance[hungry]

    flow = np.ones(len(nodes))
    flow[: len(outflow)] += outflow
    radius = _murray_radii(rng, flow, parent, tree, parameters)
    waved = nodes + _waves(rng, nodes, faz, parameters)
    inner = parent >= 0
    return VesselTrees(
        start=waved[parent[inner]],
        end=waved[inner],
        radius_um=radius[inner],
        artery=tree[inner] % 2 == 0,
    )


def _plant_roots(rng, parameters):
    """Roots around the border, artery and vein in turn, and perhaps an arcade as a ready trunk.

    Returns nodes [N, 2], parents [N] (-1 for a root), headings [N, 2], tree numbers [N] (even for
    arteries) and the flow each node passes on beyond the image [N].
    """
    half = parameters.field_mm / 2 + parameters.margin_mm
    count = 2 * round(rng.uniform(*parameters.roots_per_mm) * 8 * half / 2)
    place = (np.arange(count) + rng.uniform(-0.35, 0.35, count)) / count * 4 + rng.uniform(0, 4)
    side, along = np.divmod(place % 4, 1)
    along = half * (2 * along - 1)
    fixed = np.full(count, half)
    nodes = np.choose(
        side.astype(int)[:, None],
        [
            np.stack(pair, axis=1)
            for pair in ((-fixed, along), (along, fixed), (fixed, -along), (-along, -fixed))
        ],
    )
    parent, tree, outflow = np.full(count, -1), np.arange(count), np.zeros(count)
    heading = _unit(-nodes + rng.normal(0, 0.3 * half, nodes.shape))

    if rng.uniform() < parameters.arcade_probability:
        trunk = _arcade(rng, half, parameters.step_mm)
        first, length = count, len(trunk)
        nodes = np.concatenate([nodes, trunk])
        parent = np.concatenate([parent, [-1], np.arange(first, first + length - 1)])
        tree = np.concatenate([tree, np.full(length, count + rng.integers(2))])
        heading = np.concatenate([heading, _unit(np.gradient(trunk, axis=0))])
        radius = rng.uniform(*parameters.arcade_radius_um) / parameters.tip_radius_um
        outflow = np.concatenate([outflow, np.zeros(length - 1), [radius**2.7]])
    return nodes, parent, heading, tree, outflow


def _arcade(rng, half, step):
    """A bent line [N, 2] across one corner of the square of half side `half`."""
    corner = rng.choice([-1.0, 1.0], 2) * half
    ends = corner * np.array([[1, rng.uniform(-0.8, 0.5)], [rng.uniform(0.1, 0.8), 1]])
    bend = ends.mean(axis=0) + rng.uniform(-0.25, 0.15) * (corner - ends.mean(axis=0))
    t = np.linspace(0, 1, max(4, int(np.hypot(*(ends[1] - ends[0])) / step)))[:, None]
    return (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * bend + t**2 * ends[1]


def _draw_sinks(rng, faz, parameters):
    """Uniform points [N, 2] in the widened field, outside the FAZ and its capillary ring."""
    half = parameters.field_mm / 2 + parameters.margin_mm
    count = int(parameters.sinks_per_mm2 * (2 * half) ** 2)
    points = rng.uniform(-half, half, (count, 2))
    return points[faz.level(points) > 1.35]


def _steer(pull, position, heading, faz, parameters):
    """Mixes attraction, inertia and the way to the fovea; turns along the FAZ close to it."""
    inward = _unit(faz.centre - position)
    level = faz.level(position)
    near = np.clip((parameters.tangential_band - level) / (parameters.tangential_band - 1), 0, 1)
    direction = _unit(
        pull
        + parameters.inertia * heading
        + (parameters.foveal_pull * (1 - near))[:, None] * inward
    )
    radial = np.sum(direction * inward, axis=1)
    return _unit(direction - (near * np.maximum(radial, 0))[:, None] * inward)


def _murray_radii(rng, flow, parent, tree, parameters):
    """Radii [N], um, by Murray's law r_p^k = sum r_c^k; every segment also feeds its own bed.

    Counting each segment's own supply is what lets a vessel taper between its branchings.
    """
    for node in range(len(flow) - 1, -1, -1):
        if parent[node] >= 0:
            flow[parent[node]] += flow[node]
    exponent = rng.uniform(*parameters.murray_exponent)
    scale = np.exp(rng.normal(0, parameters.tree_radius_sd, tree.max() + 1))
    scale[1::2] *= parameters.vein_to_artery**0.5
    scale[0::2] /= parameters.vein_to_artery**0.5
    return parameters.tip_radius_um * scale[tree] * flow ** (1 / exponent)


def _waves(rng, points, faz, parameters):
    """Smooth displacement [N, 2], mm, that makes vessels wind; it fades towards the FAZ."""
    wavelength = rng.uniform(0.25, 0.9, 12)  # mm
    angle = rng.uniform(0, 2 * np.pi, 12)
    waves = 2 * np.pi / wavelength * np.stack([np.sin(angle), np.cos(angle)])
    phase = points @ waves + rng.uniform(0, 2 * np.pi, 12)
    mix = rng.normal(size=(12, 2)) * (wavelength / 0.6)[:, None]
    amplitude = 1e-3 * rng.uniform(*parameters.tortuosity_um) / np.sqrt(6)
    fade = np.clip(faz.level(points) - 1, 0, 1)[:, None]
    return amplitude * fade * (np.sin(phase) @ mix)


def _tree(points):
    """A search tree that is cheap to build, since each is queried once."""
    return cKDTree(points, compact_nodes=False, balanced_tree=False)


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
