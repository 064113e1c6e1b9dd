"""Photometric augmentation on the device: what scanners and displays do to intensities.

Each function changes one image [H, W] in [0, 1] by one random draw of a key; masks do not change.
The result may leave [0, 1] and is clipped once at the end, by `Augmentation`.

The slabs of a case are projections of one scan. Eye motion, floaters and defocus hit all of them
alike, so they share stripes, shadow and blur. Contrast is drawn for each slab, since devices window
every projection by itself, and so is noise, since the voxels differ.
"""

import jax
import jax.numpy as jnp
from jax import Array


def contrast(key: Array, image: Array, limit: float) -> Array:
    """Stretches intensities about their mean by 1 + u and shifts them by v / 2.

    u and v are uniform in [-limit, limit]. Devices window their exports like this.
    """
    stretch, shift = jax.random.uniform(key, (2,), minval=-limit, maxval=limit)
    mean = jnp.mean(image)
    return mean + (image - mean) * (1 + stretch) + shift / 2


def noise(key: Array, image: Array, limit: float) -> Array:
    """Speckle, multiplicative with mean 1, and detector noise.

    The standard deviation of the speckle is uniform in [0, limit], that of the detector a quarter
    of it: fully developed speckle is multiplicative (Goodman), and decorrelation noise remains
    where nothing flows.
    """
    amount_key, speckle_key, floor_key = jax.random.split(key, 3)
    amount = jax.random.uniform(amount_key, maxval=limit)
    speckle = 1 + amount * jax.random.normal(speckle_key, image.shape)
    return image * speckle + amount / 4 * jnp.abs(jax.random.normal(floor_key, image.shape))


def motion_stripes(key: Array, image: Array, limit: float) -> Array:
    """Scan lines that are too bright or too dark: eye motion between the repeats of a B-scan.

    The gain of a row has a standard deviation of limit / 10, and up to 4 bands of 1 to 3 rows have
    a further gain uniform in [1 - limit, 1 + limit].
    """
    row_key, place_key, gain_key, height_key = jax.random.split(key, 4)
    height = image.shape[0]
    gain = 1 + limit / 10 * jax.random.normal(row_key, (height,))
    first = jax.random.randint(place_key, (4,), 0, height)
    thickness = jax.random.randint(height_key, (4,), 0, 4)
    band = jax.random.uniform(gain_key, (4,), minval=-limit, maxval=limit)
    row = jnp.arange(height)
    inside = (row[:, None] >= first[None]) & (row[:, None] < (first + thickness)[None])
    return image * (gain + jnp.sum(inside * band[None], axis=1))[:, None]


def local_shadow(key: Array, image: Array, limit: float) -> Array:
    """The soft shadow of a vitreous floater or lens opacity.

    It is an ellipse at any place, with half axes of 8 to 35 % of the side, and takes up to `limit`
    of the light in its middle.
    """
    centre_key, axes_key, depth_key = jax.random.split(key, 3)
    centre = jax.random.uniform(centre_key, (2,))
    axes = jax.random.uniform(axes_key, (2,), minval=0.08, maxval=0.35)
    depth = jax.random.uniform(depth_key, maxval=limit)
    y, x = (jnp.linspace(0, 1, side) for side in image.shape)
    distance = ((y - centre[0]) / axes[0])[:, None] ** 2 + ((x - centre[1]) / axes[1])[None] ** 2
    return image * (1 - depth * jnp.exp(-distance))


def blur(key: Array, image: Array, limit: float) -> Array:
    """Defocus: a Gaussian whose sigma is uniform in [0, limit] pixels, limit <= 3."""
    sigma = jax.random.uniform(key, maxval=limit) + 1e-3
    kernel = jnp.exp(-0.5 * (jnp.arange(-6, 7) / sigma) ** 2)
    kernel = kernel / jnp.sum(kernel)
    padded = jnp.pad(image, 6, mode="reflect")
    height, width = image.shape
    rows = sum(kernel[i] * padded[i : i + height] for i in range(13))
    return sum(kernel[i] * rows[:, i : i + width] for i in range(13))


PHOTOMETRY = {
    "contrast": contrast,
    "noise": noise,
    "motion_stripes": motion_stripes,
    "local_shadow": local_shadow,
    "blur": blur,
}
"""Field of `Augmentation` -> function, in the order of application."""

OF_EACH_SLAB = ("contrast", "noise")
"""Changes that are drawn for each slab; the slabs of a case share whether they are drawn at all."""
