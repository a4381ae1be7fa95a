"""How much of a correction to believe: noise is alike over a picture, so what was removed beyond it is texture.

A blind network takes fine regular texture for noise now and then, and a picture without noise for one with a little.
Both show in its correction. Noise has the same strength wherever the picture is as bright, so where the correction is
far stronger than elsewhere, texture went with it, and part of it is put back. And where the usual correction is next to
nothing, the picture had hardly any noise, and is left alone.

Unless it was put together: a noisy subject on a drawn, noise-free ground. There, beside blocks with next to no
correction, stand others with much of it, and what was taken from these looks like noise: neighbouring pixels and the
channels of a colour picture have nothing to do with each other. Then these blocks are judged by themselves, and the
ground stays.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, gaussian_filter, maximum_filter
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

# A noisy subject on a ground without noise: set on 210 of them, and on 292 clean pictures, which stay as they were.
SILENT, LOUD = 1 / 255, 3 / 255  # correction under and above which a block belongs to the ground and to the subject
BETWEEN = 2.0  # times as many blocks as loud ones may lie between
ORDER = 0.15  # correlation of neighbours above which a correction is no noise
SHARED = 0.1  # correlation of the channels above which it is none; texture is in all of them
# Above that, the channels are one. There is nothing to compare then, and there is more order in what the network takes;
# but that much it takes of no texture: of clean photographs in grey at most 6 levels in the median of the loud blocks.
GREY, LOUD_GREY, ORDER_GREY = 0.9, 8 / 255, 0.3


@dataclass
class Corrections:
    """What a network changed, block by block, collected tile by tile.

    Attributes:
        energy: mean square of the correction, (rows, columns) of blocks.
        brightness: mean of the input.
        telling: whether the block says something about noise.
        order: (3, rows, columns), correlations of the correction: of pixels side by side, one above the other, and of
            the channels; the last is 1 where there is one channel.
    """

    energy: Grid
    brightness: Grid
    telling: NDArray[np.bool_]
    order: Grid

    @classmethod
    def of_size(cls, height: int, width: int) -> "Corrections":
        """Room for an image of this many pixels."""
        size = -(-height // BLOCK), -(-width // BLOCK)
        order = np.zeros((3, *size), np.float32)
        return cls(np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, bool), order)

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
        correlations = _correlations(clean - noisy)
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
        self.order[:, place[0], place[1]] = correlations
        contrast = square - (colour**2).mean(axis=0)
        self.telling[place] = (clipped < CLIPPED) & (contrast > SMOOTH**2) & (share[0].numpy() >= USABLE)

    def gains(self, white: float = 1.0) -> Grid | None:
        """Factor on the correction in the middle of each block, 0 to 1; None where all of it is believed.

        `white` is what the picture was divided by, for its noise to be judged as what it was before.
        """
        if np.count_nonzero(self.telling) < FEWEST:
            return None
        gains = self._gains(self.telling, white)
        subject = self._subject(white)
        if subject is not None:
            place = maximum_filter(binary_closing(subject, iterations=2), 3)
            gains[place] = self._gains(subject, white)[place]
        return gains.astype(np.float32) if gains.min() < 1 - NEGLIGIBLE else None

    def _subject(self, white: float) -> NDArray[np.bool_] | None:
        """The blocks of a noisy subject on a ground without noise; None where there is no such thing."""
        size = np.sqrt(self.energy)
        loud = self.telling & (size > LOUD / white)
        silent = self.telling & (size < SILENT / white)
        between = self.telling & ~loud & ~silent
        if loud.sum() < FEWEST or silent.sum() < FEWEST or between.sum() > BETWEEN * loud.sum():
            return None
        across, down, shared = (float(np.median(order[loud])) for order in self.order)
        ordered = max(abs(across), abs(down))
        if shared > GREY:
            noise = ordered < ORDER_GREY and float(np.median(size[loud])) > LOUD_GREY / white
        else:
            noise = ordered < ORDER and shared < SHARED
        return loud if noise else None

    def _gains(self, telling: NDArray[np.bool_], white: float) -> NDArray[np.floating]:
        """The factors, as those blocks tell how much noise there is."""
        found = np.flatnonzero(telling)
        size = np.sqrt(self.energy.ravel()[found])
        brightness = self.brightness.ravel()[found]
        bands = np.array_split(np.argsort(brightness, kind="stable"), BANDS)
        levels = [np.quantile(size[band], QUANTILE) for band in bands]
        expected = np.interp(self.brightness, [brightness[band].mean() for band in bands], levels)
        there = np.sqrt(gaussian_filter(self.energy, 1, mode="nearest"))
        gains = np.minimum(TOLERANCE * expected / np.maximum(there, 1e-9), 1)
        overall = float(np.quantile(size, QUANTILE)) ** 2
        return gains * (overall / (overall + (FAINT / white) ** 2) if overall else 0.0)


def _correlations(change: Tensor) -> Grid:
    """Of a correction (C, H, W), block by block: of pixels side by side, one above the other, and of the channels."""
    height, width = change.shape[1:]
    change = F.pad(change, (0, width % 2, 0, height % 2))
    left, right = change[..., ::2, ::2], change[..., ::2, 1::2]
    below = change[..., 1::2, ::2]
    square = left.square().mean(dim=0)
    channels = len(change)
    shared = (left.sum(dim=0).square() / channels - square) / (channels - 1) if channels > 1 else square
    products = torch.stack([(left * right).mean(dim=0), (left * below).mean(dim=0), shared, square])
    *pairs, energy = F.avg_pool2d(products, BLOCK // 2, ceil_mode=True)
    return (torch.stack(pairs) / energy.clamp(min=1e-12)).numpy()


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
