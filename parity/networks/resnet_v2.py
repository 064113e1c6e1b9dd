"""The CNN of the hybrid encoder: a ResNet with weight standardisation and group normalisation."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IN_CHANNELS = 3
NORM_EPS = 1e-6
STANDARDISE_EPS = 1e-5


class StdConv2d(nn.Conv2d):
    """Convolution whose filters have zero mean and unit (biased) variance each."""

    def standardised(self) -> Tensor:
        """Return the weights that are applied."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        return (self.weight - mean) / torch.sqrt(variance + STANDARDISE_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, H', W']."""
        return F.conv2d(x, self.standardised(), self.bias, self.stride, self.padding)


class Bottleneck(nn.Module):
    """ResNet bottleneck with weight standardisation and group normalisation.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the 3x3 convolution; the output has four times as many.
        stride: Stride of the 3x3 convolution.
        groups: Groups of the normalisations within the unit.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, groups: int) -> None:
        super().__init__()
        out_channels = 4 * channels
        self.conv1 = StdConv2d(in_channels, channels, 1, bias=False)
        self.gn1 = nn.GroupNorm(groups, channels, eps=NORM_EPS)
        self.conv2 = StdConv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.gn2 = nn.GroupNorm(groups, channels, eps=NORM_EPS)
        self.conv3 = StdConv2d(channels, out_channels, 1, bias=False)
        self.gn3 = nn.GroupNorm(groups, out_channels, eps=NORM_EPS)
        self.projects = stride != 1 or in_channels != out_channels
        if self.projects:
            self.downsample = StdConv2d(in_channels, out_channels, 1, stride, bias=False)
            # The original leaves PyTorch's default epsilon here, and one group per channel.
            self.gn_proj = nn.GroupNorm(out_channels, out_channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, 4 * channels, H / stride, W / stride]."""
        residual = self.gn_proj(self.downsample(x)) if self.projects else x
        y = F.relu(self.gn1(self.conv1(x)))
        y = F.relu(self.gn2(self.conv2(y)))
        y = self.gn3(self.conv3(y))
        return F.relu(residual + y)


class HybridResNet(nn.Module):
    """Root and three stages of bottlenecks.

    Args:
        width: Channels of the root, w.
        units: Bottlenecks of the three stages.
        groups: Groups of the normalisations.
    """

    def __init__(self, width: int, units: Sequence[int], groups: int) -> None:
        super().__init__()
        self.root = nn.Sequential(
            OrderedDict(
                conv=StdConv2d(IN_CHANNELS, width, 7, stride=2, padding=3, bias=False),
                gn=nn.GroupNorm(groups, width, eps=NORM_EPS),
                relu=nn.ReLU(),
            )
        )
        # Without padding: the map at 1/4 is one pixel short.
        self.pool = nn.MaxPool2d(3, stride=2)
        stages = OrderedDict()
        in_channels = width
        for stage, count in enumerate(units):
            channels = width * 2**stage
            first_stride = 1 if stage == 0 else 2
            blocks = OrderedDict()
            for unit in range(count):
                stride = first_stride if unit == 0 else 1
                blocks[f"unit{unit + 1}"] = Bottleneck(in_channels, channels, stride, groups)
                in_channels = 4 * channels
            stages[f"block{stage + 1}"] = nn.Sequential(blocks)
        self.body = nn.ModuleDict(stages)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the features at 1/16 and the skips.

        Args:
            image: [B, 3, H, W].

        Returns:
            Features [B, 16w, H/16, W/16] and the skips [B, 8w, H/8, W/8], [B, 4w, H/4, W/4] and
            [B, w, H/2, W/2].
        """
        height, width = image.shape[-2:]
        root = self.root(image)
        quarter = self.body["block1"](self.pool(root))
        eighth = self.body["block2"](quarter)
        features = self.body["block3"](eighth)
        # Only the skips are padded; the next stage sees the unpadded map.
        skips = [
            pad_to(eighth, height // 8, width // 8),
            pad_to(quarter, height // 4, width // 4),
            root,
        ]
        return features, skips


def pad_to(x: Tensor, height: int, width: int) -> Tensor:
    """Zero-pad [B, C, h, w] at the bottom and the right to [B, C, height, width]."""
    return F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))
