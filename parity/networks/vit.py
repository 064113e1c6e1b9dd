"""The Transformer of the hybrid encoder."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

NORM_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention without dropout.

    Args:
        hidden: Size of a token.
        num_heads: Number of heads, a divisor of `hidden`.
    """

    def __init__(self, hidden: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, hidden)

    def _split(self, x: Tensor) -> Tensor:
        """Map [B, N, hidden] to [B, heads, N, hidden / heads]."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, N, hidden] to [B, N, hidden]."""
        query, key, value = (self._split(f(x)) for f in (self.query, self.key, self.value))
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        context = scores.softmax(dim=-1) @ value
        return self.out(context.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two linear layers with exact GELU.

    Args:
        hidden: Size of a token.
        mlp_width: Size of the hidden layer.
        dropout_rate: Dropout after the GELU and after the second layer.
    """

    def __init__(self, hidden: int, mlp_width: int, dropout_rate: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, mlp_width)
        self.fc2 = nn.Linear(mlp_width, hidden)
        self.dropout = nn.Dropout(dropout_rate)
        for layer in (self.fc1, self.fc2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, N, hidden] to [B, N, hidden]."""
        x = self.dropout(F.gelu(self.fc1(x), approximate="none"))
        return self.dropout(self.fc2(x))


class Block(nn.Module):
    """Pre-LN Transformer block; the arguments are those of `Attention` and `MLP`."""

    def __init__(self, hidden: int, num_heads: int, mlp_width: int, dropout_rate: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(hidden, eps=NORM_EPS)
        self.attn = Attention(hidden, num_heads)
        self.ffn_norm = nn.LayerNorm(hidden, eps=NORM_EPS)
        self.ffn = MLP(hidden, mlp_width, dropout_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, N, hidden] to [B, N, hidden]."""
        x = x + self.attn(self.attention_norm(x))
        return x + self.ffn(self.ffn_norm(x))


class Encoder(nn.Module):
    """A stack of Transformer blocks with one LayerNorm for all the outputs that are kept.

    Args:
        layers: Indices of the blocks whose output is kept; blocks beyond the last are not built.
        hidden: Size of a token.
        num_heads: Number of heads.
        mlp_width: Size of the MLP's hidden layer.
        dropout_rate: Dropout of the MLP.
    """

    def __init__(
        self,
        layers: Sequence[int],
        hidden: int,
        num_heads: int,
        mlp_width: int,
        dropout_rate: float,
    ) -> None:
        super().__init__()
        self.kept = frozenset(layers)
        self.layer = nn.ModuleList(
            Block(hidden, num_heads, mlp_width, dropout_rate) for _ in range(max(layers) + 1)
        )
        self.encoder_norm = nn.LayerNorm(hidden, eps=NORM_EPS)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Map [B, N, hidden] to block index -> normalised output [B, N, hidden]."""
        kept = {}
        for index, block in enumerate(self.layer):
            x = block(x)
            if index in self.kept:
                # The next block gets the output without this normalisation.
                kept[index] = self.encoder_norm(x)
        return kept
