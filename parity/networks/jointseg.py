"""Joint-Seg: a feature-aligning decoder for the avascular zone (FAZ), one for the vessels (RV)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .deformable import DeformConv2d
from .unet import IN_CHANNELS, DoubleConv


class SingleConv(nn.Module):
    """A 3x3 convolution with bias, batch normalisation and ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, H, W]."""
        return self.conv(x)


class UpConv(nn.Module):
    """Transposed 2x2 convolution of stride 2, batch normalisation and ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, 2H, 2W]."""
        return self.up(x)


class FeatureSelection(nn.Module):
    """FSM: channel attention from the global average, then a 1x1 convolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_atten = nn.Conv2d(in_channels, in_channels, 1, bias=False)
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, H, W]."""
        attention = self.conv_atten(x.mean(dim=(2, 3), keepdim=True)).sigmoid()
        return self.conv(x + x * attention)


class FeatureAlignment(nn.Module):
    """FAM: aligns the decoder's features to the skip with a deformable convolution.

    Args:
        channels: Channels of both inputs and of the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lateral_conv = FeatureSelection(channels, channels)
        # Despite its name this layer only fuses; the offsets come from `dcpack_L2.p_conv`.
        self.offset = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.dcpack_L2 = DeformConv2d(channels, channels)

    def forward(self, skip: Tensor, upper: Tensor) -> Tensor:
        """Align.

        Args:
            skip: [B, channels, H, W].
            upper: [B, channels, h, w], resized to H, W if needed.

        Returns:
            [B, channels, H, W].
        """
        if upper.shape[-2:] != skip.shape[-2:]:
            upper = F.interpolate(upper, skip.shape[-2:], mode="bilinear", align_corners=False)
        lateral = self.lateral_conv(skip)
        fused = self.offset(torch.cat([lateral, 2 * upper], dim=1))
        return F.relu(self.dcpack_L2(fused)) + lateral


class SpatialAttention(nn.Module):
    """Self-attention over pixels, with a learned weight that starts at zero.

    Args:
        channels: Channels of the input and the output; queries and keys have an eighth of them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Sequential(
            nn.Conv2d(channels, channels // 8, (1, 3), padding=(0, 1)),
            nn.BatchNorm2d(channels // 8),
            nn.ReLU(),
        )
        self.key = nn.Sequential(
            nn.Conv2d(channels, channels // 8, (3, 1), padding=(1, 0)),
            nn.BatchNorm2d(channels // 8),
            nn.ReLU(),
        )
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels, H, W] to the same shape."""
        query, key, value = (f(x).flatten(2) for f in (self.query, self.key, self.value))
        # [B, queries, keys]; the scores are not divided by the root of the size.
        attention = (query.transpose(1, 2) @ key).softmax(dim=-1)
        attended = value @ attention.transpose(1, 2)
        return self.gamma * attended.view_as(x) + x


class MultiScaleFusion(nn.Module):
    """MSF: two gates from dilated convolutions and spatial attention.

    Args:
        channels: Channels of the input and the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, dilation=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=3, dilation=3, bias=False)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=5, dilation=5, bias=False)
        self.sam1 = SpatialAttention(channels)
        self.sam2 = SpatialAttention(channels)
        self.sam3 = SpatialAttention(channels)
        self.fusion1_1 = SingleConv(2 * channels, channels)
        self.fusion1_2 = self._gate(channels)
        self.fusion2_1 = SingleConv(2 * channels, channels)
        self.fusion2_2 = self._gate(channels)

    @staticmethod
    def _gate(channels: int) -> nn.Sequential:
        """Build the last layers of a gate, from three concatenated maps."""
        return nn.Sequential(
            nn.Conv2d(3 * channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels, H, W] to the same shape."""
        x1, x2, x3 = self.conv1(x), self.conv2(x), self.conv3(x)
        a1, a2, a3 = self.sam1(x), self.sam2(x), self.sam3(x)
        fine = self.fusion1_1(torch.cat([x1, x2], dim=1))
        fine = self.fusion1_2(torch.cat([fine, a1, a2], dim=1))
        coarse = self.fusion2_1(torch.cat([x2, x3], dim=1))
        coarse = self.fusion2_2(torch.cat([coarse, a2, a3], dim=1))
        return (fine + coarse) * x + x


class JointSeg(nn.Module):
    """Joint-Seg.

    `conv1` .. `conv5` are the encoder's levels, finest first. In the decoders' names 9 .. 6 stand
    for the levels 1 .. 4. Both decoders share the output convolution `out`.

    The released code cannot run: its FAZ decoder's up-convolutions have twice as many output
    channels as the layers after them expect. Here they have the width of the aligned features.

    Args:
        widths: Channels of the five levels, finest first.
    """

    def __init__(self, *, widths: Sequence[int] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        self.maxpool = nn.MaxPool2d(2)
        for level, (before, width) in enumerate(
            zip((IN_CHANNELS, *widths[:-1]), widths, strict=True), start=1
        ):
            self.add_module(f"conv{level}", DoubleConv(before, width))
        # Index 6 is level 4, and so on.
        for index, level in zip((6, 7, 8, 9), (4, 3, 2, 1), strict=True):
            width, half, below = widths[level - 1], widths[level - 1] // 2, widths[level]
            self.add_module(f"faz_up{index}", UpConv(below, half))
            self.add_module(f"faz_fsm{index}", FeatureSelection(width, half))
            self.add_module(f"faz_fam{index}", FeatureAlignment(half))
            self.add_module(f"faz_conv{index}", DoubleConv(2 * half, width))
            self.add_module(f"rv_fsm{index}", FeatureSelection(width, half))
            if index > 6:
                # The RV decoder has half the width except at its last level.
                self.add_module(f"rv_up{index}", UpConv(below // 2, half))
                self.add_module(
                    f"rv_conv{index}", DoubleConv(2 * half, width if level == 1 else half)
                )
        self.rv_attention = MultiScaleFusion(widths[3] // 2)
        self.out = nn.Conv2d(widths[0], 1, 3, padding=1)

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
        widths = tuple(shapes[f"conv{level}.conv.0.weight"][0] for level in range(1, 6))
        return {"widths": widths, **known}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the logits of both tasks.

        Args:
            image: [B, 3, H, W] in [0, 1], H and W multiples of 16.

        Returns:
            `rv` and `faz`, each [B, 1, H, W].
        """
        x1 = self.conv1(image)
        x2 = self.conv2(self.maxpool(x1))
        x3 = self.conv3(self.maxpool(x2))
        x4 = self.conv4(self.maxpool(x3))
        faz = self.conv5(self.maxpool(x4))
        for index, skip in zip((6, 7, 8, 9), (x4, x3, x2, x1), strict=True):
            up, fsm, fam, conv = self._modules_at("faz", ("up", "fsm", "fam", "conv"), index)
            selected = fsm(skip)
            faz = conv(torch.cat([fam(selected, up(faz)), selected], dim=1))

        rv = self.rv_fsm6(x4)
        rv = rv + self.rv_attention(rv)
        for index, skip in zip((7, 8, 9), (x3, x2, x1), strict=True):
            up, fsm, conv = self._modules_at("rv", ("up", "fsm", "conv"), index)
            rv = conv(torch.cat([up(rv), fsm(skip)], dim=1))
        return {"rv": self.out(rv), "faz": self.out(faz)}

    def _modules_at(self, task: str, names: Sequence[str], index: int) -> list[nn.Module]:
        """Return the modules `<task>_<name><index>`."""
        return [self.get_submodule(f"{task}_{name}{index}") for name in names]
