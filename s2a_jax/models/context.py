"""LCEM and GCEM: the local and the global context module, on the features of any encoder.

The released code of S2A-Net has no modules of these names. We read it so: LCEM decodes an early
Transformer block, whose tokens still carry local detail, into the vessels; GCEM decodes later
blocks, whose tokens have seen the whole image, and fuses them into the avascular zone.
"""

from typing import TypedDict

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from s2a_jax.models.decoder import Decoder
from s2a_jax.models.fields import check_length, require
from s2a_jax.models.layers import Conv, to_logits


class Features(TypedDict):
    """What an encoder hands to the context modules: any module that returns this dict is one.

    Attributes:
        blocks: maps to choose from, early to late, each [B, H/16, W/16, D].
        skips: maps at 1/8, 1/4, 1/2 and optionally 1/1 of the image's size, coarse to fine:
            [B, H/8, W/8, C8], [B, H/4, W/4, C4], [B, H/2, W/2, C2], [B, H, W, C1].
    """

    blocks: tuple[Array, ...]
    skips: tuple[Array, ...]


class ContextModule(nn.Module):
    """Decodes chosen blocks, one decoder each, and fuses them.  `Features` -> [B, H, W, 1].

    Attributes:
        layers: indices of the blocks that are decoded.
        first_channels: channels of each decoder's first convolution.
        channels: channels after each of a decoder's doublings.
        dtype: type of the computation and of the logits.
    """

    layers: tuple[int, ...]
    first_channels: int = 512
    channels: tuple[int, ...] = (256, 128, 64, 16)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, features: Features, *, train: bool) -> Array:
        decoded = [
            Decoder(
                first_channels=self.first_channels,
                channels=self.channels,
                dtype=self.dtype,
                name=f"decoder_{layer}",
            )(features["blocks"][layer], features["skips"], train=train)
            for layer in self.layers
        ]
        fused = jnp.concatenate(decoded, axis=-1)  # [B, H, W, len(layers) * channels[-1]]
        return Conv(1, 3, padding=1, dtype=self.dtype, name="head")(fused)


class LCEM(ContextModule):
    """Local context enhancement: the vessels' logits from the first block."""

    layers: tuple[int, ...] = (0,)


class GCEM(ContextModule):
    """Global context enhancement: the avascular zone's logits from five later blocks."""

    layers: tuple[int, ...] = (1, 2, 3, 4, 5)


class ContextHeads(nn.Module):
    """LCEM and GCEM side by side on one encoder's features.  `Features` -> logits of both tasks.

    Attributes:
        lcem_layers: blocks that LCEM decodes, for the vessels.
        gcem_layers: blocks that GCEM decodes, for the avascular zone.
        first_channels: channels of each decoder's first convolution (LCEM).
        decoder_channels: channels after each doubling of a decoder (LCEM).
        gcem_first_channels: the same for GCEM; 0 means as for LCEM.
        gcem_decoder_channels: the same for GCEM; empty means as for LCEM.
        dtype: type of the computation; the logits are float32.
    """

    lcem_layers: tuple[int, ...] = (0,)
    gcem_layers: tuple[int, ...] = (1, 2, 3, 4, 5)
    first_channels: int = 512
    decoder_channels: tuple[int, ...] = (256, 128, 64, 16)
    gcem_first_channels: int = 0
    gcem_decoder_channels: tuple[int, ...] = ()
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, features: Features, *, train: bool) -> dict[str, Array]:
        rv = LCEM(
            layers=self.lcem_layers,
            first_channels=self.first_channels,
            channels=self.decoder_channels,
            dtype=self.dtype,
            name="lcem",
        )(features, train=train)
        faz = GCEM(
            layers=self.gcem_layers,
            first_channels=self.gcem_first_channels or self.first_channels,
            channels=self.gcem_decoder_channels or self.decoder_channels,
            dtype=self.dtype,
            name="gcem",
        )(features, train=train)
        return to_logits(rv, faz)


def check_doublings(network: nn.Module, name: str) -> None:
    """Requires as many decoder channels as lead from 1/16 to the image's size."""
    check_length(network, name, 4, "one for each doubling from 1/16 of the image's size")


def check_layers(network: nn.Module) -> None:
    """Requires that `lcem_layers` and `gcem_layers` ascend."""
    for name in ("lcem_layers", "gcem_layers"):
        layers = getattr(network, name)
        ascending = bool(layers) and layers == tuple(sorted(set(layers)))
        require(ascending, network, name, "blocks' indices >= 0, at least one, ascending")
