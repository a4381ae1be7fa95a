"""BatchNorm folded into the convolution before it: the same network, with fewer passes over memory."""

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def fold_batch_norm(model: Network) -> Network:
    """A copy of `model`, in evaluation mode, whose convolutions do the work of the BatchNorm that follows them.

    Pairs are found where timm and this package put them: `conv1` with `bn1` and so on in a residual block, and
    neighbours in an `nn.Sequential`. Any other BatchNorm stays as it is.
    """
    model = copy.deepcopy(model).eval()
    for parent in model.modules():
        for (name, conv), (bn_name, norm) in pairwise(list(parent.named_children())):
            paired = isinstance(parent, nn.Sequential) or bn_name == name.replace("conv", "bn")
            if paired and type(conv) is nn.Conv2d and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                # timm's norm layers may carry an activation, which stays.
                setattr(parent, bn_name, getattr(norm, "act", None) or nn.Identity())
    return model
