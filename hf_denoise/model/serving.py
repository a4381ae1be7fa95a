"""A network as it is used, whatever state it is given in."""

import copy
from typing import Any

import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from hf_denoise.errors import UserError
from hf_denoise.model.unet import DenoisingUNet


def serving_copy(model: nn.Module) -> DenoisingUNet:
    """A copy of a network in float32 and evaluation mode, without what was put around it; `model` is not changed.

    Around it may be `DataParallel`, `DistributedDataParallel`, `torch.compile`, an average of weights, or the mixed
    precision of accelerate.

    Raises:
        UserError: there is no `DenoisingUNet` inside.
    """
    inner: Any = model
    while not isinstance(inner, DenoisingUNet):
        inner = getattr(inner, "module", None) or getattr(inner, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            raise UserError(
                f"cannot use a {type(model).__name__} as the network; give a DenoisingUNet, or load a saved one with "
                "Denoiser.from_pretrained(folder or Hub id)"
            )
    network = copy.deepcopy(inner).float().eval()
    network.__dict__.pop("forward", None)  # of accelerate: it would still run the weights of `model`
    # A network that was in half precision has them rounded; its weights are what they are.
    for buffer, values in ((network.mean, IMAGENET_DEFAULT_MEAN), (network.std, IMAGENET_DEFAULT_STD)):
        buffer.copy_(torch.tensor(values, dtype=torch.float32).view_as(buffer))
    return network
