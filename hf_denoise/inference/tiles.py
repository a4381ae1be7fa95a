"""How a large image is cut into overlapping tiles whose results are those of the whole image."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from hf_denoise.arrays import full_scale
from hf_denoise.inference.grey import is_grey
from hf_denoise.inference.restraint import BLOCK, Corrections
from hf_denoise.model.blocks import SCSE
from hf_denoise.model.unet import DenoisingUNet

# Pixels around a tile that the network sees and that are then thrown away. Tiles of 64 against the whole astronaut,
# 512 x 512, packaged weights, sigma 5 to 50: at most 5.7 / 255 off with 32, 1.77 / 255 with 64, 0.24 / 255 with 96.
HALO = 96


def grid_step(model: DenoisingUNet) -> int:
    """Pixels to which a tile's origin must be aligned for everything to come out the same as on the whole image.

    That is the least common multiple of the stride of the network, of the cells over which its channel gates average,
    and of the blocks of `restraint`.
    """
    gates = [module for module in model.modules() if isinstance(module, SCSE)]
    strides = [2**level for level in reversed(range(len(gates)))]  # the decoder goes from coarse to fine
    cells = [gate.window // 3 * stride for gate, stride in zip(gates, strides, strict=True)]
    return math.lcm(model.stride, BLOCK, *(cell for cell in cells if cell))


def spans(length: int, tile: int, halo: int) -> Iterator[tuple[slice, slice]]:
    """Cut one axis into windows: `(window, core)` slices of the axis; the cores tile it, the windows overlap.

    A window is a core and `halo` on either side; at the ends of the axis it stops there, since the border of the
    image is padded by the model itself. What fits into one window is one window.
    """
    count = max(1, math.ceil((length - 2 * halo) / tile))
    for index in range(count):
        start = index * tile
        stop = min(start + tile + 2 * halo, length)
        yield (
            slice(start, stop),
            slice(start + halo if index else 0, start + tile + halo if index < count - 1 else length),
        )


def denoise_tiles(
    plane: NDArray[np.generic],
    forward: Callable[[torch.Tensor], torch.Tensor],
    tile: int,
    halo: int,
    progress: Callable[[int, int], None] | None,
    visible: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.generic], Corrections]:
    """Run a network over a picture tile by tile, so that only a tile is ever held as floats.

    Args:
        plane: (H, W) or (H, W, 3), uint8, uint16 or float.
        forward: (1 or 3, h, w) float32 -> (3, h, w), on the CPU.
        tile, halo: pixels, multiples of `grid_step`.
        progress: called with (tiles done, tiles in all).
        visible: (H, W); hidden pixels say nothing about the noise. None where all are visible.

    Returns:
        The result, of the shape and dtype of `plane`, and what was changed, block by block.
    """
    full = np.float32(full_scale(plane.dtype))
    output = np.empty(plane.shape, plane.dtype)
    height, width = plane.shape[:2]
    grey = plane.ndim == 2 or is_grey(plane)
    corrections = Corrections.of_size(height, width)
    pieces = [(rows, columns) for rows in spans(height, tile, halo) for columns in spans(width, tile, halo)]
    for done, ((window_y, core_y), (window_x, core_x)) in enumerate(pieces, start=1):
        stored = torch.from_numpy(plane[window_y, window_x].astype(np.float32) / full)
        noisy = stored[None] if plane.ndim == 2 else stored.permute(2, 0, 1)  # (C, h, w)
        clean = forward(noisy)
        if grey:  # the channels are three estimates of one picture
            clean = clean.mean(dim=0, keepdim=True)
        core = (
            slice(None),
            slice(core_y.start - window_y.start, core_y.stop - window_y.start),
            slice(core_x.start - window_x.start, core_x.stop - window_x.start),
        )
        noisy, clean = noisy[core], clean[core].clip(0, 1)
        seen = None if visible is None else torch.from_numpy(visible[core_y, core_x])
        corrections.add(core_y.start, core_x.start, noisy, clean, seen)
        result = (clean[0] if plane.ndim == 2 else clean.permute(1, 2, 0)).numpy()
        output[core_y, core_x] = np.rint(result * full) if plane.dtype.kind == "u" else result
        if progress:
            progress(done, len(pieces))
    return output, corrections
