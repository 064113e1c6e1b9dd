"""What a scanner does to an anatomy: speckle, blur, motion, uneven illumination, shadows."""

import numpy as np
from scipy import ndimage
from scipy.special import expit

from s2a_jax.data.synthesis.parameters import EyeParameters
from s2a_jax.data.synthesis.render import Drawing, largest_region

_HAZE_MM = 0.05  # sd of the light scattered out of focus


def acquire(
    rng: np.random.Generator, drawing: Drawing, parameters: EyeParameters
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images a drawn eye.

    Only saccades displace pixels, and they displace the masks alike; rows that would come from
    outside the field repeat its edge.

    Returns:
        The image [H, W] uint8 and the masks rv and faz [H, W] bool, disjoint.
    """
    size, pitch = parameters.size, parameters.field_mm / parameters.size
    bed = drawing.capillaries * _modulation(rng, parameters)
    flow = np.maximum(0.85 * bed, drawing.vessels)

    blur = 1e-3 * rng.uniform(*parameters.resolution_um)
    if rng.uniform() < parameters.resolution_loss_probability:
        blur *= 2
    signal = ndimage.gaussian_filter(flow, blur / pitch)
    haze = rng.uniform(*parameters.haze)
    signal = (1 - haze) * signal + haze * ndimage.gaussian_filter(bed, _HAZE_MM / pitch)
    signal *= _shading(rng, parameters)

    columns = _saccades(rng, parameters)
    signal, rv, faz = (
        np.take_along_axis(field, columns, axis=1) for field in (signal, drawing.rv, drawing.faz)
    )
    floor = rng.uniform(*parameters.noise_floor)
    image = (signal + floor) * _speckle(rng, rng.uniform(*parameters.speckle), size, pitch)
    image = _draw_motion_lines(rng, image, parameters)

    # The display saturates the brightest vessels, as the devices' export does.
    image = np.clip(image / np.percentile(image, 98.0), 0, 1) ** rng.uniform(*parameters.gamma)
    return np.rint(255 * image).astype(np.uint8), rv, largest_region(faz)


def _smooth_field(rng, size, scale_px):
    """Gaussian random field [size, size] with unit sd and the given correlation length, px.

    It is a sum of Gaussian bumps on a coarse lattice; blurring a fine one would dominate the
    run time.
    """
    lattice = np.arange(-2 * scale_px, size + 2 * scale_px, 0.7 * scale_px)
    bumps = np.exp(-0.5 * ((np.arange(size)[:, None] - lattice) / (0.7 * scale_px)) ** 2)
    field = bumps @ rng.normal(size=(len(lattice), len(lattice))) @ bumps.T
    return (field - field.mean()) / field.std()


def _modulation(rng, parameters):
    """Brightness of the capillary bed [H, W], mean 1: patches of 0.15 and 0.6 mm."""
    pitch = parameters.field_mm / parameters.size
    field = sum(_smooth_field(rng, parameters.size, scale / pitch) for scale in (0.15, 0.6))
    return np.clip(1 + rng.uniform(*parameters.modulation) * field / np.sqrt(2), 0.2, 2)


def _shading(rng, parameters):
    """Share of the light that comes back [H, W]: vignetting, floater, local signal loss."""
    axis = np.linspace(-1, 1, parameters.size)
    y, x = axis[:, None], axis[None]
    shading = 1 - rng.uniform(*parameters.vignetting) * (y**2 + x**2) / 2
    pitch = parameters.field_mm / parameters.size
    if rng.uniform() < parameters.floater_probability:
        cy, cx = rng.uniform(-0.9, 0.9, 2)
        ry, rx = rng.uniform(0.12, 0.4, 2)
        shape = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2
        shape = shape + 0.4 * _smooth_field(rng, parameters.size, 0.4 / pitch)
        shading = shading * (1 - rng.uniform(0.25, 0.6) * expit(-4 * (shape - 1)))
    if rng.uniform() < parameters.signal_loss_probability:
        weak = _smooth_field(rng, parameters.size, 1.2 / pitch) - rng.uniform(0.6, 1.4)
        shading = shading * (1 - rng.uniform(0.2, 0.5) * expit(4 * weak))
    return shading


def _saccades(rng, parameters):
    """Source column of every pixel [H, W] int: rows below a saccade are displaced sideways."""
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
    fine = ndimage.gaussian_filter(noise, 4e-3 / pitch) - 1
    return np.maximum(1 + fine * strength / fine.std(), 0)


def _draw_motion_lines(rng, image, parameters):
    """Brightens or darkens single scan lines, and all lines a little, as eye motion does."""
    rows = len(image)
    gain = 1 + rng.normal(0, 0.02, rows)
    thickness = max(1, round(0.012 * rows / parameters.field_mm))
    for _ in range(rng.poisson(parameters.motion_lines)):
        row = rng.integers(rows)
        gain[row : row + thickness] *= rng.choice([rng.uniform(0.6, 0.9), rng.uniform(1.1, 1.5)])
    return image * gain[:, None]
