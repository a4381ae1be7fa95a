"""Where probes are put: parts of a large picture that stand for all of it, and a grid of places in each."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hf_denoise.arrays import FloatImage, Mask, full_scale
from hf_denoise.imaging.crops import Box

Rng = np.random.Generator

WHOLE = 200_000  # pixels up to which all of a picture is probed
SIDE = 176  # pixels, of a part of a larger one
TEXTURES, BRIGHTNESSES = 3, 2  # classes of parts; one of each combination is probed
MOST_CANDIDATES = 150

# Between neighbours. Tried on six tiles at sigma 10 and 25: the median responses with 32, 48 and 96 pixels are equal to
# within their error, so a probe does not see the next one.
GAP, JITTER = 15, 4  # pixels between the boxes of neighbours, and by which places are moved
MARGIN = 4  # of a box to the border

MANY = 4_000_000  # pixels
BLOCK = 32  # pixels a side of the squares of which brightness and texture are known


def parts(plane: NDArray[np.generic], rng: Rng, visible: Mask | None = None) -> list[Box]:
    """The whole picture, or of a larger one parts that have its brightnesses and its textures, in order.

    Args:
        plane: (H, W) or (H, W, 3).
        rng: chooses among parts that are alike.
        visible: (H, W); parts of which less than half is are left out, unless there is no other.
    """
    height, width = plane.shape[:2]
    if height * width <= WHOLE:
        return [(slice(0, height), slice(0, width))]
    size = min(SIDE, height), min(SIDE, width)
    corners = [
        (top, left)
        for top in range(0, height - size[0] + 1, size[0])
        for left in range(0, width - size[1] + 1, size[1])
    ]
    if len(corners) > MOST_CANDIDATES:
        corners = [corners[index] for index in sorted(rng.choice(len(corners), MOST_CANDIDATES, replace=False))]
    boxes = [(slice(top, top + size[0]), slice(left, left + size[1])) for top, left in corners]
    if visible is not None:
        boxes = [box for box in boxes if visible[box].mean() >= 0.5] or boxes
    brightness, texture = np.array([_describe(grey(plane[box])) for box in boxes]).T
    chosen = []
    for alike in np.array_split(np.argsort(texture, kind="stable"), TEXTURES):
        ordered = alike[np.argsort(brightness[alike], kind="stable")]
        chosen += [int(rng.choice(some)) for some in np.array_split(ordered, BRIGHTNESSES) if len(some)]
    return [boxes[index] for index in sorted(chosen)]


def grid(shape: tuple[int, ...], box: int, second: bool, rng: Rng) -> Iterator[tuple[int, int]]:
    """Places (row, column) on a jittered grid, for boxes of so many pixels a side; a second lies between a first.

    A picture too small for one place gives none.
    """
    spacing, margin = box + GAP, box // 2 + MARGIN
    shift = spacing // 2 if second and min(shape[:2]) > spacing + 2 * margin else 0
    start = margin + rng.integers(0, JITTER + 1, 2) + shift
    for row in range(start[0], shape[0] - margin, spacing):
        for column in range(start[1], shape[1] - margin, spacing):
            down, right = rng.integers(-JITTER, JITTER + 1, 2)
            yield (
                int(np.clip(row + down, margin, shape[0] - margin - 1)),
                int(np.clip(column + right, margin, shape[1] - margin - 1)),
            )


def blocks(plane: NDArray[np.generic]) -> NDArray[np.float32]:
    """Brightness and texture of each square of 32 pixels: (rows, columns, 2), a strip of the picture at a time."""
    height, width = plane.shape[:2]
    step = 1 if height * width <= MANY else 4  # of a large picture, every fourth pixel of a row and of a column
    starts = np.arange(0, width, BLOCK) // step
    found = np.empty((-(-height // BLOCK), len(starts), 2), np.float32)
    for row in range(len(found)):
        strip = grey(plane[row * BLOCK : (row + 1) * BLOCK : step, ::step])
        count = len(strip) * np.diff([*starts, strip.shape[1]])
        mean = np.add.reduceat(strip.sum(axis=0, dtype=np.float64), starts) / count
        square = np.add.reduceat((strip**2).sum(axis=0, dtype=np.float64), starts) / count
        found[row] = np.stack([mean, _texture(np.sqrt(np.maximum(square - mean**2, 0)))], axis=-1)
    return found


def grey(part: NDArray[np.generic]) -> FloatImage:
    """(H, W) float32 on the scale of [0, 1]: the mean of the channels."""
    values = part.astype(np.float32) / np.float32(full_scale(part.dtype))
    return values if values.ndim == 2 else values.mean(axis=2)


def _describe(part: FloatImage) -> tuple[float, float]:
    return float(part.mean()), float(_texture(part.std()))


def _texture(deviation: np.floating | NDArray[np.floating]) -> NDArray[np.floating]:
    """A standard deviation on a logarithmic scale, where it decides."""
    return np.log2(deviation + 1 / 255)
