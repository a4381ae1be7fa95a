"""Small defects of a known shape, to be put into a picture and looked for in what a denoiser makes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from hf_denoise.arrays import FloatImage
from hf_denoise.defects.drawing import (
    BLUR,
    STEP,
    Rng,
    draw_line,
    noise_1d,
    noise_2d,
    point_count,
    soft_edge,
    taper,
    walk,
)

BOX, LARGE_BOX = 25, 57  # pixels a side of the box that a probe lies in
LENGTH, LARGE_LENGTH = 17, 49  # pixels, of a line


@dataclass(frozen=True)
class ProbeKind:
    """One kind of small defect.

    Attributes:
        name: as in tables, such as "scratch 2 px".
        plural: as in a sentence, such as "scratches 2 px wide".
        width: pixels across, of a line or a spot.
        line: whether it is a line.
        box: pixels a side of the box that it lies in.
        draw: gives the shape, (box, box) in 0 to 1 with the maximum 1: the light that a defect of contrast 1 adds or
            takes away. In the middle but for a part of a pixel, of random direction.
    """

    name: str
    plural: str
    width: float
    line: bool
    box: int
    draw: Callable[[Rng], FloatImage]


def scratch(rng: Rng, width: float, length: float = LENGTH, box: int = BOX) -> FloatImage:
    """A hairline `width` pixels wide, slightly bent, its ends sharp."""
    count = point_count(length)
    heading = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.15) * np.linspace(-0.5, 0.5, count)
    return _line(heading, np.full(count, width), np.ones(count), rng, box)


def crack(rng: Rng) -> FloatImage:
    """A jagged line that opens and closes, about 2 pixels wide in the middle."""
    count = point_count(LENGTH + 2)
    kinks = 6
    turns = rng.uniform(0, 2 * np.pi) + 0.45 * rng.standard_normal(kinks)
    heading = turns[np.arange(count) * kinks // count] + 0.25 * noise_1d(count, 1.5 / STEP, rng)
    opening = 2.2 * np.clip(0.85 + 0.3 * noise_1d(count, 5 / STEP, rng), 0.4, 1.4) * taper(count, 0.4, 0.6)
    opening = np.maximum(opening, 0.25)
    return _line(heading, opening, np.clip(opening / 2.2 * 1.6, 0.45, 1), rng, BOX)


def _line(heading: np.ndarray, width: np.ndarray, force: np.ndarray, rng: Rng, box: int) -> FloatImage:
    canvas = np.zeros((box, box), np.float32)
    draw_line(canvas, walk(heading) + box / 2 - 0.5 + rng.uniform(-0.5, 0.5, 2), width, force)
    return canvas / canvas.max()


def pit(rng: Rng, radius: float) -> FloatImage:
    """A hole, round but for a wave in its outline."""
    down, right = np.mgrid[:BOX, :BOX] - (BOX // 2 + rng.uniform(-0.5, 0.5, 2))[:, None, None]
    angle = np.arctan2(down, right)
    outline = radius * (1 + rng.normal(0, 0.08) * np.cos(2 * angle + rng.uniform(0, 2 * np.pi)))
    shape = soft_edge(outline - np.hypot(down, right), BLUR + 0.1 * radius)
    return (shape / shape.max()).astype(np.float32)


def stain(rng: Rng, radius: float, box: int) -> FloatImage:
    """A patch with a ragged, soft outline and uneven depth."""
    down, right = np.mgrid[:box, :box] - (box // 2 + rng.uniform(-0.5, 0.5, 2))[:, None, None]
    distance = np.hypot(down, right)
    inward = radius - distance + 0.35 * radius * noise_2d((box, box), 0.9 * radius, rng)
    inward = np.minimum(inward, box // 2 - 1.5 - distance)  # nothing is cut off at the box
    shape = soft_edge(inward, 1.5) * np.clip(0.85 + 0.1 * noise_2d((box, box), 0.5 * radius, rng), 0.6, 1)
    return (shape / max(shape.max(), 0.1)).astype(np.float32)


def _short(width: int) -> ProbeKind:
    name = f"scratches {width} px wide and {LENGTH} px long"
    return ProbeKind(f"scratch {width} px", name, width, True, BOX, partial(scratch, width=width))


def _long(width: int) -> ProbeKind:
    name = f"scratches {width} px wide and {LARGE_LENGTH} px long"
    draw = partial(scratch, width=width, length=LARGE_LENGTH, box=LARGE_BOX)
    return ProbeKind(f"long scratch {width} px", name, width, True, LARGE_BOX, draw)


PROBE_KINDS: tuple[ProbeKind, ...] = (
    *map(_short, (1, 2, 3)),
    *map(_long, (1, 2)),
    ProbeKind("crack", "cracks 19 px long", 2, True, BOX, crack),
    *(ProbeKind(f"pit {n} px", f"pits {n} px across", n, False, BOX, partial(pit, radius=n / 2)) for n in (2, 4, 8)),
    ProbeKind("stain 14 px", "stains 14 px across", 14, False, BOX, partial(stain, radius=7, box=BOX)),
    ProbeKind("stain 30 px", "stains 30 px across", 30, False, LARGE_BOX, partial(stain, radius=15, box=LARGE_BOX)),
)
