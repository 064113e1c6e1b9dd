"""S2A-Net: joint segmentation of retinal vessels (RV) and the foveal avascular zone (FAZ)."""

from types import MappingProxyType
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from s2a_jax.models.context import ContextHeads, check_doublings, check_layers
from s2a_jax.models.fields import Variants, check_types
from s2a_jax.models.hybrid import HybridEncoder, check_encoder
from s2a_jax.models.layers import to_channels


class S2ANet(nn.Module):
    """Hybrid encoder, LCEM for the vessels, GCEM for the avascular zone.

    The defaults are the reference's: 99.8 M parameters. Blocks after the last one that LCEM or GCEM
    decodes are not built (the released PyTorch code has one).

    Attributes:
        width: channels of the CNN's root; its stages have 4, 8 and 16 times as many.
        units: bottlenecks in each of the three CNN stages.
        groups: groups of the CNN's group norms.
        hidden: width of the tokens.
        num_heads: attention heads; must divide `hidden`.
        mlp_width: hidden width of the Transformer's MLPs.
        dropout_rate: dropout of the Transformer, in [0, 1).
        first_channels: channels of each decoder's first convolution (LCEM).
        decoder_channels: channels after each doubling of a decoder (LCEM).
        gcem_first_channels: the same for GCEM; 0 means as for LCEM.
        gcem_decoder_channels: the same for GCEM; empty means as for LCEM.
        lcem_layers: Transformer blocks (from 0) that LCEM decodes.
        gcem_layers: Transformer blocks that GCEM decodes.
        grid: (H/16, W/16) for which position embeddings are stored; resized for other images.
        slabs: names of the slabs in the channels of x; (): one slab.
        dtype: type of the computation (bfloat16 or float32); parameters, the statistics of norms,
            softmax and logits are always float32.

    Call: `apply(variables, x, train=False)` with x [B, H, W, 1 or 3], or [B, H, W, len(slabs)]
    with several slabs, in [0, 1], H and W multiples of 16; `mutable=["intermediates"]` adds named
    intermediates.

    Returns:
        {"rv": [B, H, W, 1], "faz": [B, H, W, 1]}: logits, float32.
    """

    width: int = 64
    units: tuple[int, int, int] = (3, 4, 9)
    groups: int = 32
    hidden: int = 768
    num_heads: int = 12
    mlp_width: int = 3072
    dropout_rate: float = 0.1
    first_channels: int = 512
    decoder_channels: tuple[int, ...] = (256, 128, 64, 16)
    gcem_first_channels: int = 0
    gcem_decoder_channels: tuple[int, ...] = ()
    lcem_layers: tuple[int, ...] = (0,)
    gcem_layers: tuple[int, ...] = (1, 2, 3, 4, 5)
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
                "num_heads": 4,
                "mlp_width": 256,
                "first_channels": 96,
                "decoder_channels": (64, 48, 32, 16),
                "gcem_first_channels": 64,
                "gcem_decoder_channels": (32, 24, 16, 8),
                "gcem_layers": (1,),
            },
            "tiny": {
                "width": 8,
                "units": (1, 1, 2),
                "groups": 4,
                "hidden": 48,
                "num_heads": 4,
                "mlp_width": 96,
                "first_channels": 32,
                "decoder_channels": (24, 16, 12, 8),
                "gcem_layers": (1,),
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
            num_blocks=max(*self.lcem_layers, *self.gcem_layers) + 1,
            num_heads=self.num_heads,
            mlp_width=self.mlp_width,
            dropout_rate=self.dropout_rate,
            grid=self.grid,
            dtype=self.dtype,
            name="encoder",
        )(to_channels(x, self.slabs), train=train)
        return ContextHeads(
            lcem_layers=self.lcem_layers,
            gcem_layers=self.gcem_layers,
            first_channels=self.first_channels,
            decoder_channels=self.decoder_channels,
            gcem_first_channels=self.gcem_first_channels,
            gcem_decoder_channels=self.gcem_decoder_channels,
            dtype=self.dtype,
            name="heads",
        )(features, train=train)

    def check_fields(self) -> None:
        """Raises a FieldError unless these fields make a network."""
        check_types(self, at_least_0=("gcem_first_channels", "lcem_layers", "gcem_layers"))
        check_encoder(self)
        check_layers(self)
        check_doublings(self, "decoder_channels")
        if self.gcem_decoder_channels:
            check_doublings(self, "gcem_decoder_channels")
