"""BatchNorm whose statistics span all processes: PyTorch's own on GPUs, ours on CPUs, which PyTorch's refuses."""

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class CpuSyncBatchNorm2d(nn.BatchNorm2d):
    """`nn.SyncBatchNorm` for CPU tensors: it runs wherever an all-reduce does, gloo included.

    Shape: (B, C, H, W) -> (B, C, H, W).
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        features = x.float()
        count = features.new_full((1,), features.numel() / features.shape[1])
        local = torch.cat([features.sum((0, 2, 3)), features.square().sum((0, 2, 3)), count])
        # The sum depends on every process, and so does its gradient: this all-reduce has one.
        total, squares, pixels = all_reduce(local).split([self.num_features, self.num_features, 1])
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


def synchronize_batch_norm(network: nn.Module, device: torch.device) -> nn.Module:
    """Synchronise every BatchNorm of a network; parameters and buffers stay the same tensors.

    Args:
        network: changed in place, except where it is a BatchNorm itself.
        device: on which it will train.

    Returns:
        The network to train.
    """
    if device.type == "cuda":
        return convert_sync_batchnorm(network)
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            synced = CpuSyncBatchNorm2d(child.num_features, child.eps, child.momentum)
            synced.weight, synced.bias = child.weight, child.bias
            synced.running_mean, synced.running_var = child.running_mean, child.running_var
            synced.num_batches_tracked = child.num_batches_tracked
            setattr(network, name, synced)
        else:
            synchronize_batch_norm(child, device)
    return network
