"""The average over the turns and flips of a picture: better than one of them, for as many times the time."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hf_denoise.model.unet import pad_to_multiple


class SelfEnsemble(nn.Module):
    """Geometric self-ensemble (Timofte et al., 2016, arXiv:1511.02228): the mean of a network over the eight.

    A network makes another mistake on a picture that is turned or flipped; the mean has less of each. It turns and
    flips with the picture.

    Args:
        network: (B, 3, H, W) -> (B, 3, H, W).
        step: pixels; the picture is extended to a multiple of it, so that what the network computes over a grid falls
            on the same places from either end, and tiles of a large picture agree with the whole.

    Shape: (B, 3, H, W) -> (B, 3, H, W), float32.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], step: int):
        super().__init__()
        self.network = network
        self.step = step

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        extended = pad_to_multiple(image, self.step)
        total = torch.zeros_like(extended, dtype=torch.float32)
        for picture, transposed in ((extended, False), (extended.mT, True)):
            for axes in ((), (-1,), (-2,), (-2, -1)):
                seen = picture.flip(axes).contiguous(memory_format=torch.channels_last)
                output = self.network(seen).float().flip(axes)
                total += output.mT if transposed else output
        return (total / 8)[..., :height, :width]
