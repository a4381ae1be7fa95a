"""BatchNorm whose statistics span all processes, on any device."""

from typing import Any

import torch
from torch import Tensor, nn


class SumOverProcesses(torch.autograd.Function):
    """All-reduce whose gradient is an all-reduce: every process depends on the sum."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        total = local.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total


class SyncBatchNorm2d(nn.BatchNorm2d):
    """`nn.SyncBatchNorm` refuses CPU tensors; this one runs wherever an all-reduce does (gloo included)."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        features = x.float()
        count = features.new_full((1,), features.numel() / features.shape[1])
        local = torch.cat([features.sum((0, 2, 3)), features.square().sum((0, 2, 3)), count])
        total, squares, pixels = SumOverProcesses.apply(local).split([self.num_features, self.num_features, 1])
        mean = total / pixels
        variance = (squares / pixels - mean.square()).clamp(min=0)
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * pixels / (pixels - 1), self.momentum)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return (features * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)).to(x.dtype)


def synchronize_batch_norm(module: nn.Module) -> nn.Module:
    """Replace every BatchNorm below `module` by a synchronised one that shares its parameters and buffers."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            synced = SyncBatchNorm2d(child.num_features, child.eps, child.momentum)
            # The attributes themselves: timm's BatchNorm variants carry an activation that must stay behind them.
            synced.weight, synced.bias = child.weight, child.bias
            synced.running_mean, synced.running_var = child.running_mean, child.running_var
            synced.num_batches_tracked = child.num_batches_tracked
            setattr(module, name, synced)
        else:
            synchronize_batch_norm(child)
    return module
