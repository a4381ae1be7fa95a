"""The network with one graph for every size: where it chooses by height and width, tensors choose.

`torch.export` records one way through the Python code; a branch on a size would be frozen as the example took it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hf_denoise.model.blocks import SCSE
from hf_denoise.model.folding import fold_batch_norm
from hf_denoise.model.serving import serving_copy
from hf_denoise.model.unet import DenoisingUNet


def reflected(length: int, multiple: int) -> Tensor:
    """What `pad_to_multiple` does to one axis, as indices: (length rounded up to a multiple,) int64.

    The choice between reflection and replication is made by tensors, so that it is in the graph for every length.
    """
    padded = (length + multiple - 1) // multiple * multiple
    index, last = torch.arange(padded), length - 1
    reflects = torch.scalar_tensor(padded - length) < torch.scalar_tensor(length)
    beyond = torch.where(reflects, (2 * last - index).clamp(min=0), last)
    return torch.where(index <= last, index, beyond)


def window_counts(length: int, cell: int, cells: int) -> Tensor:
    """How many pixels of an axis fall into each of its cells: (cells,) int64."""
    return (length - cell * torch.arange(cells)).clamp(max=cell)


class DynamicSCSE(nn.Module):
    """`SCSE` in evaluation mode with one graph for all sizes, where the layer has a branch for small images.

    The mean of a small image is global: it is put in place of each local mean, and comes through the interpolation
    as it is.

    Shape: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, gate: SCSE):
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.channel_gate(x) + self.gate.spatial(x).sigmoid())

    def channel_gate(self, x: Tensor) -> Tensor:
        """Channel gate in (0, 1): (B, C, H, W), or (B, C, 1, 1) where the pooling is always global."""
        window = self.gate.window
        if window < 3:
            return self.gate.channel_gate(x)
        (height, width), cell = x.shape[-2:], window // 3
        rows, columns = (height + cell - 1) // cell, (width + cell - 1) // cell
        # `avg_pool2d(ceil_mode=True, count_include_pad=False)`, which runtimes have not always agreed on. The exporter
        # does not know that `-width % cell` would pad to the same.
        whole = F.pad(x, (0, columns * cell - width, 0, rows * cell - height))
        pixels = window_counts(height, cell, rows)[:, None] * window_counts(width, cell, columns)
        cells = F.avg_pool2d(whole, cell) * (cell**2 / pixels.to(x.dtype))
        local = F.avg_pool2d(cells, 3, stride=1, padding=1, count_include_pad=False)
        small = torch.scalar_tensor(torch.sym_max(height, width)) <= window
        gate = self.gate.channel(torch.where(small, x.mean((2, 3), keepdim=True), local)).sigmoid()
        gate = F.interpolate(gate, scale_factor=cell, mode="bilinear", align_corners=False)
        return gate[..., :height, :width]


class DynamicUNet(nn.Module):
    """A `DenoisingUNet` in evaluation mode with one graph for all sizes: (B, 3, H, W) -> (B, 3, H, W)."""

    def __init__(self, model: DenoisingUNet):
        super().__init__()
        self.model = fold_batch_norm(serving_copy(model)).cpu().to(memory_format=torch.contiguous_format)
        for block in self.model.decoder:
            assert isinstance(block.attention, SCSE)
            block.attention = DynamicSCSE(block.attention)

    def forward(self, noisy: Tensor) -> Tensor:
        height, width = noisy.shape[-2:]
        x = noisy.index_select(2, reflected(height, self.model.stride))
        x = x.index_select(3, reflected(width, self.model.stride))
        return self.model(x)[..., :height, :width]
