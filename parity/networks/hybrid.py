"""The hybrid CNN-Transformer encoder and the decoder that S2A-Net and TransUNet share."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .resnet_v2 import HybridResNet
from .vit import Encoder


class Embeddings(nn.Module):
    """Tokens from the CNN's features, with learned position embeddings.

    The embeddings are resized bilinearly to the grid of the image.

    Args:
        width: Channels of the CNN's root.
        units: Bottlenecks of the three stages.
        groups: Groups of the normalisations.
        hidden: Size of a token.
        grid: Rows and columns of the stored embeddings.
        dropout_rate: Dropout of the tokens.
    """

    def __init__(
        self,
        width: int,
        units: Sequence[int],
        groups: int,
        hidden: int,
        grid: Sequence[int],
        dropout_rate: float,
    ) -> None:
        super().__init__()
        self.hybrid_model = HybridResNet(width, units, groups)
        self.patch_embeddings = nn.Conv2d(16 * width, hidden, 1)
        self.position_embeddings = nn.Parameter(torch.zeros(1, grid[0] * grid[1], hidden))
        self.dropout = nn.Dropout(dropout_rate)
        self.grid = tuple(grid)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map [B, 3, H, W] to tokens [B, N, hidden] in row-major order and the CNN's skips."""
        features, skips = self.hybrid_model(image)
        patches = self.patch_embeddings(features)
        positions = self.position_embeddings.transpose(1, 2).unflatten(2, self.grid)
        # On the stored grid every weight is 0 or 1, so nothing changes.
        positions = F.interpolate(positions, patches.shape[-2:], mode="bilinear")
        tokens = (patches + positions).flatten(2).transpose(1, 2)
        return self.dropout(tokens), skips


class HybridTransformer(nn.Module):
    """The whole hybrid encoder.

    Args:
        layers: Indices of the Transformer blocks whose output is kept.
        width: Channels of the CNN's root.
        units: Bottlenecks of the CNN's three stages.
        groups: Groups of the CNN's normalisations.
        hidden: Size of a token.
        num_heads: Number of attention heads.
        mlp_width: Size of the MLP's hidden layer.
        dropout_rate: Dropout of the tokens and in the MLP.
        grid: Rows and columns of the position embeddings: the training images' size / 16.
    """

    def __init__(
        self,
        *,
        layers: Sequence[int],
        width: int,
        units: Sequence[int],
        groups: int,
        hidden: int,
        num_heads: int,
        mlp_width: int,
        dropout_rate: float,
        grid: Sequence[int],
    ) -> None:
        super().__init__()
        self.embeddings = Embeddings(width, units, groups, hidden, grid, dropout_rate)
        self.encoder = Encoder(layers, hidden, num_heads, mlp_width, dropout_rate)

    def forward(self, image: Tensor) -> tuple[dict[int, Tensor], list[Tensor]]:
        """Map [B, 3, H, W] to the kept tokens, as `Encoder` does, and the CNN's skips."""
        tokens, skips = self.embeddings(image)
        return self.encoder(tokens), skips


def conv_bn_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    """Build a 3x3 convolution without bias, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class DecoderBlock(nn.Module):
    """Upsampling by two, concatenation with a skip and two convolutions.

    Args:
        in_channels: Channels of the input.
        skip_channels: Channels of the skip, 0 for none.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.conv1 = conv_bn_relu(in_channels + skip_channels, out_channels)
        self.conv2 = conv_bn_relu(out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Map [B, in_channels, H, W] and the skip at 2H, 2W to [B, out_channels, 2H, 2W]."""
        x = self.up(x)
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        return self.conv2(self.conv1(x))


class Decoder(nn.Module):
    """Convolutional decoder from tokens to the resolution of the image.

    Args:
        hidden: Size of a token.
        width: Channels of the CNN's root, which sets the skips' channels.
        first_channels: Channels of the first convolution.
        channels: Channels of the four blocks.
    """

    def __init__(
        self,
        *,
        hidden: int,
        width: int,
        first_channels: int,
        channels: Sequence[int],
    ) -> None:
        super().__init__()
        self.conv_more = conv_bn_relu(hidden, first_channels)
        inputs = (first_channels, *channels[:-1])
        skips = (8 * width, 4 * width, width, 0)
        self.blocks = nn.ModuleList(map(DecoderBlock, inputs, skips, channels))

    def forward(self, tokens: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Decode to features at the resolution of the image.

        Args:
            tokens: [B, N, hidden].
            skips: The CNN's maps at 1/8, 1/4 and 1/2.

        Returns:
            [B, channels[-1], H, W].
        """
        height, width = skips[0].shape[-2:]
        maps = tokens.transpose(1, 2).unflatten(2, (height // 2, width // 2))
        x = self.conv_more(maps)
        for block, skip in zip(self.blocks, (*skips, None), strict=True):
            x = block(x, skip)
        return x


def indices(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> list[int]:
    """List the numbers that `pattern`'s group matches at the start of the names, ascending."""
    return sorted({int(match[1]) for name in shapes if (match := re.match(pattern, name))})


def encoder_hyper_parameters(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Read the hybrid encoder's arguments off the shapes of a state dict.

    The grid is left out where the number of tokens is not a square.

    Args:
        shapes: Parameter name -> shape, with the names of S2A-Net and TransUNet.

    Returns:
        `width`, `units`, `hidden`, `mlp_width` and, if square, `grid`.
    """
    embeddings = "transformer.embeddings"
    cnn = f"{embeddings}.hybrid_model"
    _, tokens, hidden = shapes[f"{embeddings}.position_embeddings"]
    found = {
        "width": shapes[f"{cnn}.root.conv.weight"][0],
        "units": tuple(
            len(indices(shapes, rf"{re.escape(cnn)}\.body\.block{stage}\.unit(\d+)\."))
            for stage in (1, 2, 3)
        ),
        "hidden": hidden,
        "mlp_width": shapes["transformer.encoder.layer.0.ffn.fc1.weight"][0],
    }
    side = math.isqrt(tokens)
    if side**2 == tokens:
        found["grid"] = (side, side)
    return found


def decoder_hyper_parameters(
    shapes: Mapping[str, tuple[int, ...]], prefix: str
) -> tuple[int, tuple[int, ...]]:
    """Read a decoder's `first_channels` and `channels` off the shapes below `prefix`."""
    first_channels = shapes[f"{prefix}.conv_more.0.weight"][0]
    channels = tuple(shapes[f"{prefix}.blocks.{index}.conv2.0.weight"][0] for index in range(4))
    return first_channels, channels
