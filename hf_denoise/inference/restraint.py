"""How much of a correction to believe: noise is alike over a picture, so what was removed beyond it is texture.

A blind network takes fine regular texture for noise now and then, and a picture without noise for one with a little.
Both show in its correction. Noise has the same strength wherever the picture is as bright, so where the correction is
far stronger than elsewhere, texture went with it, and part of it is put back. And where the usual correction is next to
nothing, the picture had hardly any noise, and is left alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from hf_denoise.arrays import full_scale
from hf_denoise.imaging.blending import mix

Grid = NDArray[np.float32]

BLOCK = 16  # pixels a side of the squares over which a correction is averaged
# Chosen among some forty settings on the 32 validation photographs with Gaussian, sensor and camera noise; see
# "Around the network" in docs/experiments.md.
QUANTILE = 0.33  # of the blocks: their correction is noise; above are those with texture in them
TOLERANCE = 1.4  # times that much correction is believed
FAINT = 0.55 / 255  # a noise that gives a correction of this size is removed by half
BANDS = 3  # of brightness, each with a noise level of its own: sensors make more of it where there is more light
FEWEST = 32  # blocks for a noise level; a picture with fewer is corrected in full
CLIPPED = 0.25  # share of black and white pixels above which a block says nothing about noise
SMOOTH = 0.3 / 255  # contrast under which it says nothing either: a border or a drawing, drawn without noise
FLAT, AROUND = 0.5 / 255, 2  # pixels within 2 of which the picture varies by no more than this belong to no noise
USABLE = 0.25  # least share of a block that does; a subject that is cut out on a flat ground must be cleaned
NEGLIGIBLE = 0.005


@dataclass
class Corrections:
    """What a network changed, block by block, collected tile by tile.

    Attributes:
        energy: mean square of the correction, (rows, columns) of blocks.
        brightness: mean of the input.
        telling: whether the block says something about noise.
    """

    energy: Grid
    brightness: Grid
    telling: NDArray[np.bool_]

    @classmethod
    def of_size(cls, height: int, width: int) -> "Corrections":
        """Room for an image of this many pixels."""
        size = -(-height // BLOCK), -(-width // BLOCK)
        return cls(np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, bool))

    def add(self, top: int, left: int, noisy: Tensor, clean: Tensor, visible: Tensor | None = None) -> None:
        """Note the correction of a part of the image.

        Pixels on perfectly flat ground, and hidden ones, do not count: a block at the edge of a subject that is cut
        out would be held for one with little noise.

        Args:
            top, left: where the part begins, pixels, multiples of `BLOCK`.
            noisy, clean: (C, H, W) float32, input and output of the network; H and W are multiples of `BLOCK`, except
                at the right and bottom border of the image.
            visible: (H, W) bool; None where all is.
        """
        noisy, clean = noisy[:, ::2], clean[:, ::2]  # every other row says as much, in half of the time
        counts = _varies(noisy) if visible is None else _varies(noisy) * visible[::2]
        planes = torch.stack(
            [
                (clean - noisy).square_().mean(dim=0),
                noisy.square().mean(dim=0),
                ((noisy <= 0.005) | (noisy >= 0.995)).float().mean(dim=0),
                *noisy,
            ]
        )
        half_block = BLOCK // 2, BLOCK
        share = F.avg_pool2d(counts[None], half_block, ceil_mode=True)
        sums = F.avg_pool2d(planes * counts, half_block, ceil_mode=True)
        energy, square, clipped, *channels = (sums / share.clamp(min=1e-6)).numpy()
        colour = np.stack(channels)
        place = tuple(
            slice(start // BLOCK, start // BLOCK + n) for start, n in zip((top, left), energy.shape, strict=True)
        )
        self.energy[place], self.brightness[place] = energy, colour.mean(axis=0)
        contrast = square - (colour**2).mean(axis=0)
        self.telling[place] = (clipped < CLIPPED) & (contrast > SMOOTH**2) & (share[0].numpy() >= USABLE)

    def gains(self, white: float = 1.0) -> Grid | None:
        """Factor on the correction in the middle of each block, 0 to 1; None where all of it is believed.

        `white` is what the picture was divided by, for its noise to be judged as what it was before.
        """
        found = np.flatnonzero(self.telling)
        if len(found) < FEWEST:
            return None
        size = np.sqrt(self.energy.ravel()[found])
        brightness = self.brightness.ravel()[found]
        bands = np.array_split(np.argsort(brightness, kind="stable"), BANDS)
        levels = [np.quantile(size[band], QUANTILE) for band in bands]
        expected = np.interp(self.brightness, [brightness[band].mean() for band in bands], levels)
        there = np.sqrt(gaussian_filter(self.energy, 1, mode="nearest"))
        gains = np.minimum(TOLERANCE * expected / np.maximum(there, 1e-9), 1)
        overall = float(np.quantile(size, QUANTILE)) ** 2
        gains *= overall / (overall + (FAINT / white) ** 2) if overall else 0.0
        return gains.astype(np.float32) if gains.min() < 1 - NEGLIGIBLE else None


def _varies(noisy: Tensor) -> Tensor:
    """(H, W) float: 0 for pixels around which the picture is flat in all channels, else 1."""
    window, border = 2 * AROUND + 1, AROUND
    largest = F.max_pool2d(noisy, window, stride=1, padding=border)
    smallest = -F.max_pool2d(-noisy, window, stride=1, padding=border)
    return ((largest - smallest) > FLAT).any(dim=0).float()


def apply_gains(noisy: NDArray[np.generic], clean: NDArray[np.generic], gains: Grid | None, strength: float) -> None:
    """Turn `clean` into `noisy + strength * gain * (clean - noisy)`, in place.

    Args:
        noisy, clean: (H, W) or (H, W, 3) of the same dtype, uint8, uint16 or float.
        gains: of `Corrections`, interpolated between the middles of the blocks; None is 1 everywhere.
        strength: 0 to 1.
    """
    height, width = clean.shape[:2]
    full = full_scale(clean.dtype)
    factor: Grid | np.float32 = np.float32(strength)
    columns = None if gains is None else _between(gains, width, axis=1)
    for top in range(0, height, BLOCK):
        rows = slice(top, min(top + BLOCK, height))
        if columns is not None:
            factor = np.float32(strength) * _between(columns, height, axis=0, part=rows)
            factor = factor[..., None] if clean.ndim == 3 else factor
        clean[rows] = mix(noisy[rows], clean[rows], factor).clip(0, full)


def _between(grid: Grid, length: int, axis: int, part: slice = slice(None)) -> Grid:
    """Interpolate from the middles of the blocks to pixels `part` of `length` along an axis."""
    position = ((np.arange(length, dtype=np.float32)[part] + 0.5) / BLOCK - 0.5).clip(0, grid.shape[axis] - 1)
    first = position.astype(int)
    share = (position - first).astype(np.float32)
    share = share[:, None] if axis == 0 else share
    second = np.minimum(first + 1, grid.shape[axis] - 1)
    return (1 - share) * grid.take(first, axis) + share * grid.take(second, axis)
