"""The hybrid CNN-Transformer encoder of S2A-Net and TransUNet (arXiv:2102.04306)."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from s2a_jax.models.context import Features
from s2a_jax.models.fields import check_divisor, check_length, require
from s2a_jax.models.resnet import ResNetV2
from s2a_jax.models.vit import Transformer


class HybridEncoder(nn.Module):
    """CNN, then Transformer.  [B, H, W, C] -> every block's tokens as maps, and three skips.

    Attributes:
        width: channels of the CNN's root; its stages have 4, 8 and 16 times as many.
        units: bottlenecks in each of the three CNN stages.
        groups: groups of the CNN's group norms.
        hidden: width of the tokens.
        num_blocks: Transformer blocks.
        num_heads: attention heads; must divide `hidden`.
        mlp_width: hidden width of the Transformer's MLPs.
        dropout_rate: dropout of the Transformer, in [0, 1).
        grid: (H/16, W/16) for which position embeddings are stored; resized for other images.
        dtype: type of the computation.
    """

    width: int
    units: tuple[int, int, int]
    groups: int
    hidden: int
    num_blocks: int
    num_heads: int
    mlp_width: int
    dropout_rate: float
    grid: tuple[int, int]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Features:
        x, skips = ResNetV2(
            width=self.width,
            units=self.units,
            groups=self.groups,
            dtype=self.dtype,
            name="resnet",
        )(x)
        blocks = Transformer(
            hidden=self.hidden,
            num_blocks=self.num_blocks,
            num_heads=self.num_heads,
            mlp_width=self.mlp_width,
            dropout_rate=self.dropout_rate,
            grid=self.grid,
            dtype=self.dtype,
            name="transformer",
        )(x, train=train)
        return Features(blocks=blocks, skips=skips)


def check_encoder(network: nn.Module) -> None:
    """Checks the fields that a network hands on to `HybridEncoder`; their types are right."""
    check_length(network, "units", 3, "one for each CNN stage")
    check_divisor(network, "groups", whole="width")
    check_divisor(network, "num_heads", whole="hidden")
    check_length(network, "grid", 2, "rows and columns of tokens")
    rate = network.dropout_rate
    fits = isinstance(rate, int | float) and 0 <= rate < 1
    require(fits, network, "dropout_rate", "a share in [0, 1)")
