"""BatchNorm whose statistics span all processes, on any device."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NormalizeOverProcesses(torch.autograd.Function):
    """(x - mean) / std * weight + bias with the statistics of all processes, and its gradient.

    Every process depends on the statistics of all: its gradient has two sums over all of them (Ioffe and Szegedy,
    2015, arXiv:1502.03167, section 3). Written out, as autograd would go over the features a dozen times.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The normalised (B, C, H, W), the mean and the biased variance of each channel, and the number of pixels."""
        # With buffers in float32, which momentum 0 leaves alone, so are the statistics of bfloat16 features.
        buffers = torch.zeros_like(weight), torch.ones_like(weight)
        mean, variance = torch.batch_norm_update_stats(x, *buffers, 0.0)
        count = mean.new_full((1,), x.numel() / x.shape[1])
        total = torch.cat([mean * count, (variance + mean.square()) * count, count])
        torch.distributed.all_reduce(total)
        channels = len(mean)
        pixels = total[-1]
        mean, square = (total[:-1] / pixels).split(channels)
        variance = (square - mean.square()).clamp(min=0)
        ctx.save_for_backward(x, weight, mean, variance, pixels)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance, pixels)
        return affine(x, mean, variance, weight, bias, eps), mean, variance, pixels

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, variance, pixels = ctx.saved_tensors
        scale = torch.rsqrt(variance + ctx.eps)
        _, weight_gradient, bias_gradient = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, mean, scale, True, ctx.eps, [False, True, True]
        )
        total = torch.cat([weight_gradient, bias_gradient])
        torch.distributed.all_reduce(total)
        along_x, along_one = (total / pixels).split(len(mean))
        scale = scale * weight
        zero, one = torch.zeros_like(scale), torch.ones_like(scale)
        through_statistics = affine(x, mean, variance, -scale * along_x, -scale * along_one, ctx.eps)
        return (
            through_statistics.add_(affine(gradient, zero, one, scale, zero, 0.0)),
            weight_gradient,
            bias_gradient,
            None,
        )


def affine(x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Each channel of (B, C, H, W) by its own numbers: in one pass, and in float32 whatever the features are."""
    return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)


class SyncBatchNorm2d(nn.BatchNorm2d):
    """`nn.SyncBatchNorm` refuses CPU tensors; this one runs wherever an all-reduce does (gloo included)."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        output, mean, variance, pixels = NormalizeOverProcesses.apply(x, self.weight, self.bias, self.eps)
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * pixels / (pixels - 1), self.momentum)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked.add_(1)
        return output


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
