"""Floats above white: denoised on several scales, each of which has a part of the brightnesses in its range.

The network knows pictures from black to white. Divided by its brightest value, a picture with lamps would be nearly
black, and its noise next to nothing; with white at 1, the lamps would be flat. So it is denoised with white at 1, and
at up to four times as much again and again until its brightest value is reached. Every pixel is taken from the finest
scale that holds it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_denoise.imaging.blending import mix

Plane = NDArray[Any]
Progress = Callable[[int, int], None]
OnScale = Callable[[Plane, float, float, Progress | None], Plane]

STEP = 4.0  # from one scale to the next, at most: there the noise is a quarter, which the network still sees
ALONE = 2.0  # times white, up to which one scale does for all
CERTAIN = 6.0  # standard deviations of noise; a picture of 100 megapixels has none that is so strong
STRONGEST = 15 / 255  # standard deviation; where it is stronger, a coarser scale does as well, and cuts less of it off
UNKNOWN = 64 / 255  # for a picture too small to tell
BRIGHT = 0.75  # sensors have more noise where there is more light: what lies above white is judged by that
ROUNDING = 1 / 255  # over white is nothing that can be seen
FEWEST = 16  # numbers for an estimate
BLOCK = 8  # pixels a side over which noise averages out
ENOUGH = 4_000_000  # pixels for an estimate
HELD, FULL = 0.8, 0.6  # of the white of a scale: brighter pixels are not taken from it, darker ones wholly


def denoise_ranges(plane: Plane, on_scale: OnScale, strength: float, progress: Progress | None) -> Plane:
    """Denoise a picture on as many scales as it takes.

    Args:
        plane: (H, W) or (H, W, 3), uint8, uint16 or float with white at 1.
        on_scale: denoises values from 0 to 1, given how often they were divided by what, the strength and whom to tell.
        strength: 0 to 1.
        progress: called with (steps done, steps in all).

    Returns:
        The same shape and dtype, floats from 0 to 1, or where `brightest` says so, up.
    """
    top = brightest(plane)
    if strength == 0:  # not worth the network
        if progress:
            progress(1, 1)
        return plane.clip(0, top) if plane.dtype.kind == "f" else plane.copy()
    if top <= 1:
        return on_scale(plane, 1.0, strength, progress)
    whites = scales(top, noise_level(plane)[0])
    result = np.zeros(plane.shape, np.float32)
    for number, white in enumerate(reversed(whites)):

        def advance(done: int, tiles: int, before: int = number) -> None:
            if progress:
                progress(before * tiles + done, tiles * len(whites))

        # Float arrays of 100 megapixels: one at a time.
        part = np.divide(plane, np.float32(white), dtype=np.float32).clip(max=1)
        clean = on_scale(part, white, 1.0, advance)
        if number == 0:
            result = clean * np.float32(white)
        else:
            _take(result, clean, white)
    result = mix(plane, result, np.float32(strength)) if strength < 1 else result
    return result.clip(0).astype(plane.dtype, copy=False)


def _take(result: Plane, clean: Plane, white: float) -> None:
    """Take from a finer scale what it holds, in place."""
    for top in range(0, len(result), 256):
        rows = slice(top, top + 256)
        value = result[rows].max(axis=2, keepdims=True) if result.ndim == 3 else result[rows]
        share = ((HELD - value / np.float32(white)) / np.float32(HELD - FULL)).clip(0, 1)
        result[rows] += share * (clean[rows] * np.float32(white) - result[rows])


def scales(top: float, noise: float) -> list[float]:
    """Values of white of the scales, ascending, for a picture up to `top` with noise of that standard deviation."""
    if top <= ALONE:
        return [top]
    steps = math.ceil(math.log(top) / math.log(STEP) - 1e-9)
    whites = [top ** (step / steps) for step in range(steps + 1)]
    return [white for white in whites if noise <= STRONGEST * white] or whites[-1:]


def brightest(plane: Plane) -> float:
    """The largest value of a picture of floats, or 1 where noise explains all that lies above.

    A single value must lie above white by six standard deviations of the noise. For squares of 8 pixels, over which
    noise averages out, an eighth of that is enough.
    """
    if plane.dtype.kind != "f":
        return 1.0
    top = float(plane.max(initial=0))
    if top <= 1 + ROUNDING:
        return 1.0
    deviation = max(noise_level(plane))
    if top > 1 + max(CERTAIN * deviation, ROUNDING):
        return top
    height, width = (side - side % BLOCK for side in plane.shape[:2])
    for row in range(0, height, BLOCK):
        strip = plane[row : row + BLOCK, :width].astype(np.float32)
        means = strip.reshape(BLOCK, width // BLOCK, BLOCK, -1).mean(axis=(0, 2))
        if means.max(initial=0) > 1 + CERTAIN * deviation / BLOCK + ROUNDING:
            return top
    return 1.0


def noise_level(plane: Plane) -> tuple[float, float]:
    """Standard deviation of the noise in a picture of floats, and in its bright parts, as its smallest detail says."""
    skip = max(1, math.ceil(plane.shape[0] * plane.shape[1] / ENOUGH))
    height, width = (side - side % 2 for side in plane.shape[:2])
    upper, lower = (plane[row : height : 2 * skip, :width].astype(np.float32) for row in (0, 1))
    a, b, c, d = upper[:, ::2], upper[:, 1::2], lower[:, ::2], lower[:, 1::2]
    detail = np.abs(a - b - c + d) / 2
    bright = a + b + c + d > 4 * BRIGHT
    return _deviation(detail), _deviation(detail[bright])


def _deviation(detail: Plane) -> float:
    told = detail[detail > 0]  # flat grounds and clipped parts tell nothing
    if not len(told):
        return 0.0
    return UNKNOWN if len(told) < FEWEST else float(np.median(told)) / 0.6745
