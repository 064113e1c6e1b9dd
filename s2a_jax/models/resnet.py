"""ResNet-v2 with weight standardisation and group norm: the CNN part of the hybrid encoder.

Kolesnikov et al., Big Transfer (arXiv:1912.11370), as TransUNet uses it (arXiv:2102.04306).
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from s2a_jax.models.layers import Conv


def group_norm(groups: int, epsilon: float, dtype: DTypeLike, name: str) -> nn.GroupNorm:
    """Group norm; its variance is the mean squared deviation, which float32 needs here."""
    return nn.GroupNorm(groups, epsilon=epsilon, dtype=dtype, use_fast_variance=False, name=name)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a residual.  [B, H, W, C] -> [B, H/strides, W/strides, 4 * features].

    Attributes:
        features: channels of the two inner convolutions.
        strides: step of the 3x3 convolution.
        groups: groups of the group norms; the projected residual has one per channel instead.
        dtype: type of the computation.
    """

    features: int
    strides: int
    groups: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        def conv(features: int, kernel_size: int, strides: int, name: str) -> Conv:
            return Conv(
                features,
                kernel_size,
                strides,
                padding=kernel_size // 2,
                use_bias=False,
                standardize=True,
                dtype=self.dtype,
                name=name,
            )

        def norm(groups: int, epsilon: float, name: str) -> nn.GroupNorm:
            return group_norm(groups, epsilon, self.dtype, name)

        out = 4 * self.features
        residual = x
        if x.shape[-1] != out or self.strides != 1:
            residual = conv(out, 1, self.strides, "downsample")(x)
            residual = norm(out, 1e-5, "gn_proj")(residual)
        y = nn.relu(norm(self.groups, 1e-6, "gn1")(conv(self.features, 1, 1, "conv1")(x)))
        y = conv(self.features, 3, self.strides, "conv2")(y)
        y = nn.relu(norm(self.groups, 1e-6, "gn2")(y))
        y = norm(self.groups, 1e-6, "gn3")(conv(out, 1, 1, "conv3")(y))
        return nn.relu(residual + y)


class ResNetV2(nn.Module):
    """Root and three stages.  [B, H, W, C] -> [B, H/16, W/16, 16 * width] and three skips.

    The max-pool has no padding, so the map at 1/4 is one pixel short. The next stage takes it so;
    only the skip is zero-padded, at the bottom and the right.

    Attributes:
        width: channels of the root; stages end with 4, 8 and 16 times that.
        units: bottlenecks in each of the three stages.
        groups: groups of the group norms; must divide `width`.
        dtype: type of the computation.

    Returns:
        The last map, and the skips coarse to fine: [B, H/8, W/8, 8 * width],
        [B, H/4, W/4, 4 * width], [B, H/2, W/2, width].
    """

    width: int = 64
    units: tuple[int, int, int] = (3, 4, 9)
    groups: int = 32
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        height, width = x.shape[1:3]
        x = Conv(
            self.width,
            7,
            strides=2,
            padding=3,
            use_bias=False,
            standardize=True,
            dtype=self.dtype,
            name="root_conv",
        )(x)
        x = nn.relu(group_norm(self.groups, 1e-6, self.dtype, "root_gn")(x))  # [B, H/2, W/2, w]
        self.sow("intermediates", "root", x)
        maps = [x]
        x = nn.max_pool(x, (3, 3), (2, 2), padding="VALID")  # [B, H/4 - 1, W/4 - 1, w]
        for stage, units in enumerate(self.units):
            for unit in range(units):
                x = Bottleneck(
                    self.width * 2**stage,
                    strides=2 if stage > 0 and unit == 0 else 1,
                    groups=self.groups,
                    dtype=self.dtype,
                    name=f"block{stage + 1}_unit{unit + 1}",
                )(x)
            self.sow("intermediates", f"block{stage + 1}", x)
            maps.append(x)
        fine, quarter, eighth, x = maps
        skips = (
            _pad_to(eighth, height // 8, width // 8),
            _pad_to(quarter, height // 4, width // 4),
            fine,
        )
        return x, skips


def _pad_to(x: Array, height: int, width: int) -> Array:
    """Zero-pads at the bottom and the right to [B, height, width, C]."""
    return jnp.pad(x, ((0, 0), (0, height - x.shape[1]), (0, width - x.shape[2]), (0, 0)))
