"""The cascaded upsampling decoder of TransUNet (arXiv:2102.04306)."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from s2a_jax.models.layers import BatchNorm, ConvBNReLU, DoublingConv


class Doubling(nn.Module):
    """Doubling of H and W, the skip, 3x3 convolution, batch norm, ReLU.  -> [B, 2H, 2W, F]."""

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, skip: Array | None, *, train: bool) -> Array:
        x = DoublingConv(self.features, dtype=self.dtype, name="conv")(x, skip)
        return nn.relu(BatchNorm(dtype=self.dtype, name="bn")(x, train=train))


class DecoderBlock(nn.Module):
    """Doubling of H and W, the skip, two 3x3 convolutions.  [B, H, W, C] -> [B, 2H, 2W, F]."""

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, skip: Array | None, *, train: bool) -> Array:
        x = Doubling(self.features, dtype=self.dtype, name="conv1")(x, skip, train=train)
        return ConvBNReLU(self.features, dtype=self.dtype, name="conv2")(x, train=train)


class Decoder(nn.Module):
    """From the coarsest map to the image's size.  [B, H/16, W/16, C] -> [B, H, W, channels[-1]].

    Attributes:
        first_channels: channels of the convolution on the coarsest map.
        channels: channels after each doubling; the first blocks take one skip each.
        dtype: type of the computation.
    """

    first_channels: int
    channels: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, skips: tuple[Array, ...], *, train: bool) -> Array:
        x = ConvBNReLU(self.first_channels, dtype=self.dtype, name="conv_more")(x, train=train)
        for i, features in enumerate(self.channels):
            skip = skips[i] if i < len(skips) else None
            x = DecoderBlock(features, dtype=self.dtype, name=f"block_{i}")(x, skip, train=train)
        self.sow("intermediates", "output", x)
        return x
