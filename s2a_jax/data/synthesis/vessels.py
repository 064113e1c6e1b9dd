"""The arterial and venous trees of the macula, in mm."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from s2a_jax.data.synthesis.faz import FazContour
from s2a_jax.data.synthesis.parameters import EyeParameters

_KEEP_OUT = 1.12  # FAZ radii; a capillary ring separates larger vessels from the FAZ
_LEAST_COURSE = 0.4  # least cosine between a segment and the direction in which its branch set out
_LEAST_HEADING = 0.8  # least cosine between two successive segments of a branch


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


def grow_vessels(
    rng: np.random.Generator, faz: FazContour, parameters: EyeParameters
) -> VesselTrees:
    """Grows arteries and veins by space colonisation over the whole macula.

    The four temporal arcades come from the optic disc as ready trunks; a few more vessels enter
    over the border. Growth has stages: sparse sinks first draw the few long branches, then denser
    and denser ones fill the space between with side branches. After the first stage all trees
    compete for the same sinks, which keeps neighbouring arteries and veins apart.
    """
    grown = _plant(rng, faz, parameters)
    for stage in parameters.growth:
        grown = _colonise(rng, grown, stage, faz, parameters)
    flow = np.ones(len(grown.nodes))
    flow[: len(grown.outflow)] += grown.outflow
    radius = _murray_radii(rng, flow, grown.parent, grown.tree, parameters)
    waved = grown.nodes + _waves(rng, grown.nodes, faz, parameters)
    inner = grown.parent >= 0
    return VesselTrees(
        start=waved[grown.parent[inner]],
        end=waved[inner],
        radius_um=radius[inner],
        artery=grown.tree[inner] % 2 == 0,
    )


@dataclass(frozen=True)
class _Growth:
    """Trees while they grow; parents precede children."""

    nodes: np.ndarray  # [N, 2] mm
    parent: np.ndarray  # [N], -1 for a root
    heading: np.ndarray  # [N, 2] unit vectors
    course: np.ndarray  # [N, 2] unit vectors, in which each node's branch set out
    tree: np.ndarray  # [N], even for arteries
    outflow: np.ndarray  # [first nodes], flow that each passes on out of the macula


def _colonise(rng, grown, stage, faz, parameters):
    """Grows the trees for one stage.

    In every iteration each sink pulls at the nearest node within the stage's reach. A pulled node
    grows a segment, so a tip elongates and an inner node branches. Sinks closer to a vessel than
    the clearance are fed and vanish.
    """
    nodes, parent, tree = grown.nodes, grown.parent, grown.tree
    heading, course = grown.heading, grown.course
    half = parameters.macula_mm / 2 + parameters.margin_mm
    sinks = rng.uniform(-half, half, (int(stage.sinks_per_mm2 * (2 * half) ** 2), 2))
    sinks = sinks[faz.level(sinks) > 1.15]
    places = _place(sinks, np.arange(len(sinks)), stage)
    ready = _tree(_place(nodes, tree, stage))
    nearest_distance, nearest = ready.query(places)
    hungry = np.flatnonzero(nearest_distance > stage.clearance_mm)
    nearest, nearest_distance = nearest[hungry], nearest_distance[hungry]
    # Side branches leave a ready vessel at intervals, not from every node of it.
    children = np.bincount(parent[parent >= 0], minlength=len(nodes))
    children[(children > 0) & (rng.uniform(size=len(nodes)) > stage.branch_share)] = 2
    for _ in range(stage.iterations):
        pulling = np.flatnonzero(nearest_distance < stage.reach_mm)
        growing, group = np.unique(nearest[pulling], return_inverse=True)
        pull = np.zeros((len(growing), 2))
        np.add.at(pull, group, _unit(sinks[hungry[pulling]] - nodes[nearest[pulling]]))
        # A node with two branches that sinks still pull at sits between sinks it cannot reach.
        free = children[growing] < 2
        growing, pull = growing[free], pull[free]
        if not len(growing):
            break
        direction = _steer(_unit(pull), nodes[growing], heading[growing], faz, stage, parameters)
        tips = nodes[growing] + parameters.step_mm * direction
        # Two searches, because one tree of all nodes would be rebuilt in every iteration.
        too_near = 0.5 * parameters.step_mm
        tip_places = _place(tips, tree[growing], stage)
        crowded = ready.query(tip_places, distance_upper_bound=too_near)[0] < too_near
        if len(nodes) > ready.n:
            grown_now = _tree(_place(nodes[ready.n :], tree[ready.n :], stage))
            crowded |= grown_now.query(tip_places, distance_upper_bound=too_near)[0] < too_near
        # A branch must not bend sharply or turn back, or it curls up around sinks beside it.
        is_tip = children[growing] == 0
        course_of_tips = np.where(is_tip[:, None], course[growing], direction)
        kept = ~crowded & (faz.level(tips) > _KEEP_OUT)
        kept &= np.sum(direction * course_of_tips, axis=1) > _LEAST_COURSE
        kept &= ~is_tip | (np.sum(direction * heading[growing], axis=1) > _LEAST_HEADING)
        kept &= ~_leads_past(nodes[growing], direction, faz, parameters)
        children[growing] += np.where(kept, 1, 2)
        growing, tips, direction = growing[kept], tips[kept], direction[kept]
        course = np.concatenate([course, course_of_tips[kept]])
        if not len(growing):
            continue

        first = len(nodes)
        nodes = np.concatenate([nodes, tips])
        parent = np.concatenate([parent, growing])
        heading = np.concatenate([heading, direction])
        tree = np.concatenate([tree, tree[growing]])
        children = np.concatenate([children, np.zeros(len(tips), int)])
        distance, index = _tree(tip_places[kept]).query(places[hungry])
        closer = distance < nearest_distance
        nearest_distance = np.where(closer, distance, nearest_distance)
        nearest = np.where(closer, first + index, nearest)
        still = nearest_distance > stage.clearance_mm
        hungry, nearest, nearest_distance = hungry[still], nearest[still], nearest_distance[still]
    return _Growth(nodes, parent, heading, course, tree, grown.outflow)


def _place(points, kind, stage):
    """Points [N, 2]; [N, 3] keeps arteries (even kinds) and veins apart if they share no sinks."""
    return points if stage.shared else np.column_stack([points, 10.0 * (kind % 2)])


def _plant(rng, faz, parameters):
    """The arcades as ready trunks, and roots of further vessels on the border."""
    half = parameters.macula_mm / 2 + parameters.margin_mm
    nasal = rng.choice([-1.0, 1.0])  # the disc's side
    lines = [
        _arcade(rng, nasal, vertical, parameters)
        for vertical in (-1, 1)
        for _ in ("artery", "vein")
    ]
    count = rng.integers(*parameters.border_roots, endpoint=True)
    # Twice as many roots lie on the nasal side, where vessels come straight from the disc.
    side = rng.choice(4, count, p=[0.2, 0.2, 0.4, 0.2])
    along = half * rng.uniform(-1, 1, count)
    border = np.select(
        [side[:, None] == 0, side[:, None] == 1, side[:, None] == 2],
        [
            np.stack([np.full(count, -half), along], axis=1),
            np.stack([np.full(count, half), along], axis=1),
            np.stack([along, np.full(count, nasal * half)], axis=1),
        ],
        np.stack([along, np.full(count, -nasal * half)], axis=1),
    )
    lines += [root[None] for root in border]
    kinds = [0, 1, 0, 1, *(np.arange(count) + rng.integers(2)) % 2]
    nodes = np.concatenate(lines)
    parent = np.concatenate(
        [
            first - 1 + np.arange(len(line))
            for line, first in zip(lines, _starts(lines), strict=True)
        ]
    )
    parent[_starts(lines)] = -1
    heading = [
        _unit(np.gradient(line, axis=0)) if len(line) > 1
        else _unit(faz.centre - line + rng.normal(0, 0.5, (1, 2)))
        for line in lines
    ]  # fmt: skip
    tree = np.concatenate(
        [
            np.full(len(line), 2 * i + kind)
            for i, (line, kind) in enumerate(zip(lines, kinds, strict=True))
        ]
    )
    # The area that an arcade feeds outside the macula determines its calibre at the border.
    outflow = np.zeros(len(nodes))
    ends = _starts(lines)[:4] + [len(line) - 1 for line in lines[:4]]
    radius = rng.uniform(*parameters.arcade_end_radius_um, 4) / parameters.tip_radius_um
    outflow[ends] = radius**2.7
    heading = np.concatenate(heading)
    return _Growth(nodes, parent, heading, heading, tree, outflow)


def _starts(lines):
    """Index of each line's first point in the lines' concatenation."""
    return np.cumsum([0, *(len(line) for line in lines[:-1])])


def _arcade(rng, nasal, vertical, parameters):
    """A temporal arcade [N, 2]: from the optic disc around the macula, a cubic Bezier curve."""
    height = vertical * rng.uniform(*parameters.arcade_height_mm)
    corners = np.array(
        [
            [vertical * rng.uniform(0, 0.6), nasal * rng.uniform(3.9, 4.6)],
            [1.2 * height, nasal * rng.uniform(2.0, 3.4)],
            [1.3 * height, nasal * rng.uniform(-1.6, 0.4)],
            [height * rng.uniform(0.2, 1.1), -nasal * rng.uniform(3.4, 4.2)],
        ]
    )
    length = np.hypot(*np.diff(corners, axis=0).T).sum()
    t = np.linspace(0, 1, int(0.9 * length / parameters.step_mm))[:, None]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    line = sum(weight * corner for weight, corner in zip(weights, corners, strict=True))
    order = np.arange(2, 7)
    waves = np.sin(np.pi * t * order + rng.uniform(0, 2 * np.pi, 5)) / order
    return line + rng.uniform(*parameters.arcade_wander_mm) * (waves @ rng.normal(size=(5, 2)))


def _steer(pull, position, heading, faz, stage, parameters):
    """Mixes attraction, inertia and the pull to the fovea; close to the FAZ, turns along it."""
    inward = _unit(faz.centre - position)
    distance = np.hypot(*(faz.centre - position).T)  # mm
    level = faz.level(position)
    near = np.clip((parameters.tangential_band - level) / (parameters.tangential_band - 1), 0, 1)
    direction = _unit(
        pull
        + stage.inertia * heading
        + (parameters.foveal_pull * (1 - near) * np.exp(-distance / 1.5))[:, None] * inward
    )
    radial = np.sum(direction * inward, axis=1)
    return _unit(direction - (near * np.maximum(radial, 0))[:, None] * inward)


def _leads_past(position, direction, faz, parameters):
    """Whether each step leads away from a nearby fovea.  [N, 2] twice -> [N] bool."""
    inward = faz.centre - position
    near = np.hypot(*inward.T) < parameters.foveal_zone_mm
    return near & (np.sum(direction * _unit(inward), axis=1) < 0)


def _murray_radii(rng, flow, parent, tree, parameters):
    """Radii [N], um, by Murray's law r_p^k = sum r_c^k; every segment also feeds its own bed.

    Counting each segment's own supply makes a vessel taper between its branchings.
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
    """A search tree that is cheap to build, because each is queried once."""
    return cKDTree(points, compact_nodes=False, balanced_tree=False)


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
