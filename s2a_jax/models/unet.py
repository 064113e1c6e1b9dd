"""U-Net (arXiv:1505.04597) with batch norm, for both tasks at once."""

from types import MappingProxyType
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from s2a_jax.models.context import ContextHeads, Features, check_doublings
from s2a_jax.models.fields import Variants, check_choice, check_length, check_types
from s2a_jax.models.layers import (
    Conv,
    ConvTranspose2x2,
    DoubleConv,
    to_channels,
    to_logits,
)


class UNetEncoder(nn.Module):
    """Five levels with max-pools between them.  [B, H, W, C] -> their maps as `Features`.

    Attributes:
        widths: channels of the five levels, fine to coarse.
        dtype: type of the computation.

    Returns:
        One block, the coarsest map [B, H/16, W/16, widths[4]], and four skips: 1/8, 1/4, 1/2, 1/1.
    """

    widths: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Features:
        maps = []
        for level, width in enumerate(self.widths, start=1):
            if level > 1:
                x = nn.max_pool(x, (2, 2), (2, 2))
            x = DoubleConv(width, dtype=self.dtype, name=f"level{level}")(x, train=train)
            maps.append(x)
        *skips, deepest = maps
        return Features(blocks=(deepest,), skips=tuple(reversed(skips)))


class UNetDecoder(nn.Module):
    """Transposed convolutions and skips, coarse to fine.  `Features` -> [B, H, W, widths[0]].

    Attributes:
        widths: channels of the five levels, fine to coarse.
        dtype: type of the computation.
    """

    widths: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, features: Features, *, train: bool) -> Array:
        (x,) = features["blocks"]
        for level, skip in zip((4, 3, 2, 1), features["skips"], strict=True):
            width = self.widths[level - 1]
            x = ConvTranspose2x2(width, dtype=self.dtype, name=f"up{level}")(x)
            x = jnp.concatenate([skip, x], axis=-1)  # the skip comes first
            x = DoubleConv(width, dtype=self.dtype, name=f"level{level}")(x, train=train)
        return x


class UNet(nn.Module):
    """U-Net with one output channel for each task, or its encoder with S2A-Net's LCEM and GCEM.

    The defaults have 31.0 M parameters.

    Attributes:
        widths: channels of the five levels, fine to coarse.
        heads: `own`: U-Net's decoder for both tasks. `context`: LCEM and GCEM on the encoder's
            coarsest map, with the next two fields (`s2a_jax.models.context.ContextHeads`).
        first_channels: channels of each context decoder's first convolution.
        decoder_channels: channels after each doubling of a context decoder.
        slabs: names of the slabs in the channels of x; (): one slab.
        dtype: type of the computation; parameters, statistics and logits are float32.

    Call: `apply(variables, x, train=False)` with x [B, H, W, 1 or 3], or [B, H, W, len(slabs)]
    with several slabs, in [0, 1], H and W multiples of 16.

    Returns:
        {"rv": [B, H, W, 1], "faz": [B, H, W, 1]}: logits, float32.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    heads: str = "own"
    first_channels: int = 512
    decoder_channels: tuple[int, ...] = (256, 128, 64, 16)
    slabs: tuple[str, ...] = ()
    dtype: DTypeLike = jnp.float32

    variants: ClassVar[Variants] = MappingProxyType(
        {
            "base": {},
            "small": {
                "widths": (16, 32, 64, 128, 256),
                "first_channels": 96,
                "decoder_channels": (64, 48, 32, 16),
            },
            "tiny": {
                "widths": (8, 16, 32, 64, 128),
                "first_channels": 32,
                "decoder_channels": (24, 16, 12, 8),
            },
        }
    )

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> dict[str, Array]:
        x = to_channels(x, self.slabs)
        features = UNetEncoder(self.widths, dtype=self.dtype, name="encoder")(x, train=train)
        if self.heads == "context":
            return ContextHeads(
                lcem_layers=(0,),
                gcem_layers=(0,),
                first_channels=self.first_channels,
                decoder_channels=self.decoder_channels,
                dtype=self.dtype,
                name="heads",
            )(features, train=train)
        x = UNetDecoder(self.widths, dtype=self.dtype, name="decoder")(features, train=train)
        logits = Conv(2, 1, dtype=self.dtype, name="head")(x)
        return to_logits(logits[..., 0:1], logits[..., 1:2])

    def check_fields(self) -> None:
        """Raises a FieldError unless these fields make a network."""
        check_types(self)
        check_length(self, "widths", 5, "one for each level")
        check_choice(self, "heads", ("own", "context"))
        check_doublings(self, "decoder_channels")
