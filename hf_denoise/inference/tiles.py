"""How a large image is cut into overlapping tiles whose results are those of the whole image."""

import math
from collections.abc import Iterator

from hf_denoise.inference.restraint import BLOCK
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
