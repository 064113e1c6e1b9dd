"""TransUNet (arXiv:2102.04306), R50-ViT-B/16, for both tasks at once."""

from types import MappingProxyType
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from s2a_jax.models.context import ContextHeads, check_doublings, check_layers
from s2a_jax.models.decoder import Decoder
from s2a_jax.models.fields import Variants, check_choice, check_types, require
from s2a_jax.models.hybrid import HybridEncoder, check_encoder
from s2a_jax.models.layers import Conv, to_channels, to_logits


class TransUNet(nn.Module):
    """Hybrid encoder and one decoder of its last block, or S2A-Net's LCEM and GCEM instead.

    The defaults have 105.4 M parameters.

    Attributes:
        width, units, groups, hidden, num_blocks, num_heads, mlp_width, dropout_rate, grid:
            the encoder's, see `HybridEncoder`.
        heads: `own`: one decoder, one output channel for each task. `context`: LCEM and GCEM on
            the blocks that the next two fields name.
        lcem_layers: blocks (from 0) that LCEM decodes, below `num_blocks`.
        gcem_layers: blocks that GCEM decodes, below `num_blocks`.
        first_channels: channels of each decoder's first convolution.
        decoder_channels: channels after each doubling of a decoder.
        slabs: names of the slabs in the channels of x; (): one slab.
        dtype: type of the computation; parameters, statistics and logits are float32.

    Call: `apply(variables, x, train=False)` with x [B, H, W, 1 or 3], or [B, H, W, len(slabs)]
    with several slabs, in [0, 1], H and W multiples of 16.

    Returns:
        {"rv": [B, H, W, 1], "faz": [B, H, W, 1]}: logits, float32.
    """

    width: int = 64
    units: tuple[int, int, int] = (3, 4, 9)
    groups: int = 32
    hidden: int = 768
    num_blocks: int = 12
    num_heads: int = 12
    mlp_width: int = 3072
    dropout_rate: float = 0.1
    heads: str = "own"
    lcem_layers: tuple[int, ...] = (0,)
    gcem_layers: tuple[int, ...] = (7, 8, 9, 10, 11)
    first_channels: int = 512
    decoder_channels: tuple[int, ...] = (256, 128, 64, 16)
    grid: tuple[int, int] = (19, 19)
    slabs: tuple[str, ...] = ()
    dtype: DTypeLike = jnp.float32

    variants: ClassVar[Variants] = MappingProxyType(
        {
            "base": {},
            "small": {
                "width": 24,
                "units": (2, 3, 3),
                "groups": 8,
                "hidden": 128,
                "num_blocks": 3,
                "num_heads": 4,
                "mlp_width": 256,
                "gcem_layers": (2,),
                "first_channels": 96,
                "decoder_channels": (64, 48, 32, 16),
            },
            "tiny": {
                "width": 8,
                "units": (1, 1, 2),
                "groups": 4,
                "hidden": 48,
                "num_blocks": 2,
                "num_heads": 4,
                "mlp_width": 96,
                "gcem_layers": (1,),
                "first_channels": 32,
                "decoder_channels": (24, 16, 12, 8),
            },
        }
    )

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> dict[str, Array]:
        features = HybridEncoder(
            width=self.width,
            units=self.units,
            groups=self.groups,
            hidden=self.hidden,
            num_blocks=self.num_blocks,
            num_heads=self.num_heads,
            mlp_width=self.mlp_width,
            dropout_rate=self.dropout_rate,
            grid=self.grid,
            dtype=self.dtype,
            name="encoder",
        )(to_channels(x, self.slabs), train=train)
        if self.heads == "context":
            return ContextHeads(
                lcem_layers=self.lcem_layers,
                gcem_layers=self.gcem_layers,
                first_channels=self.first_channels,
                decoder_channels=self.decoder_channels,
                dtype=self.dtype,
                name="heads",
            )(features, train=train)
        x = Decoder(
            first_channels=self.first_channels,
            channels=self.decoder_channels,
            dtype=self.dtype,
            name="decoder",
        )(features["blocks"][-1], features["skips"], train=train)
        logits = Conv(2, 3, padding=1, dtype=self.dtype, name="head")(x)
        return to_logits(logits[..., 0:1], logits[..., 1:2])

    def check_fields(self) -> None:
        """Raises a FieldError unless these fields make a network."""
        check_types(self, at_least_0=("lcem_layers", "gcem_layers"))
        check_encoder(self)
        check_choice(self, "heads", ("own", "context"))
        check_layers(self)
        if self.heads == "context":
            for name in ("lcem_layers", "gcem_layers"):
                fits = max(getattr(self, name)) < self.num_blocks
                expected = f"indices below {self.num_blocks}, the encoder's blocks"
                require(fits, self, name, expected)
        check_doublings(self, "decoder_channels")
