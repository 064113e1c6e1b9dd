"""VAFF-Net: three en-face slabs, weighted per task by voting gates."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .hybrid import indices

IN_CHANNELS = 3
NUM_SLABS = 3
CELL_CHANNELS = 6  # of the junction grid


class Bottleneck(nn.Module):
    """ResNet bottleneck with batch normalisation and the stride on the 3x3 convolution.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the 3x3 convolution; the output has four times as many.
        stride: Stride of the 3x3 convolution.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = 4 * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        if stride == 1 and in_channels == out_channels:
            self.downsample = nn.Identity()
        else:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, 4 * channels, H / stride, W / stride]."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def stage(in_channels: int, channels: int, units: int, stride: int) -> nn.Sequential:
    """Build `units` bottlenecks, the first with `stride`."""
    first = Bottleneck(in_channels, channels, stride)
    return nn.Sequential(first, *(Bottleneck(4 * channels, channels, 1) for _ in range(units - 1)))


def voting_gate(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    """Build a gate from the concatenated slabs to one logit per slab and pixel."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        in_channels = width
    return nn.Sequential(*layers, nn.Conv2d(in_channels, NUM_SLABS, 1))


class VAFFNet(nn.Module):
    """VAFF-Net.

    Names ending in `_1`, `_2`, `_3` belong to the slabs whole, deep, superficial. Heads: the
    names without a suffix are FAZ, `_v` vessels, `_map` junction heatmap, `_d` junction grid.

    Args:
        width: Channels of the first convolution and of the first stage's bottlenecks.
        layers: Bottlenecks of the four stages.
        pyramid: Channels of the feature pyramid.
        gate: Channels of the three convolutions of a voting gate.
        head: Channels of the FAZ and the vessel head.
        map_width: Channels of the junction heatmap's head.
        grid_width: Channels of the junction grid's head.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        layers: Sequence[int] = (3, 4, 6, 3),
        pyramid: int = 256,
        gate: Sequence[int] = (256, 256, 64),
        head: int = 256,
        map_width: int = 64,
        grid_width: int = 128,
    ) -> None:
        super().__init__()
        # One normalisation under three names: each slab's call updates the same statistics.
        first_bn = nn.BatchNorm2d(width)
        for slab in range(1, NUM_SLABS + 1):
            self.add_module(
                f"firstconv_{slab}", nn.Conv2d(IN_CHANNELS, width, 3, padding=1, bias=False)
            )
            self.add_module(f"firstbn_{slab}", first_bn)
            self.add_module(
                f"firstdownsample_{slab}",
                nn.Conv2d(width, width, 7, stride=2, padding=3, bias=False),
            )
        self.encoder1 = stage(width, width, layers[0], stride=1)
        self.encoder2 = stage(4 * width, 2 * width, layers[1], stride=2)
        self.encoder3 = stage(8 * width, 4 * width, layers[2], stride=2)
        self.encoder4 = stage(16 * width, 8 * width, layers[3], stride=2)
        self.toplayer = nn.Conv2d(32 * width, pyramid, 1)
        self.latlayer1 = nn.Conv2d(16 * width, pyramid, 1)
        self.latlayer2 = nn.Conv2d(8 * width, pyramid, 1)
        self.latlayer3 = nn.Conv2d(4 * width, pyramid, 1)
        self.latlayer4 = nn.Conv2d(width, pyramid, 1)
        self.gate_conv_FAZ = voting_gate(NUM_SLABS * width, gate)
        self.gate_conv_vessel = voting_gate(NUM_SLABS * width, gate)
        self.gate_conv_juncM = voting_gate(NUM_SLABS * width, gate)
        self.finaldeconv1 = nn.Conv2d(pyramid, head, 3, padding=1)
        self.finalBN = nn.BatchNorm2d(head)
        self.finalconv2 = nn.Conv2d(head, 1, 1)
        self.finaldeconv1_v = nn.Conv2d(pyramid, head, 3, padding=1)
        self.finalBN_v = nn.BatchNorm2d(head)
        self.finalconv2_v = nn.Conv2d(head, 1, 1)
        self.finaldeconv1_map = nn.Conv2d(pyramid, map_width, 3, padding=1)
        self.finalBN_map = nn.BatchNorm2d(map_width)
        self.finalconv2_map = nn.Conv2d(map_width, 1, 1)
        self.finaldeconv1_d = nn.Conv2d(pyramid, grid_width, 6, stride=4, padding=1)
        self.finalBN_d = nn.BatchNorm2d(grid_width)
        self.finaldeconv1_d2 = nn.Conv2d(grid_width, grid_width, 4, stride=2, padding=1)
        self.finalBN_d2 = nn.BatchNorm2d(grid_width)
        self.finalconv2_d = nn.Conv2d(grid_width, CELL_CHANNELS, 1)

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
        return {
            "width": shapes["firstconv_1.weight"][0],
            "layers": tuple(len(indices(shapes, rf"encoder{i}\.(\d+)\.")) for i in (1, 2, 3, 4)),
            "pyramid": shapes["toplayer.weight"][0],
            "gate": tuple(shapes[f"gate_conv_FAZ.{index}.weight"][0] for index in (0, 3, 6)),
            "head": shapes["finaldeconv1.weight"][0],
            "map_width": shapes["finaldeconv1_map.weight"][0],
            "grid_width": shapes["finaldeconv1_d.weight"][0],
            **known,
        }

    def _pyramid(self, slab: int, image: Tensor) -> tuple[Tensor, Tensor]:
        """Encode one slab.

        Args:
            slab: 1 for whole, 2 for deep, 3 for superficial.
            image: [B, 3, H, W].

        Returns:
            The first features [B, width, H, W] and the pyramid's finest map [B, pyramid, H, W].
        """
        conv, bn, downsample = (
            self.get_submodule(f"{name}_{slab}")
            for name in ("firstconv", "firstbn", "firstdownsample")
        )
        x = F.relu(bn(conv(image)))
        e1 = self.encoder1(downsample(x))
        e2 = self.encoder2(e1)
        e3 = self.encoder3(e2)
        p = self.toplayer(self.encoder4(e3))
        p = _resize_add(p, self.latlayer1(e3))
        p = _resize_add(p, self.latlayer2(e2))
        p = _resize_add(p, self.latlayer3(e1))
        return x, _resize_add(p, self.latlayer4(x))

    def forward(self, whole: Tensor, deep: Tensor, superficial: Tensor) -> dict[str, Tensor]:
        """Return the logits of the four heads.

        For an image of a single slab, pass it three times.

        Args:
            whole: [B, 3, H, W] in [0, 1], H and W multiples of 16.
            deep: Like `whole`.
            superficial: Like `whole`.

        Returns:
            `rv`, `faz` and `junction_map` [B, 1, H, W], `junction_grid` [B, 6, H/8, W/8].
        """
        slabs = (whole, deep, superficial)
        firsts, pyramids = zip(*map(self._pyramid, (1, 2, 3), slabs), strict=True)
        features = torch.cat(firsts, dim=1)
        faz = _vote(self.gate_conv_FAZ(features), pyramids)
        vessel = _vote(self.gate_conv_vessel(features), pyramids)
        junction = _vote(self.gate_conv_juncM(features), pyramids)

        faz = self.finalconv2(F.relu(self.finalBN(self.finaldeconv1(faz))))
        vessel = self.finalconv2_v(F.relu(self.finalBN_v(self.finaldeconv1_v(vessel))))
        heat = F.relu(self.finalBN_map(self.finaldeconv1_map(junction)))
        cells = F.relu(self.finalBN_d(self.finaldeconv1_d(junction)))
        cells = F.relu(self.finalBN_d2(self.finaldeconv1_d2(cells)))
        return {
            "rv": vessel,
            "faz": faz,
            "junction_map": self.finalconv2_map(heat),
            "junction_grid": self.finalconv2_d(cells),
        }


def _resize_add(x: Tensor, lateral: Tensor) -> Tensor:
    """Resize `x` to the size of `lateral` and add both."""
    return F.interpolate(x, lateral.shape[-2:], mode="bilinear", align_corners=True) + lateral


def _vote(gate_logits: Tensor, pyramids: Sequence[Tensor]) -> Tensor:
    """Sum the slabs' maps [B, C, H, W], each weighted by its channel of the gate [B, 3, H, W]."""
    weights = gate_logits.sigmoid().split(1, dim=1)
    return sum(weight * p for weight, p in zip(weights, pyramids, strict=True))
