"""Deformable 3x3 convolution in plain tensor operations."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SAMPLES = 9


class DeformConv2d(nn.Module):
    """Deformable 3x3 convolution whose offsets come from its own input.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        # Applied to a map with a 3x3 cell of samples for every pixel.
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=3, bias=False)
        self.p_conv = nn.Conv2d(in_channels, 2 * SAMPLES, 3, padding=1)
        nn.init.zeros_(self.p_conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] to [B, out_channels, H, W]."""
        batch, channels, height, width = x.shape
        # Channels 0-8 are row offsets, channels 9-17 column offsets, in pixels.
        row_offsets, column_offsets = self.p_conv(x).split(SAMPLES, dim=1)
        rows = torch.arange(height, device=x.device, dtype=x.dtype)[:, None]
        columns = torch.arange(width, device=x.device, dtype=x.dtype)
        # Sample 3 * ky + kx lies at pixel + (ky - 1, kx - 1); the padding adds 1 to both.
        taps = torch.arange(3, device=x.device, dtype=x.dtype)
        row_taps = taps.repeat_interleave(3)[:, None, None]
        column_taps = taps.repeat(3)[:, None, None]
        samples = sample_bilinear(
            F.pad(x, (1, 1, 1, 1)),
            rows + row_taps + row_offsets,
            columns + column_taps + column_offsets,
        )
        cells = samples.view(batch, channels, 3, 3, height, width).permute(0, 1, 4, 2, 5, 3)
        return self.conv(cells.reshape(batch, channels, 3 * height, 3 * width))


def sample_bilinear(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Sample an image bilinearly at positions clamped to it.

    Args:
        image: [B, C, H, W].
        rows: [B, ...] positions in pixels, 0 being the centre of the first row.
        columns: Like `rows`.

    Returns:
        [B, C, ...].
    """
    batch, channels, height, width = image.shape
    rows = rows.clamp(0, height - 1)
    columns = columns.clamp(0, width - 1)
    top, left = rows.floor(), columns.floor()
    row_fraction = (rows - top)[:, None]
    column_fraction = (columns - left)[:, None]
    top, left = top.long(), left.long()
    # At the far edge the fraction is zero, so the repeated neighbour has no weight.
    bottom = (top + 1).clamp(max=height - 1)
    right = (left + 1).clamp(max=width - 1)
    flat = image.flatten(2)

    def pick(row: Tensor, column: Tensor) -> Tensor:
        index = (row * width + column).view(batch, 1, -1).expand(-1, channels, -1)
        return flat.gather(2, index).view(batch, channels, *row.shape[1:])

    upper = torch.lerp(pick(top, left), pick(top, right), column_fraction)
    lower = torch.lerp(pick(bottom, left), pick(bottom, right), column_fraction)
    return torch.lerp(upper, lower, row_fraction)
