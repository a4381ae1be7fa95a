"""Building blocks of the decoder: SCSE attention and the upsampling block."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def local_mean(x: Tensor, window: int) -> Tensor:
    """Mean of `x` over a window around each cell of a coarse grid.

    A sliding mean at every pixel costs more than the convolutions beside it. Cells of a third of the window,
    averaged 3 x 3, give the same statistic at a cost that does not show.

    Args:
        x: features, (B, C, H, W).
        window: side of the window in pixels of `x`, at least 3.

    Returns:
        (B, C, ceil(H / cell), ceil(W / cell)) with `cell = window // 3`.
    """
    cell = window // 3
    cells = F.avg_pool2d(x, cell, ceil_mode=True, count_include_pad=False)
    return F.avg_pool2d(cells, 3, stride=1, padding=1, count_include_pad=False)


class SCSE(nn.Module):
    """Concurrent spatial and channel squeeze-and-excitation (Roy et al., 2018, arXiv:1803.02579).

    Two gates, added: one number per channel from the mean of the features, and one number per pixel from a 1x1
    convolution. In training the mean is global, over the patch. In evaluation it is taken over a local window of
    about the size of a training patch (test-time local conversion, Chu et al., 2022, arXiv:2112.04491), so that
    whole images see the statistics the gate was trained on, and tiles of an image agree with the whole.

    Args:
        channels: number of feature channels.
        reduction: bottleneck of the channel gate.
        window: side of the local window in pixels of this level; 0 pools globally in evaluation too.

    Shape: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 8, window: int = 0):
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.window = window
        self.channel = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1)
        )
        self.spatial = nn.Conv2d(channels, 1, 1)

    def channel_gate(self, x: Tensor) -> Tensor:
        """Channel gate in (0, 1): (B, C, 1, 1), or (B, C, H, W) where the window is local."""
        height, width = x.shape[-2:]
        if self.training or self.window < 3 or max(height, width) <= self.window:
            return self.channel(x.mean((2, 3), keepdim=True)).sigmoid()
        gate = self.channel(local_mean(x, self.window)).sigmoid()
        cell = self.window // 3
        gate = F.interpolate(gate, scale_factor=cell, mode="bilinear", align_corners=False)
        return gate[..., :height, :width]

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.channel_gate(x) + self.spatial(x).sigmoid())


class ConvBlock(nn.Sequential):
    """3x3 convolution and ReLU. BatchNorm between the two lost every long comparison."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity: `x + conv(block(x))`."""

    def __init__(self, channels: int):
        super().__init__()
        self.block = ConvBlock(channels, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(self.block(x))


class DecoderBlock(nn.Module):
    """One decoder level: transposed convolution x2, concatenation with the skip, convolutions, SCSE.

    Args:
        in_channels: channels from the level below.
        skip_channels: channels of the encoder feature at this resolution; 0 where there is none.
        out_channels: channels of this level.
        depth: residual blocks after the first convolution.
        gate_window: local window of the channel gate, in pixels of this level.

    Shape: (B, in_channels, H, W) and (B, skip_channels, 2H, 2W) -> (B, out_channels, 2H, 2W).
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, depth: int, gate_window: int):
        super().__init__()
        up_channels = max(out_channels // 2, 1)  # the skip knows more of this resolution than the level below
        self.up = nn.ConvTranspose2d(in_channels, up_channels, 2, stride=2)
        self.fuse = ConvBlock(up_channels + skip_channels, out_channels)
        self.refine = nn.Sequential(*(ResidualBlock(out_channels) for _ in range(depth)))
        self.attention = SCSE(out_channels, window=gate_window)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = self.up(x)
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        return self.attention(self.refine(self.fuse(x)))
