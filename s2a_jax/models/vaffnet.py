"""VAFF-Net: three slabs, one shared ResNet and pyramid, a voting gate and a head for each task.

Hao et al., Retinal Structure Detection in OCTA Image via Voting-based Multi-task Learning
(arXiv:2208.10745).
"""

from types import MappingProxyType
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from s2a_jax.models.doubling import upsample2x_align_corners
from s2a_jax.models.fields import Variants, check_length, check_types, require
from s2a_jax.models.layers import (
    BatchNorm,
    Conv,
    to_channels,
    to_logits,
)


class Bottleneck(nn.Module):
    """ResNet v1.5's: 1x1, 3x3 (strided), 1x1.  [B, H, W, C] -> [B, H/s, W/s, 4 * features]."""

    features: int
    strides: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        def conv_bn(x: Array, features: int, kernel_size: int, strides: int, name: str) -> Array:
            x = Conv(
                features,
                kernel_size,
                strides,
                padding=kernel_size // 2,
                use_bias=False,
                dtype=self.dtype,
                name=f"conv{name}",
            )(x)
            return BatchNorm(dtype=self.dtype, name=f"bn{name}")(x, train=train)

        out = 4 * self.features
        y = nn.relu(conv_bn(x, self.features, 1, 1, "1"))
        y = nn.relu(conv_bn(y, self.features, 3, self.strides, "2"))
        y = conv_bn(y, out, 1, 1, "3")
        if x.shape[-1] != out or self.strides != 1:
            x = conv_bn(x, out, 1, self.strides, "_downsample")
        return nn.relu(x + y)


class Pyramid(nn.Module):
    """ResNet stages and a feature pyramid on one slab.

    One instance serves all slabs. In training each call normalises with the batch statistics of its
    own slab and updates the shared running ones.

    Attributes:
        width: channels of `x`, and of the first stage's inner convolutions.
        units: bottlenecks in each of the four stages.
        features: channels of the pyramid.
        dtype: type of the computation.
    """

    width: int
    units: tuple[int, ...]
    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, downsampled: Array, *, train: bool) -> Array:
        """[B, H, W, width] and [B, H/2, W/2, width] -> [B, H, W, features]."""
        maps, y = [x], downsampled
        for stage, units in enumerate(self.units):
            for unit in range(units):
                y = Bottleneck(
                    self.width * 2**stage,
                    strides=2 if stage > 0 and unit == 0 else 1,
                    dtype=self.dtype,
                    name=f"stage{stage + 1}_unit{unit}",
                )(y, train=train)
            maps.append(y)
        p = Conv(self.features, 1, dtype=self.dtype, name="top")(maps.pop())
        for i, lateral in enumerate(reversed(maps), start=1):
            lateral = Conv(self.features, 1, dtype=self.dtype, name=f"lateral{i}")(lateral)
            p = upsample2x_align_corners(p) + lateral
        return p


class VotingGate(nn.Module):
    """Per-pixel weights of the three slabs for one task.  [B, H, W, C] -> [B, H, W, 3] in (0, 1).

    Attributes:
        features: channels of the three 3x3 convolutions.
        dtype: type of the computation.
    """

    features: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        for i, features in enumerate(self.features, start=1):
            x = Conv(features, 3, padding=1, dtype=self.dtype, name=f"conv{i}")(x)
            x = nn.relu(BatchNorm(dtype=self.dtype, name=f"bn{i}")(x, train=train))
        return nn.sigmoid(Conv(3, 1, dtype=self.dtype, name="vote")(x))


