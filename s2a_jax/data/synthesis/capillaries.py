"""The capillary beds: threads of oriented noise that take the course of capillaries."""

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from s2a_jax.data.synthesis.faz import FazContour
from s2a_jax.data.synthesis.parameters import EyeParameters

_DIRECTIONS = 6  # orientations of the threads, 30 degrees apart
_WANDER_MM = 0.3  # correlation length of the random part of the threads' course
_VESSEL_RANGE_MM = 0.1  # sd of the blur whose gradient points away from a vessel


@dataclass(frozen=True)
class CapillaryBeds:
    """Both plexuses without noise.

    Attributes:
        superficial: [H, W] float32, brightness of the capillaries, 0 to 1.
        deep: [H, W] float32, the same of the deep plexus.
        faz: [H, W] bool, the avascular zone as graders draw it.
        deep_faz: [H, W] bool, the same of the deep plexus alone, which contains `faz`.
    """

    superficial: np.ndarray
    deep: np.ndarray
    faz: np.ndarray
    deep_faz: np.ndarray


def draw_capillaries(
    rng: np.random.Generator, faz: FazContour, vessels: np.ndarray, parameters: EyeParameters
) -> CapillaryBeds:
    """Fills the space between the vessels with capillaries.

    White noise filtered to threads of one width and one direction is blended over directions, so
    that threads leave vessels at right angles, run towards a nearby fovea, and follow the outline
    of its avascular zone.

    Args:
        rng: random generator of the bed.
        faz: outline of the avascular zone.
        vessels: [H, W] float, brightness of the larger vessels.
        parameters: those of the eye.
    """
    size, pitch = parameters.size, parameters.field_mm / parameters.size
    axis = ((np.arange(size) - (size - 1) / 2) * pitch).astype(np.float32)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    level = faz.level(points).reshape(size, size)
    offset = (points - faz.centre).T.reshape(2, size, size)
    # mm beyond the outline, along the ray from the centre.
    beyond = np.hypot(*offset) * (1 - 1 / np.maximum(level, 1e-3))
    course = _course(rng, beyond, offset, vessels, pitch)
    spacing = rng.uniform(*parameters.capillary_spacing_mm)
    width = 1e-3 * parameters.capillary_width_um
    threads = _threads(rng, spacing, width, course, pitch)
    # Meshes are wider beside the FAZ, where only one layer of capillaries is left.
    flow = _flow(rng, size, pitch, parameters)
    reach = rng.uniform(*parameters.perifoveal_reach_mm)
    sparse = rng.uniform(*parameters.perifoveal_thinning) * np.exp(-((beyond / reach) ** 2))
    kept = _perfused(rng, beyond, pitch, parameters)
    superficial = threads * np.clip(flow - sparse, 0, 1) * (beyond > 0) * kept
    ring = np.exp(-(((beyond - width) / width) ** 2)) * np.clip(flow, 0, 1)
    superficial = np.maximum(superficial, ring)

    fine = _threads(rng, 0.8 * spacing, width, course[::-1, ::-1], pitch)
    # The deep plexus ends further from the fovea.
    onset = np.clip((beyond - 0.03) / rng.uniform(*parameters.deep_onset_mm), 0, 1)
    within = beyond <= 1e-3 * parameters.faz_label_um
    deep = fine * np.clip(_flow(rng, size, pitch, parameters), 0, 1) * onset * kept
    return CapillaryBeds(superficial, deep, within, within | (onset < 0.5))


def _perfused(rng, beyond, pitch, parameters):
    """Share of the capillaries' signal that dropout leaves [H, W]; patches fade towards the FAZ."""
    if rng.uniform() >= parameters.dropout_probability:
        return np.ones_like(beyond)
    field = smooth_field(rng, len(beyond), 0.25 / pitch) - rng.uniform(0.8, 1.6)
    patches = np.clip(4 * field, 0, 1) * np.clip(beyond / 0.2, 0, 1)
    return 1 - rng.uniform(*parameters.dropout) * patches


