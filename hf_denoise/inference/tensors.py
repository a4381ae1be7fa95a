"""PyTorch tensors as the arrays that are denoised, and back: channels come first in the one and last in the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_denoise.errors import UserError

CHANNELS = (1, 3, 4)  # grey, RGB, RGB with alpha


def numpy_of(tensor: Tensor) -> NDArray[Any]:
    """The values of a tensor of any device; of floats that NumPy does not know, as float32.

    Raises:
        UserError: it is sparse, nested or without data.
    """
    _check_dense(tensor)
    if tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        tensor = tensor.float()
    return tensor.numpy(force=True)


def arrays_of(tensor: Tensor) -> list[NDArray[Any]]:
    """The pictures in a tensor: (H, W), (C, H, W) or (B, C, H, W) -> arrays (H, W) or (H, W, C), C one of `CHANNELS`.

    Raises:
        UserError: another shape, or a dtype that is no picture's.
    """
    _check_dense(tensor)
    shape = tuple(tensor.shape)
    if not tensor.is_floating_point() and tensor.dtype not in (torch.uint8, torch.uint16):
        kind = str(tensor.dtype).removeprefix("torch.")
        raise UserError(f"cannot denoise a tensor of {kind}; convert it to float with white at 1, uint8 or uint16")
    if len(shape) not in (2, 3, 4) or 0 in shape or (len(shape) > 2 and shape[-3] not in CHANNELS):
        channels_last = len(shape) in (3, 4) and shape[-1] in CHANNELS and 0 not in shape
        raise UserError(
            f"cannot denoise a tensor of shape {shape}; it must be (C, H, W) or (B, C, H, W), with 3 channels, 1 for "
            "grey or 4 with alpha" + ("; movedim(-1, -3) puts the channels first" if channels_last else "")
        )
    pixels = numpy_of(tensor)
    if pixels.ndim == 2:
        return [pixels]
    return [np.moveaxis(picture, 0, -1) for picture in (pixels if pixels.ndim == 4 else pixels[None])]


def like_tensor(pictures: Sequence[NDArray[Any]], tensor: Tensor) -> Tensor:
    """`pictures`, what came of `arrays_of`, as a new tensor of the shape, dtype and device of `tensor`."""
    first = [picture if picture.ndim == 2 else np.moveaxis(picture, -1, 0) for picture in pictures]
    pixels = torch.from_numpy(np.stack(first) if tensor.ndim == 4 else np.ascontiguousarray(first[0]))
    return pixels.to(device=tensor.device, dtype=tensor.dtype)


def _check_dense(tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
        raise UserError("a tensor that is sparse, nested or on the meta device has no pixels to read; give a dense one")
