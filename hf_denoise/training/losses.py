"""The training loss: mean squared error, with defects weighted on their own."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from accelerate.utils import reduce
from torch import Tensor, nn


class WeightedMSELoss(nn.Module):
    """`MSE over unmasked valid pixels + lambda * MSE over masked valid pixels`.

    The pixels are counted over all processes before the division, so that N processes with batch B train like one
    process with batch N * B. The value is the local share times the number of processes: its mean over processes is
    the loss of the whole batch, and the gradient average that DistributedDataParallel takes is its gradient.

    Args:
        defect_weight: lambda, the weight of the masked term.
        l1: absolute instead of squared error (a recipe may start with it).
    """

    def __init__(self, defect_weight: float = 1.0, l1: bool = False):
        super().__init__()
        self.defect_weight = defect_weight
        self.l1 = l1

    def forward(
        self, output: Tensor, clean: Tensor, mask: Tensor, valid: Tensor, counts: Tensor | None = None
    ) -> Tensor:
        """Loss of a padded batch.

        Args:
            output, clean: (B, 3, H, W).
            mask: (B, 1, H, W), 1 inside defects, else 0.
            valid: (B, 1, H, W), 1 on real pixels, 0 on padding.
            counts: `count_pixels` of all batches that one step is made of; None where it is made of this one. The
                sum of the losses of those batches is the loss of all of them as one batch.

        Returns:
            A scalar. A term without pixels is 0.
        """
        if counts is None:
            counts = count_pixels([(mask, valid)])
        processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        outside, inside = processes / (3 * counts.clamp(min=1))
        # One factor per pixel, inside the square, so that no map of errors is kept for each term.
        weights = valid * torch.lerp(outside, self.defect_weight * inside, mask)
        if self.l1:
            return F.l1_loss(output.float() * weights, clean * weights, reduction="sum")
        weights = weights.sqrt()
        return F.mse_loss(output.float() * weights, clean * weights, reduction="sum")


def count_pixels(batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """(2,) numbers of unmasked and masked valid pixels over the (mask, valid) of all batches and all processes."""
    counts = [torch.stack([valid.sum(), (valid * mask).sum()]) for mask, valid in batches]
    valid, masked = reduce(torch.stack(counts).sum(dim=0), reduction="sum")
    return torch.stack([valid - masked, masked])