class Head(nn.Module):
    """Convolutions with batch norm and ReLU, then a 1x1 one.  [B, H, W, C] -> [B, H', W', out].

    Attributes:
        out: output channels.
        convs: (features, kernel size, strides, padding) of each convolution before the last.
        dtype: type of the computation.
    """

    out: int
    convs: tuple[tuple[int, int, int, int], ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        for i, (features, kernel_size, strides, padding) in enumerate(self.convs, start=1):
            x = Conv(features, kernel_size, strides, padding, dtype=self.dtype, name=f"conv{i}")(x)
            x = nn.relu(BatchNorm(dtype=self.dtype, name=f"bn{i}")(x, train=train))
        return Conv(self.out, 1, dtype=self.dtype, name="out")(x)


class VAFFNet(nn.Module):
    """VAFF-Net. The defaults have 28.7 M parameters, 31.4 M with the junctions.

    Attributes:
        width: channels of each slab's first convolution; the stages end with 4, 8, 16 and 32 times
            as many.
        units: bottlenecks in each of the four ResNet stages.
        pyramid_features: channels of the feature pyramid.
        gate_features: channels of the voting gates' 3x3 convolutions.
        head_features: channels of the two tasks' heads.
        junctions: whether to build the two heads that find vessel junctions.
        map_features: channels of the junction heatmap's head.
        grid_features: channels of the junction grid's head.
        slabs: names of the three slabs in the channels of x; (): one slab.
        dtype: type of the computation; parameters, statistics and logits are float32.

    Call: `apply(variables, x, train=False)` with x in [0, 1], H and W multiples of 16:
    [B, H, W, 1 or 3], one slab that is fed three times; [B, H, W, 3] with three `slabs`, in the
    order whole, deep, superficial; or the same three as [B, H, W, 3, 1 or 3].

    Returns:
        {"rv": [B, H, W, 1], "faz": [B, H, W, 1]}: logits, float32; with `junctions` also
        `junction_map` [B, H, W, 1] (logits) and `junction_grid` [B, H/8, W/8, 6].
    """

    width: int = 64
    units: tuple[int, ...] = (3, 4, 6, 3)
    pyramid_features: int = 256
    gate_features: tuple[int, ...] = (256, 256, 64)
    head_features: int = 256
    junctions: bool = False
    map_features: int = 64
    grid_features: int = 128
    slabs: tuple[str, ...] = ()
    dtype: DTypeLike = jnp.float32

    variants: ClassVar[Variants] = MappingProxyType(
        {
            "base": {},
            "small": {
                "width": 12,
                "units": (1, 1, 2, 1),
                "pyramid_features": 32,
                "gate_features": (16, 16, 8),
                "head_features": 32,
                "map_features": 16,
                "grid_features": 32,
            },
            "tiny": {
                "width": 8,
                "units": (1, 1, 1, 1),
                "pyramid_features": 16,
                "gate_features": (8, 8, 8),
                "head_features": 16,
                "map_features": 8,
                "grid_features": 16,
            },
        }
    )

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> dict[str, Array]:
        if x.ndim == 5 and x.shape[3] != 3:
            raise ValueError(f"expected three slabs [B, H, W, 3, C], got {x.shape}")
        if x.ndim == 4 and len(self.slabs) > 1:
            x = to_channels(x, self.slabs)[..., None]
        slabs = [x] * 3 if x.ndim == 4 else [x[:, :, :, i] for i in range(3)]

        first_bn = BatchNorm(dtype=self.dtype, name="first_bn")
        pyramid = Pyramid(
            width=self.width,
            units=self.units,
            features=self.pyramid_features,
            dtype=self.dtype,
            name="pyramid",
        )
        maps, pyramids = [], []
        for i, slab in enumerate(slabs, start=1):
            y = Conv(
                self.width, 3, padding=1, use_bias=False, dtype=self.dtype, name=f"first_conv{i}"
            )(to_channels(slab))
            y = nn.relu(first_bn(y, train=train))
            downsampled = Conv(
                self.width,
                7,
                strides=2,
                padding=3,
                use_bias=False,
                dtype=self.dtype,
                name=f"downsample{i}",
            )(y)
            maps.append(y)
            pyramids.append(pyramid(y, downsampled, train=train))
        x = jnp.concatenate(maps, axis=-1)  # [B, H, W, 3 * width]

        def vote(task: str) -> Array:
            gate = VotingGate(self.gate_features, dtype=self.dtype, name=f"gate_{task}")
            weights = gate(x, train=train)
            return sum(weights[..., i : i + 1] * pyramids[i] for i in range(3))

        def head(x: Array, out: int, name: str, *convs: tuple[int, int, int, int]) -> Array:
            return Head(out, convs, dtype=self.dtype, name=f"head_{name}")(x, train=train)

        task_conv = (self.head_features, 3, 1, 1)
        faz = head(vote("faz"), 1, "faz", task_conv)
        rv = head(vote("rv"), 1, "rv", task_conv)
        outputs = to_logits(rv, faz)
        if self.junctions:
            voted = vote("junction")
            heatmap = head(voted, 1, "junction_map", (self.map_features, 3, 1, 1))
            cells = ((self.grid_features, 6, 4, 1), (self.grid_features, 4, 2, 1))
            grid = head(voted, 6, "junction_grid", *cells)
            outputs |= {
                "junction_map": heatmap.astype(outputs["rv"].dtype),
                "junction_grid": grid.astype(outputs["rv"].dtype),
            }
        return outputs

    def check_fields(self) -> None:
        """Raises a FieldError unless these fields make a network."""
        check_types(self)
        check_length(self, "units", 4, "one for each ResNet stage")
        require(
            len(self.slabs) in (0, 3),
            self,
            "slabs",
            "one slab, or three in the order whole, deep, superficial (FULL,OPL_BM,ILM_OPL of "
            "octa500, WRCC,DCC,SCC of rose)",
        )
