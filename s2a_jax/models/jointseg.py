"""Joint-Seg: one encoder, a path for each task, feature selection, alignment and soft fusion.

Hu et al., Joint-Seg: Treat foveal avascular zone and retinal vessel segmentation in OCTA images as
a joint task (IEEE TIM 2022), in its full form.
"""

from types import MappingProxyType
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from s2a_jax.models.deformable import DeformableConv3x3
from s2a_jax.models.fields import Variants, check_length, check_types, require
from s2a_jax.models.layers import (
    BatchNorm,
    Conv,
    ConvBNReLU,
    ConvTranspose2x2,
    DoubleConv,
    to_channels,
    to_logits,
)


class FeatureSelection(nn.Module):
    """FSM: channels reweighted by their mean, then mixed.  [B, H, W, C] -> [B, H, W, features]."""

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        pooled = x.mean(axis=(1, 2), keepdims=True)
        attention = Conv(
            x.shape[-1], 1, use_bias=False, dtype=self.dtype, name="channel_attention"
        )(pooled)
        x = x + x * nn.sigmoid(attention)
        return Conv(self.features, 1, use_bias=False, dtype=self.dtype, name="conv")(x)


class FeatureAlignment(nn.Module):
    """FAM: aligns the upper feature with the lateral one.  [B, H, W, C] twice -> [B, H, W, C].

    The reference resizes `upper` where the sizes differ; they never do here, because sides are
    multiples of 16.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, lateral: Array, upper: Array) -> Array:
        features = lateral.shape[-1]
        lateral = FeatureSelection(features, dtype=self.dtype, name="lateral")(lateral)
        x = jnp.concatenate([lateral, 2 * upper], axis=-1)
        x = Conv(features, 1, use_bias=False, dtype=self.dtype, name="fusion")(x)
        x = DeformableConv3x3(features, dtype=self.dtype, name="deformable")(x)
        return nn.relu(x) + lateral


class SpatialAttention(nn.Module):
    """Attention of every pixel to every other, softmax in float32.  [B, H, W, C] -> the same.

    The output is x + gamma * attended with gamma = 0 at the start; scores are not scaled.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        batch, height, width, channels = x.shape

        def project(kernel_size: tuple[int, int], padding: tuple[int, int], name: str) -> Array:
            y = Conv(channels // 8, kernel_size, padding=padding, dtype=self.dtype, name=name)(x)
            y = nn.relu(BatchNorm(dtype=self.dtype, name=f"{name}_bn")(y, train=train))
            return y.reshape(batch, height * width, -1)

        query = project((1, 3), (0, 1), "query")
        key = project((3, 1), (1, 0), "key")
        value = Conv(channels, 1, dtype=self.dtype, name="value")(x)
        # Accumulated and kept in float32 where the operands are bfloat16.
        precise = jnp.promote_types(query.dtype, jnp.float32)
        scores = jnp.einsum("bqc,bkc->bqk", query, key, preferred_element_type=precise)
        weights = jax.nn.softmax(scores)
        attended = jnp.einsum(
            "bqk,bkc->bqc", weights.astype(self.dtype), value.reshape(batch, -1, channels)
        )
        gamma = self.param("gamma", nn.initializers.zeros, (1,)).astype(self.dtype)
        return lax.broadcast_to_rank(gamma, x.ndim) * attended.reshape(x.shape) + x


class MultiScaleFusion(nn.Module):
    """MSF: three dilations and three attentions, fused in two soft masks.  [B, H, W, C] -> same."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        features = x.shape[-1]
        scales, attended = [], []
        for i, dilation in enumerate((1, 3, 5), start=1):
            scales.append(
                Conv(
                    features,
                    3,
                    padding=dilation,
                    dilation=dilation,
                    use_bias=False,
                    dtype=self.dtype,
                    name=f"conv{i}",
                )(x)
            )
            attended.append(
                SpatialAttention(dtype=self.dtype, name=f"attention{i}")(x, train=train)
            )

        def mask(i: int) -> Array:
            """Soft mask from the scales and attentions i and i + 1 (counted from 1)."""
            pair = jnp.concatenate(scales[i - 1 : i + 1], axis=-1)
            pair = ConvBNReLU(features, use_bias=True, dtype=self.dtype, name=f"pair{i}")(
                pair, train=train
            )
            y = jnp.concatenate([pair, *attended[i - 1 : i + 1]], axis=-1)
            y = Conv(features, 3, padding=1, use_bias=False, dtype=self.dtype, name=f"fusion{i}")(y)
            return nn.sigmoid(BatchNorm(dtype=self.dtype, name=f"fusion{i}_bn")(y, train=train))

        return (mask(1) + mask(2)) * x + x


class JointSeg(nn.Module):
    """Joint-Seg ("full"). The defaults have 9.4 M parameters.

    In the released code the up-convolutions of the avascular zone's path have twice the channels
    that its other shapes allow, so it cannot run; here they halve, the only reading that fits.

    Attributes:
        widths: channels of the encoder's five levels, fine to coarse; the fourth a multiple of 16.
        slabs: names of the slabs in the channels of x; (): one slab.
        dtype: type of the computation; parameters, statistics and logits are float32.

    Call: `apply(variables, x, train=False)` with x [B, H, W, 1 or 3], or [B, H, W, len(slabs)]
    with several slabs, in [0, 1], H and W multiples of 16.

    Returns:
        {"rv": [B, H, W, 1], "faz": [B, H, W, 1]}: logits, float32.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    slabs: tuple[str, ...] = ()
    dtype: DTypeLike = jnp.float32

    variants: ClassVar[Variants] = MappingProxyType(
        {
            "base": {},
            "small": {"widths": (16, 32, 48, 64, 96)},
            "tiny": {"widths": (8, 12, 16, 32, 48)},
        }
    )

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> dict[str, Array]:
        x = to_channels(x, self.slabs)
        maps = {}
        for level, width in enumerate(self.widths, start=1):
            if level > 1:
                x = nn.max_pool(x, (2, 2), (2, 2))
            x = DoubleConv(width, dtype=self.dtype, name=f"level{level}")(x, train=train)
            maps[level] = x

        def up(x: Array, features: int, name: str) -> Array:
            x = ConvTranspose2x2(features, dtype=self.dtype, name=f"{name}_up")(x)
            return nn.relu(BatchNorm(dtype=self.dtype, name=f"{name}_up_bn")(x, train=train))

        def select(level: int, path: str) -> Array:
            half = self.widths[level - 1] // 2
            return FeatureSelection(half, dtype=self.dtype, name=f"{path}{level}_fsm")(maps[level])

        faz = maps[5]
        for level in (4, 3, 2, 1):
            name, width = f"faz{level}", self.widths[level - 1]
            faz = up(faz, width // 2, name)
            skip = select(level, "faz")
            aligned = FeatureAlignment(dtype=self.dtype, name=f"{name}_fam")(skip, faz)
            faz = jnp.concatenate([aligned, skip], axis=-1)
            faz = DoubleConv(width, dtype=self.dtype, name=f"{name}_conv")(faz, train=train)

        rv = select(4, "rv")
        rv = rv + MultiScaleFusion(dtype=self.dtype, name="rv4_msf")(rv, train=train)
        for level in (3, 2, 1):
            name, width = f"rv{level}", self.widths[level - 1]
            rv = up(rv, width // 2, name)
            rv = jnp.concatenate([rv, select(level, "rv")], axis=-1)
            rv = DoubleConv(
                width if level == 1 else width // 2, dtype=self.dtype, name=f"{name}_conv"
            )(rv, train=train)
        head = Conv(1, 3, padding=1, dtype=self.dtype, name="head")  # shared by both paths
        return to_logits(head(rv), head(faz))

    def check_fields(self) -> None:
        """Raises a FieldError unless these fields make a network."""
        check_types(self)
        check_length(self, "widths", 5, "one for each level")
        # Feature selection halves the fourth level, and its attention takes an eighth of that.
        fits = self.widths[3] % 16 == 0
        require(fits, self, "widths", "a fourth number that is a multiple of 16")
