"""Augmentation on the device: one composed warp for an image and its masks, then intensities.

Flips, rotations, affine maps and elastic deformation are composed into one map from output to input
pixels, so that every image is interpolated once. Cropping is free, since only the crop's pixels are
sampled. The slabs of a case come from one scan and share the warp, shadows and stripes; the module
`s2a_jax.training.photometry` says what is drawn for each slab. All draws depend on a key alone: the
same seed and step give the same batch on any number of devices.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from s2a_jax.errors import UserError
from s2a_jax.training.photometry import OF_EACH_SLAB, PHOTOMETRY

_LIMITS = {
    "probability": 1.0,
    "shift": 0.5,
    "scale": 0.9,
    "aspect": 0.9,
    "rotate_degrees": 180.0,
    "gamma": 4.0,
    "contrast": 1.0,
    "noise": 1.0,
    "motion_stripes": 1.0,
    "local_shadow": 1.0,
    "blur": 3.0,
}
"""Field -> its largest value; the smallest one is 0."""


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Ranges of the random transformations, each of which is drawn independently.

    The defaults are the reference's. Pixels outside the image are 0: black, no vessel, no FAZ.

    Attributes:
        probability: of each transformation, in [0, 1].
        shift: largest shift as a fraction of the side.
        scale: largest relative change of size.
        aspect: largest relative change of the width-to-height ratio.
        rotate_degrees: largest rotation. Shift, scale, aspect and rotation are one affine draw.
        flip: whether to mirror left-right and, by a second draw, top-bottom.
        rot90: whether to rotate by 90, 180 or 270 degrees.
        elastic: whether to deform: uniform noise smoothed with sigma = 0.08 W, times 2 W, which
            displaces pixels by 4.1 px (standard deviation) at any W.
        gamma: largest absolute logarithm (base 2) of a random exponent of the intensity, the same
            for all slabs: a display's curve. 0 is off.
        contrast, noise, motion_stripes, local_shadow, blur: strengths of photometric changes; 0 is
            off. `s2a_jax.training.photometry` says what each does, docs/data.md where the ranges
            come from. 0.3 is a strong contrast or noise, 0.5 a strong stripe or shadow, 1 pixel a
            strong blur.
        crop: side of a random crop in pixels, a multiple of 16; 0 keeps the whole image.

    Raises:
        UserError: a value is out of its range.
    """

    probability: float = 0.5
    shift: float = 0.1
    scale: float = 0.1
    aspect: float = 0.1
    rotate_degrees: float = 20.0
    flip: bool = True
    rot90: bool = True
    elastic: bool = True
    gamma: float = 0.0
    contrast: float = 0.0
    noise: float = 0.0
    motion_stripes: float = 0.0
    local_shadow: float = 0.0
    blur: float = 0.0
    crop: int = 0

    def __post_init__(self):
        for name, most in _LIMITS.items():
            if not 0 <= getattr(self, name) <= most:
                raise UserError(
                    f"config.augment.{name}={getattr(self, name)}: expected 0 to {most:g}."
                )

    def __call__(self, key: Array, images: Array, masks: Array) -> tuple[Array, Array]:
        """Draws and applies one transformation a case.

        Args:
            key: random key of the batch.
            images: [B, S, S, C] in [0, 1], C slabs a case.
            masks: [B, S, S, T] in {0, 1}.

        Returns:
            [B, S', S', C] in [0, 1] and [B, S', S', T] in {0, 1}, S' = crop or S.
        """
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(images)))
        return jax.vmap(self._one)(keys, images, masks)

    def _one(self, key: Array, image: Array, masks: Array) -> tuple[Array, Array]:
        size, _, slabs = image.shape
        crop_key, linear_key, elastic_key, gamma_key = jax.random.split(key, 4)
        side = self.crop or size
        corner = jax.random.randint(crop_key, (2,), 0, size - side + 1)
        rows, cols = (corner[i] + jnp.arange(side, dtype=jnp.float32) for i in (0, 1))

        centre = (size - 1) / 2
        grid = jnp.stack(jnp.meshgrid(rows, cols, indexing="ij"), axis=-1) - centre  # [S', S', 2]
        matrix, shift = self._linear(linear_key, size)
        coordinates = grid @ matrix.T + centre + shift[None, None]
        if self.elastic:
            coordinates = coordinates + self._elastic(elastic_key, rows, cols, size)
        stacked = jnp.concatenate([image, masks.astype(image.dtype)], axis=-1)
        warped = sample_bilinear(stacked, coordinates)
        image, masks = warped[..., :slabs], (warped[..., slabs:] >= 0.5).astype(image.dtype)
        if self.gamma:
            use, amount = _coin(gamma_key, self.probability)
            exponent = 2.0 ** jnp.where(use, amount * self.gamma, 0)
            image = jnp.clip(image, 0, 1) ** exponent
        for number, (name, change) in enumerate(PHOTOMETRY.items()):
            if limit := getattr(self, name):
                # A key for each, so that switching one on changes no other draw.
                change_key, coin_key = jax.random.split(jax.random.fold_in(gamma_key, number + 2))
                use = jax.random.bernoulli(coin_key, self.probability)
                keys = [change_key] * slabs
                if name in OF_EACH_SLAB:  # the first one's draw is that of a lone slab
                    keys[1:] = (jax.random.fold_in(change_key, i) for i in range(1, slabs))
                changed = [change(key, image[..., i], limit) for i, key in enumerate(keys)]
                image = jnp.clip(jnp.where(use, jnp.stack(changed, axis=-1), image), 0, 1)
        return image, masks

    def _linear(self, key: Array, size: int) -> tuple[Array, Array]:
        """Matrix [2, 2] and shift [2] (rows, columns) that map centred output to input pixels."""
        keys = jax.random.split(key, 8)
        use, _ = _coin(keys[0], self.probability)

        def symmetric(i: int) -> Array:
            return jnp.where(use, jax.random.uniform(keys[i], minval=-1, maxval=1), 0)

        angle = symmetric(1) * jnp.deg2rad(self.rotate_degrees)
        if self.rot90:
            turn, _ = _coin(keys[6], self.probability)
            quarters = jax.random.randint(keys[7], (), 1, 4)
            angle = angle + jnp.where(turn, quarters, 0) * (jnp.pi / 2)
        scale = 1 + symmetric(2) * self.scale
        stretch = jnp.sqrt(1 + symmetric(3) * self.aspect)
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        rotation = jnp.array([[cos, -sin], [sin, cos]])
        matrix = rotation * jnp.stack([stretch, 1 / stretch])[None] / scale
        if self.flip:
            flips = jax.random.bernoulli(keys[4], self.probability, (2,))
            matrix = matrix * jnp.where(flips, -1.0, 1.0)[None]
        shift = jax.random.uniform(keys[5], (2,), minval=-1, maxval=1) * self.shift * size
        return matrix, jnp.where(use, shift, 0)

    def _elastic(self, key: Array, rows: Array, cols: Array, size: int) -> Array:
        """Smooth random displacement in pixels at the given rows and columns.  [S', S', 2].

        White noise smoothed by a Gaussian has no detail finer than that Gaussian, so the noise is
        drawn on a grid of half a sigma, and two small matrix products evaluate it at the pixels.
        """
        sigma = 0.08 * size
        spacing = sigma / 2
        nodes = jnp.arange(-3 * sigma, size + 3 * sigma, spacing)
        coin_key, noise_key = jax.random.split(key)
        use, _ = _coin(coin_key, self.probability)
        noise = jax.random.uniform(noise_key, (2, len(nodes), len(nodes)), minval=-1, maxval=1)

        def weights(positions: Array) -> Array:
            kernel = jnp.exp(-0.5 * ((positions[:, None] - nodes[None]) / sigma) ** 2)
            return kernel / jnp.sqrt(jnp.sum(kernel**2, axis=1, keepdims=True))

        unit = weights(rows) @ noise @ weights(cols).T  # [2, S', S'], the noise's own variance
        # Smoothing per-pixel noise divides its deviation by 2 sqrt(pi) sigma; alpha = 2 W.
        amplitude = 2 * size / (2 * jnp.sqrt(jnp.pi) * sigma)
        return jnp.where(use, amplitude, 0) * jnp.moveaxis(unit, 0, -1)


def sample_bilinear(image: Array, coordinates: Array) -> Array:
    """Interpolates [H, W, C] at (row, column) pixels [..., 2]; 0 outside.  -> [..., C]."""
    height, width, _ = image.shape
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)))
    row = jnp.clip(coordinates[..., 0] + 1, 0, height + 1)
    col = jnp.clip(coordinates[..., 1] + 1, 0, width + 1)
    top = jnp.clip(jnp.floor(row).astype(jnp.int32), 0, height)
    left = jnp.clip(jnp.floor(col).astype(jnp.int32), 0, width)
    down, right = (row - top)[..., None], (col - left)[..., None]
    upper = padded[top, left] * (1 - right) + padded[top, left + 1] * right
    lower = padded[top + 1, left] * (1 - right) + padded[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def _coin(key: Array, probability: float) -> tuple[Array, Array]:
    """Whether to transform at all, and an amount in [-1, 1]."""
    coin_key, amount_key = jax.random.split(key)
    use = jax.random.bernoulli(coin_key, probability)
    return use, jax.random.uniform(amount_key, minval=-1, maxval=1)
