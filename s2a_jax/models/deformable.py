"""Deformable 3x3 convolution (arXiv:1703.06211) that gathers whole pixels."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from s2a_jax.models.layers import KERNEL_INIT, Conv

_TAPS = tuple((row - 1, column - 1) for row in range(3) for column in range(3))


class DeformableConv3x3(nn.Module):
    """3x3 convolution without bias whose taps move by learned offsets.  [B, H, W, C] -> [..., F].

    The offsets, in pixels, are a 3x3 convolution of the input that starts with zero weights: the
    first nine channels move the taps' rows, the last nine their columns. The input is zero-padded
    by one pixel, and positions are clamped to the padded map.

    Attributes:
        features: output channels F.
        dtype: type of the computation; positions are float32 always.
    """

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        in_features = x.shape[-1]
        offsets = Conv(
            18,
            3,
            padding=1,
            kernel_init=nn.initializers.zeros,
            dtype=self.dtype,
            name="offset",
        )(x)
        kernel = self.param("kernel", KERNEL_INIT, (3, 3, in_features, self.features))
        samples = sample_taps(x.astype(self.dtype), offsets)
        return jnp.einsum(
            "bhwkc,kcf->bhwf",
            samples,
            kernel.reshape(9, in_features, self.features).astype(self.dtype),
        )


def sample_taps(x: Array, offsets: Array) -> Array:
    """Bilinear samples at the nine taps around each pixel, moved by its offsets.

    Whole pixels, rows of C contiguous numbers, are gathered from each image flattened to
    [pixels, C]. The image stays a batch dimension of the gather, so a sharded batch needs no
    communication.

    Args:
        x: [B, H, W, C].
        offsets: [B, H, W, 18] in pixels: nine for the rows, nine for the columns.

    Returns:
        [B, H, W, 9, C], taps in row-major order.
    """
    batch, height, width, channels = x.shape
    # The last position has a second neighbour: one more pixel at the bottom and the right.
    padded = jnp.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)))
    stride, pixels = width + 3, (height + 3) * (width + 3)
    flat = padded.reshape(batch, pixels, channels)

    exact = jnp.promote_types(x.dtype, jnp.float32)  # bfloat16 cannot count as many pixels
    offsets = offsets.astype(exact)
    taps = jnp.asarray(_TAPS, exact)[None, None, None]
    # In the padded map: [1, H, 1, 9] and [1, 1, W, 9].
    rows = jnp.arange(1, height + 1, dtype=exact)[None, :, None, None] + taps[..., 0]
    columns = jnp.arange(1, width + 1, dtype=exact)[None, None, :, None] + taps[..., 1]
    rows = jnp.clip(rows + offsets[..., :9], 0, height + 1)  # [B, H, W, 9]
    columns = jnp.clip(columns + offsets[..., 9:], 0, width + 1)
    top, left = jnp.floor(rows), jnp.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    index = (top * stride + left).astype(jnp.int32).reshape(batch, -1)

    def read(step: int) -> Array:
        found = jax.vmap(lambda image, i: image.at[i].get(mode="promise_in_bounds"))(
            flat, index + step
        )
        return found.reshape(batch, height, width, 9, channels)

    down, right = down.astype(x.dtype), right.astype(x.dtype)
    upper = read(0) * (1 - right) + read(1) * right
    lower = read(stride) * (1 - right) + read(stride + 1) * right
    return upper * (1 - down) + lower * down
