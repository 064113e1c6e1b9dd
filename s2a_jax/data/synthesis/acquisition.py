"""What a scanner does to an anatomy: speckle, blur, motion, uneven illumination, shadows."""

import numpy as np
from scipy import ndimage
from scipy.special import expit

from s2a_jax.data.synthesis.capillaries import smooth_field
from s2a_jax.data.synthesis.parameters import EyeParameters
from s2a_jax.data.synthesis.render import Drawing

_STREAK_MM = 0.04  # length of the noise along a scan line
_HAZE_MM = 0.05  # sd of the light scattered out of focus


def acquire(
    rng: np.random.Generator, drawing: Drawing, parameters: EyeParameters
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images a drawn eye.

    Only saccades displace pixels; `displaced` moves the labels in the same way.

    Returns:
        The superficial and the deep image, both [H, W] uint8, and the column of the anatomy that
        each pixel shows, [H, W] int.
    """
    size, pitch = parameters.size, parameters.field_mm / parameters.size
    modulation = _modulation(rng, parameters)
    blur = 1e-3 * rng.uniform(*parameters.resolution_um) / pitch
    if rng.uniform() < parameters.resolution_loss_probability:
        blur *= 2
    haze = rng.uniform(*parameters.haze)
    shading = _shading(rng, parameters)
    columns = _saccades(rng, parameters)
    floor = rng.uniform(*parameters.noise_floor)
    speckle = rng.uniform(*parameters.speckle)
    lines = _motion_lines(rng, parameters)
    added = _bulk_motion(rng, parameters)
    border = _dark_border(rng, parameters)
    saturation = rng.uniform(*parameters.saturation_percentile)
    gamma = rng.uniform(*parameters.gamma)

    def scan(flow, bed, vessels):
        signal = ndimage.gaussian_filter(flow, blur)
        signal = (1 - haze) * signal + haze * ndimage.gaussian_filter(bed, _HAZE_MM / pitch)
        signal = displaced(np.maximum(signal * shading, 0), columns)
        grain = _speckle(rng, speckle, size, pitch)
        # Fast flow decorrelates fully between the repeats: vessels show less speckle than the bed.
        calm = 0.7 * displaced(vessels, columns)
        signal = np.maximum(signal + floor + added, 0)
        image = signal * (grain + calm * (1 - grain)) * lines[:, None] * border
        # Devices export images whose brightest pixels are saturated.
        image = np.clip(image / np.percentile(image, saturation), 0, 1) ** gamma
        return np.rint(255 * image).astype(np.uint8)

    modulation *= rng.uniform(*parameters.bed_signal)
    bed = drawing.bed * modulation
    reflex = _foveal_reflex(rng, drawing.faz, parameters)
    superficial = scan(np.maximum(bed, drawing.vessels) + reflex, bed, drawing.vessels)
    # Larger vessels show through as bright tails, or as shadows if a device subtracted those.
    bed = drawing.deep_bed * modulation
    projection = rng.uniform(*parameters.projection) * drawing.vessels
    return superficial, scan(bed + projection, bed, np.zeros_like(bed)), columns


def displaced(field: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A map as scanned: each pixel shows the given column of its row.  [H, W] twice -> [H, W]."""
    return np.take_along_axis(field, columns, axis=1)


def _modulation(rng, parameters):
    """Brightness of the capillary bed [H, W], mean 1: patches of 0.15 and 0.6 mm."""
    pitch = parameters.field_mm / parameters.size
    field = sum(smooth_field(rng, parameters.size, scale / pitch) for scale in (0.15, 0.6))
    return np.clip(1 + rng.uniform(*parameters.modulation) * field / np.sqrt(2), 0.2, 2)


def _shading(rng, parameters):
    """Share of the light that returns [H, W]: vignetting, floater, local signal loss."""
    axis = np.linspace(-1, 1, parameters.size)
    y, x = axis[:, None], axis[None]
    shading = 1 - rng.uniform(*parameters.vignetting) * (y**2 + x**2) / 2
    pitch = parameters.field_mm / parameters.size
    if rng.uniform() < parameters.floater_probability:
        cy, cx = rng.uniform(-0.9, 0.9, 2)
        ry, rx = rng.uniform(0.12, 0.4, 2)
        shape = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2
        shape = shape + 0.4 * smooth_field(rng, parameters.size, 0.4 / pitch)
        shading = shading * (1 - rng.uniform(0.25, 0.6) * expit(-4 * (shape - 1)))
    if rng.uniform() < parameters.signal_loss_probability:
        weak = smooth_field(rng, parameters.size, 1.2 / pitch) - rng.uniform(0.6, 1.4)
        depth, steepness = rng.uniform(*parameters.signal_loss), rng.uniform(2, 6)
        shading = shading * (1 - depth * expit(steepness * weak))
    return shading


def _foveal_reflex(rng, faz, parameters):
    """Specks [H, W] of the foveal light reflex, which show where no vessel is."""
    specks = np.zeros(faz.shape)
    if rng.uniform() < parameters.reflex_probability:
        pitch = parameters.field_mm / parameters.size
        place = ndimage.center_of_mass(faz) + rng.normal(0, 0.05, 2) / pitch
        spread = rng.uniform(0.03, 0.12) / pitch
        pixel = np.rint(place + rng.normal(0, spread, (rng.integers(10, 60), 2))).astype(int)
        pixel = np.clip(pixel, 0, parameters.size - 1)
        np.maximum.at(specks, tuple(pixel.T), rng.uniform(0.1, 0.9, len(pixel)))
    return specks


def _dark_border(rng, parameters):
    """Gain [H, W]: some sides end in a strip without signal, where registration cut them off."""
    gain = np.ones((parameters.size, parameters.size))
    pitch = parameters.field_mm / parameters.size
    for turn in range(4):
        if rng.uniform() < parameters.dark_border_probability:
            width = rng.uniform(0.02, 0.2) / pitch
            edge = width * (1 + 0.5 * _smooth_line(rng, parameters.size, 0.3 / pitch))
            np.rot90(gain, turn)[:] *= np.arange(parameters.size)[:, None] >= edge
    return gain


def _smooth_line(rng, size, scale_px):
    """Gaussian random line [size] with unit sd and the given correlation length, px."""
    line = ndimage.gaussian_filter1d(rng.normal(size=size), scale_px, mode="wrap")
    return line / line.std()


def _saccades(rng, parameters):
    """Column that each pixel shows [H, W] int: rows below a saccade are displaced sideways."""
    size, pitch = parameters.size, parameters.field_mm / parameters.size
    shift = np.zeros(size)
    for _ in range(rng.poisson(parameters.motion_shifts)):
        row = rng.integers(size)
        shift[row:] += 1e-3 * parameters.motion_shift_um * rng.uniform(-1, 1) / pitch
    columns = np.arange(size) + np.rint(shift).astype(int)[:, None]
    return np.clip(columns, 0, size - 1)


def _speckle(rng, strength, size, pitch):
    """Multiplicative gamma noise [H, W], mean 1 and sd `strength`, with grains of about 15 um."""
    noise = rng.standard_gamma(1 / strength**2, (size, size)) * strength**2
    fine = ndimage.gaussian_filter(noise, 6e-3 / pitch) - 1
    return np.maximum(1 + fine * strength / fine.std(), 0)


def _bulk_motion(rng, parameters):
    """Signal [H, W] that slow eye motion adds where nothing flows: bands and fine streaks."""
    size, pitch = parameters.size, parameters.field_mm / parameters.size
    if rng.uniform() >= parameters.bulk_motion_probability:
        return np.zeros((size, size))
    bands = rng.uniform(*parameters.bulk_motion) * np.abs(_smooth_line(rng, size, 0.1 / pitch))
    streaks = ndimage.gaussian_filter1d(rng.normal(size=(size, size)), _STREAK_MM / pitch)
    return bands[:, None] + rng.uniform(*parameters.streaks) * streaks / streaks.std()


def _motion_lines(rng, parameters):
    """Gain of the scan lines [H]: eye motion changes all of them a little and a few strongly."""
    rows = parameters.size
    gain = 1 + rng.normal(0, rng.uniform(*parameters.line_gain), rows)
    thickness = max(1, round(0.012 * rows / parameters.field_mm))
    for _ in range(rng.poisson(parameters.motion_lines)):
        row = rng.integers(rows)
        gain[row : row + thickness] *= rng.choice([rng.uniform(0.6, 0.9), rng.uniform(1.1, 1.5)])
    return gain
