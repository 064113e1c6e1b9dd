"""U-Net with one output channel for the vessels (RV) and one for the avascular zone (FAZ)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

IN_CHANNELS = 3


class DoubleConv(nn.Module):
    """Twice a 3x3 convolution with bias, batch normalisation and ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of both convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, H, W]."""
        return self.conv(x)


class Upsample(nn.Module):
    """Transposed 2x2 convolution of stride 2 with bias, without normalisation.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.Sequential(nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, 2H, 2W]."""
        return self.up(x)


class UNet(nn.Module):
    """U-Net of five levels, joint for both tasks.

    The submodules keep the original names: `Conv1` .. `Conv5` go down, `Up5` .. `Up2` and
    `Up_conv5` .. `Up_conv2` go up, `Conv_1x1` is the head.

    Args:
        widths: Channels of the five levels, finest first.
    """

    def __init__(self, *, widths: Sequence[int] = (64, 128, 256, 512, 1024)) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = widths
        self.Maxpool = nn.MaxPool2d(2)
        self.Conv1 = DoubleConv(IN_CHANNELS, w1)
        self.Conv2 = DoubleConv(w1, w2)
        self.Conv3 = DoubleConv(w2, w3)
        self.Conv4 = DoubleConv(w3, w4)
        self.Conv5 = DoubleConv(w4, w5)
        self.Up5 = Upsample(w5, w4)
        self.Up_conv5 = DoubleConv(2 * w4, w4)
        self.Up4 = Upsample(w4, w3)
        self.Up_conv4 = DoubleConv(2 * w3, w3)
        self.Up3 = Upsample(w3, w2)
        self.Up_conv3 = DoubleConv(2 * w2, w2)
        self.Up2 = Upsample(w2, w1)
        self.Up_conv2 = DoubleConv(2 * w1, w1)
        self.Conv_1x1 = nn.Conv2d(w1, 2, 1)

    @classmethod
    def hyper_parameters(
        cls, shapes: Mapping[str, tuple[int, ...]], **known: Any
    ) -> dict[str, Any]:
        """Read the constructor's arguments off the shapes of a state dict.

        Args:
            shapes: Parameter name -> shape.
            **known: Arguments to pass on unchanged.

        Returns:
            Keyword arguments of the constructor.
        """
        widths = tuple(shapes[f"Conv{level}.conv.0.weight"][0] for level in range(1, 6))
        return {"widths": widths, **known}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the logits of both tasks.

        Args:
            image: [B, 3, H, W] in [0, 1], H and W multiples of 16.

        Returns:
            `rv` and `faz`, each [B, 1, H, W].
        """
        x1 = self.Conv1(image)
        x2 = self.Conv2(self.Maxpool(x1))
        x3 = self.Conv3(self.Maxpool(x2))
        x4 = self.Conv4(self.Maxpool(x3))
        x5 = self.Conv5(self.Maxpool(x4))
        # The skip comes first in every concatenation.
        d = self.Up_conv5(torch.cat([x4, self.Up5(x5)], dim=1))
        d = self.Up_conv4(torch.cat([x3, self.Up4(d)], dim=1))
        d = self.Up_conv3(torch.cat([x2, self.Up3(d)], dim=1))
        d = self.Up_conv2(torch.cat([x1, self.Up2(d)], dim=1))
        logits = self.Conv_1x1(d)
        return {"rv": logits[:, 0:1], "faz": logits[:, 1:2]}
