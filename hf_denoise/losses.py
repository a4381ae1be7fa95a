"""The training loss: mean squared error, with defects weighted on their own."""

import torch
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

    def forward(self, output: Tensor, clean: Tensor, mask: Tensor, valid: Tensor) -> Tensor:
        """Loss of a padded batch.

        Args:
            output, clean: (B, 3, H, W).
            mask: (B, 1, H, W), 1 inside defects, else 0.
            valid: (B, 1, H, W), 1 on real pixels, 0 on padding.

        Returns:
            A scalar. A term without pixels is 0.
        """
        difference = output.float() - clean
        error = (difference.abs() if self.l1 else difference.square()).mean(dim=1, keepdim=True)
        weights = torch.stack([valid * (1 - mask), valid * mask])
        sums = (error * weights).sum(dim=(1, 2, 3, 4))
        counts = reduce(weights.sum(dim=(1, 2, 3, 4)), reduction="sum")
        processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        unmasked, masked = sums / counts.clamp(min=1) * processes
        return unmasked + self.defect_weight * masked