def _flow(rng, size, pitch, parameters):
    """Signal of the capillaries [H, W], about 0.7, which varies along each of them."""
    return 0.7 + parameters.capillary_flow_sd * smooth_field(rng, size, 0.03 / pitch)


def _course(rng, beyond, offset, vessels, pitch):
    """Angle of the threads [H, W], rad, modulo pi.

    Directions are averaged as vectors of twice their angle, since a thread has no sign.
    """
    distance = np.maximum(np.hypot(*offset), 1e-3)
    inward = ((offset[1] + 1j * offset[0]) / distance) ** 2
    along = -inward  # approximately the outline's tangent
    blurred = ndimage.gaussian_filter(vessels, _VESSEL_RANGE_MM / pitch, output=np.float32)
    dy, dx = np.gradient(blurred, pitch)
    away = (dx + 1j * dy) ** 2
    strength = np.abs(away)
    away *= np.sqrt(strength) / np.maximum(strength, 1e-9)  # proportional to the gradient
    scale = np.percentile(np.abs(away), 80)
    wander = smooth_field(rng, len(beyond), _WANDER_MM / pitch) + 1j * smooth_field(
        rng, len(beyond), _WANDER_MM / pitch
    )
    mixed = (
        2.5 * np.exp(-np.maximum(beyond, 0) / 0.1) * along
        + 0.6 * np.exp(-np.maximum(beyond, 0) / 0.5) * inward
        + away / scale
        + 0.5 * wander
    )
    return 0.5 * np.angle(mixed)


def _threads(rng, spacing_mm, width_mm, course, pitch):
    """Thin lines [H, W] float32, 0 to 1, `spacing_mm` apart, that follow `course` [H, W], rad.

    The lines are the zero crossings of oriented noise: curves that never end, part and meet again.
    """
    size = len(course)
    padded = fft.next_fast_len(size + int(0.3 / pitch), real=True)
    noise = fft.rfft2(rng.standard_normal((padded, padded), dtype=np.float32))
    fy = fft.fftfreq(padded, pitch).astype(np.float32)[:, None]
    fx = fft.rfftfreq(padded, pitch).astype(np.float32)[None]
    # A wave passes through zero twice.
    band = np.exp(-0.5 * ((np.hypot(fy, fx) * 2 * spacing_mm - 1) / 0.5) ** 2)
    # cos(2 (angle of the wave vector - angle across the thread)), which needs no arctan.
    square = (fx + 1j * fy) ** 2
    square /= np.maximum(np.abs(square), 1e-12)
    field = np.zeros((size, size), np.float32)
    for direction in np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS:
        across = np.exp(-2j * (direction + np.pi / 2)).astype(np.complex64)
        aligned = np.real(square * across)
        filtered = fft.irfft2(noise * band * np.exp(1.5 * (aligned - 1)), (padded, padded))
        filtered = filtered[:size, :size]
        weight = np.exp(3 * (np.cos(2 * (course - direction)) - 1)).astype(np.float32)
        field += weight * filtered / filtered.std()
    slope = np.hypot(*np.gradient(field, pitch))
    distance = np.abs(field) / (slope + 0.2 * slope.mean())  # approximate distance to the line, mm
    # Thinner than a pixel, a line is as faint as the share of the pixel that it covers.
    sigma = max(width_mm, pitch) / 2
    return min(1, width_mm / pitch) * np.exp(-0.5 * (distance / sigma) ** 2)


def smooth_field(rng: np.random.Generator, size: int, scale_px: float) -> np.ndarray:
    """Gaussian random field [size, size] with mean 0, unit sd and a correlation length in px.

    It is a sum of Gaussian bumps on a coarse lattice; blurring a fine one would dominate the run
    time.
    """
    lattice = np.arange(-2 * scale_px, size + 2 * scale_px, 0.7 * scale_px)
    bumps = np.exp(-0.5 * ((np.arange(size)[:, None] - lattice) / (0.7 * scale_px)) ** 2)
    field = bumps @ rng.normal(size=(len(lattice), len(lattice))) @ bumps.T
    return (field - field.mean()) / field.std()
