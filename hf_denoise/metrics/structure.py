"""How much of what was removed from a picture is structure, and not noise.

Structure is told from noise as in tests of the "method noise" (Buades et al., 2005, doi:10.1137/040616024): noise
averages out over a few pixels and has no direction, structure does not and has.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import structure_tensor, structure_tensor_eigenvalues
from skimage.measure import block_reduce

Array = NDArray[np.floating]
Floats = NDArray[np.float32]
Span = tuple[int, int]

WINDOW = 64  # pixels a side of the place that the number is about
TILE, HALO = 2048, 192  # pixels; the halo holds all that a window at the rim of a tile depends on

# Chosen on the BSDS500 validation photographs, see benchmarks/structure.
SCALES = (1, 2, 4)  # standard deviations in pixels of the smoothing that shows spots, of 2 to about 30 pixels
THRESHOLD = 6.0  # noise levels; beyond lies no noise, even where its level changes within a few pixels
MEDIAN_BLOCK = 16  # samples a side over which a level is the median: small enough for noise that follows the picture
SHIFT = 0.12  # least level as a share of the noise: a mean that moves by less than 6 x 0.12 of it is no structure
LEAST_DIFFERENCE = 0.5 / 255  # least level: differences below three grey levels are hard to see
EDGE_SCALE, EDGE_REACH = 1.5, 12  # standard deviations in pixels: of the smoothing that shows edges, and along them
COHERENCE = 0.55  # of the directions within that reach: noise stays below

_MEDIAN = 0.6745  # of the absolute values of a standard normal variable


def structure(removed: Array) -> float:
    """How much of what was removed is structure, at the place where that is most.

    Two things are looked for, in the brightness of what was removed. Edges and lines have one direction over some
    distance, noise has all: of the energy of the gradients, the share beyond a coherence of 0.55 counts (structure
    tensor; Weickert, 1999, doi:10.1023/A:1008009714131). Spots do not average out when smoothed: at three scales, the
    share of the energy beyond 6 times the noise around counts. Each share is taken within a window of 64 pixels a
    side; the number is the largest of all windows. So a defect counts the same in a small and in a large picture, and
    the number does not say how many such places there are.

    Fine irregular texture looks like noise and is not told from it. Colour without brightness, a shift over more than
    about 100 pixels, a spot fainter than about 0.7 standard deviations of the noise or than three grey levels does
    not count. Noise that was cut off at black or white no longer averages out there, and may count.

    Args:
        removed: (H, W, 3) or (H, W) float: input minus output, on the scale of [0, 1] pictures.

    Returns:
        From 0, noise alone, to 1, structure alone. 0 for sides of less than 16 pixels: too small to tell.
    """
    side = min(removed.shape[:2])
    scales = [scale for scale in SCALES if side >= 16 * scale]
    worst = 0.0
    for top, bottom in _cores(removed.shape[0]):
        for left, right in _cores(removed.shape[1]):
            first = max(top - HALO, 0), max(left - HALO, 0)
            tile = removed[first[0] : bottom + HALO, first[1] : right + HALO].astype(np.float32)
            grey = tile if tile.ndim == 2 else tile.mean(axis=2)
            core = (top - first[0], bottom - first[0]), (left - first[1], right - first[1])
            if side >= 4 * EDGE_REACH:
                worst = max(worst, _edges(grey, core))
            if scales:
                noise = _noise_level(grey)
                worst = max([worst, *(_spots(grey, noise, scale, core) for scale in scales)])
    return worst


def _cores(length: int) -> Iterator[Span]:
    """Cut an axis into tiles that begin on the grid of the blocks."""
    for start in range(0, length, TILE):
        yield start, min(start + TILE, length)


def _edges(grey: Floats, core: tuple[Span, Span]) -> float:
    """The largest share of gradients that have a direction in common."""
    # Every other pixel: the smoothing has left little that is finer. Mirrored, a border has no direction of its own.
    smooth = ndimage.gaussian_filter(grey, EDGE_SCALE, mode="reflect")[::2, ::2]
    tensor = structure_tensor(smooth, EDGE_REACH / 2, mode="reflect", order="rc")
    largest, smallest = structure_tensor_eigenvalues(tensor)
    energy = largest + smallest
    coherence = (largest - smallest) / np.maximum(energy, LEAST_DIFFERENCE**2)
    excess = np.maximum(coherence**2 - COHERENCE**2, 0) / (1 - COHERENCE**2)
    return _largest_share(excess * energy, energy, LEAST_DIFFERENCE**2, 2, core)


def _noise_level(grey: Floats) -> Floats:
    """Standard deviation of white noise around each pixel: of the direction in which the picture is straightest.

    Second differences along a line or an edge do not see it; noise is the same in every direction.
    """
    height, width = grey.shape
    centre = grey[1:-1, 1:-1]
    level = np.full((height, width), np.inf, np.float32)
    for y, x in ((0, 1), (1, 0), (1, 1), (1, -1)):
        there = grey[1 + y : height - 1 + y, 1 + x : width - 1 + x]
        back = grey[1 - y : height - 1 - y, 1 - x : width - 1 - x]
        variance = np.pad((there - 2 * centre + back) ** 2 / 6, 1, mode="edge")
        np.minimum(level, ndimage.gaussian_filter(variance, 2), out=level)
    return np.sqrt(level)


def _spots(grey: Floats, noise: Floats, scale: int, core: tuple[Span, Span]) -> float:
    """The largest share of energy that noise does not explain, at one scale; `noise` is that of `_noise_level`."""
    # Beyond the border is nothing: mirrored noise would add up there instead of averaging out.
    smooth = np.abs(ndimage.gaussian_filter(grey, scale, mode="constant")[::scale, ::scale])
    noise = np.maximum(noise[::scale, ::scale], 1e-6)
    white = 1 / (2 * math.sqrt(math.pi) * scale)  # what the smoothing leaves of white noise
    # More is left of correlated noise. How much is measured where the noise is brought to one level everywhere.
    left = np.maximum(_local_median(smooth / noise) / _MEDIAN, max(white, SHIFT))
    level = np.maximum(np.maximum(_local_median(smooth) / _MEDIAN, noise * left), LEAST_DIFFERENCE)
    energy = (smooth / level) ** 2
    return _largest_share(np.maximum(energy - THRESHOLD**2, 0), energy, 1, scale, core)


def _largest_share(part: Floats, whole: Floats, least: float, step: int, core: tuple[Span, Span]) -> float:
    """The largest ratio of means within a window, of those that begin in the core of a tile.

    Args:
        part, whole: samples `step` pixels apart.
        least: the mean of `whole` is taken to be no less.
        step: in pixels.
        core: rows and columns in pixels.
    """
    size = [min(WINDOW // step, side) for side in whole.shape]
    # A window is found at its middle; those that begin in the core lie within the tile or leave the picture.
    windows = tuple(
        slice(start // step + side // 2, min(-(-stop // step), length - side + 1) + side // 2)
        for (start, stop), side, length in zip(core, size, whole.shape, strict=True)
    )
    part, whole = (ndimage.uniform_filter(values, size)[windows] for values in (part, whole))
    return float((part / np.maximum(whole, least)).clip(0, 1).max(initial=0))


def _local_median(values: Floats) -> Floats:
    """Medians of whole blocks, linear between their centres and level beyond the outermost."""
    whole = values[tuple(slice(side // MEDIAN_BLOCK * MEDIAN_BLOCK) for side in values.shape)]
    medians = block_reduce(whole, MEDIAN_BLOCK, np.median)
    fine = ndimage.zoom(medians, MEDIAN_BLOCK, order=1, mode="nearest", grid_mode=True)
    rest = [(0, side - done) for side, done in zip(values.shape, fine.shape, strict=True)]
    return np.asarray(np.pad(fine, rest, mode="edge"), np.float32)
