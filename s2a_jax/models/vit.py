"""The Transformer of the hybrid encoder: pre-norm blocks that all return their output.

Dosovitskiy et al., An Image is Worth 16x16 Words (arXiv:2010.11929), as in TransUNet.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from s2a_jax.models.layers import Conv, Dense


def resize_positions(embedding: Array, grid: tuple[int, int], new_grid: tuple[int, int]) -> Array:
    """Resizes position embeddings bilinearly.  [1, N, D] on `grid` -> [1, N', D] on `new_grid`."""
    if grid == new_grid:
        return embedding
    width = embedding.shape[-1]
    resized = jax.image.resize(
        embedding.reshape(1, *grid, width), (1, *new_grid, width), "bilinear", antialias=False
    )
    return resized.reshape(1, new_grid[0] * new_grid[1], width)


class SelfAttention(nn.Module):
    """Multi-head self-attention, softmax in float32.  [B, N, D] -> [B, N, D]."""

    num_heads: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        batch, tokens, width = x.shape
        head_size = width // self.num_heads

        def project(name: str) -> Array:
            heads = Dense(width, dtype=self.dtype, name=name)(x)
            return heads.reshape(batch, tokens, self.num_heads, head_size)

        query, key, value = project("query"), project("key"), project("value")
        # Accumulated and kept in float32 where the operands are bfloat16.
        precise = jnp.promote_types(query.dtype, jnp.float32)
        scores = jnp.einsum("bqkd,bskd->bkqs", query, key, preferred_element_type=precise)
        weights = jax.nn.softmax(scores / head_size**0.5)
        attended = jnp.einsum("bkqs,bskd->bqkd", weights.astype(self.dtype), value)
        return Dense(width, dtype=self.dtype, name="out")(attended.reshape(batch, tokens, width))


class Block(nn.Module):
    """Attention and MLP (exact GELU), each with a layer norm before it.  [B, N, D] -> [B, N, D]."""

    num_heads: int
    mlp_width: int
    dropout_rate: float
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        dropout = nn.Dropout(self.dropout_rate, deterministic=not train)
        mlp_init = {
            "kernel_init": nn.initializers.xavier_uniform(),
            "bias_init": nn.initializers.normal(1e-6),
            "dtype": self.dtype,
        }
        y = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="attention_norm")(x)
        x = x + SelfAttention(self.num_heads, dtype=self.dtype, name="attention")(y)
        y = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="mlp_norm")(x)
        y = Dense(self.mlp_width, name="fc1", **mlp_init)(y)
        y = dropout(nn.gelu(y, approximate=False))
        y = dropout(Dense(x.shape[-1], name="fc2", **mlp_init)(y))
        return x + y


class Transformer(nn.Module):
    """Tokens of a feature map through pre-norm blocks.  [B, h, w, C] -> one [B, h, w, D] a block.

    All blocks share one layer norm for the copies that are returned; the next block takes the
    output before that norm.

    Attributes:
        hidden: width D of the tokens.
        num_blocks: blocks to build.
        num_heads: attention heads; must divide `hidden`.
        mlp_width: width of the MLPs' hidden layer.
        dropout_rate: after the position embedding and in the MLPs; the attention has none.
        grid: (h, w) of the stored position embeddings; they are resized bilinearly to any other.
        dtype: type of the computation.
    """

    hidden: int
    num_blocks: int
    num_heads: int
    mlp_width: int
    dropout_rate: float
    grid: tuple[int, int]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> tuple[Array, ...]:
        batch, height, width, _ = x.shape
        x = Conv(self.hidden, 1, dtype=self.dtype, name="patch_embedding")(x)
        x = x.reshape(batch, height * width, self.hidden)  # [B, N, D]
        positions = self.param(
            "position_embedding",
            nn.initializers.zeros,
            (1, self.grid[0] * self.grid[1], self.hidden),
        )
        x = x + resize_positions(positions, self.grid, (height, width)).astype(self.dtype)
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        shared_norm = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="norm")
        outputs = []
        for i in range(self.num_blocks):
            x = Block(
                num_heads=self.num_heads,
                mlp_width=self.mlp_width,
                dropout_rate=self.dropout_rate,
                dtype=self.dtype,
                name=f"block_{i}",
            )(x, train=train)
            normed = shared_norm(x)
            self.sow("intermediates", f"tokens_{i}", normed)
            outputs.append(normed.reshape(batch, height, width, self.hidden))
        return tuple(outputs)
