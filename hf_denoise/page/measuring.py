"""Measure a result that may be large: exactly where that is quick, and else by samples spread over the picture.

What strength does not change is measured once for a result. Nothing of the size of a large picture is made for it.
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np

from hf_denoise.arrays import FloatImage, Mask
from hf_denoise.imaging.picture import Picture
from hf_denoise.metrics.quality import contrast_kept, noise_level, ssim
from hf_denoise.page.companions import Companions
from hf_denoise.page.keeping import Mix
from hf_denoise.page.results import Box, Result, grown, part_of, within

SAMPLED = 2_000_000  # pixels; of larger pictures the noise level and SSIM come from samples
SAMPLES, SAMPLE_SIDE = 225, 64  # their number, and pixels
CELLS, CELL_SIDE = 25, 192  # the same inside a mask that spans more than that
ROWS = 1_000_000  # pixels that are compared at a time
SSIM_REACH, CONTRAST_REACH = 5, 8  # pixels around a mask that count for the figure inside

Pair = tuple[float, float]  # before and after
Pixels = Callable[[Box], FloatImage]


@dataclass(frozen=True, eq=False)
class Measured:
    """A result mixed in one way, with what belongs to it."""

    result: Result
    mix: Mix
    companions: Companions

    def noise(self) -> Pair:
        """Noise level before and after, of 255."""

        return self._once("noise", lambda: _noise(self._before, self._size)), _noise(self._after, self._size)

    def psnr(self, inside: bool) -> Pair:
        """PSNR before and after in dB, of all pixels or those in the mask: nan where there are none."""

        def of(pixels: Pixels) -> float:
            with ThreadPoolExecutor(2) as at_once:
                parts = list(at_once.map(lambda box: self._squares(pixels, box, inside), boxes))
            total, count = map(sum, zip(*parts, strict=True)) if parts else (0, 0)
            return math.nan if not count else math.inf if not total else -10 * math.log10(total / count)

        boxes = list(self._rows(inside))
        return self._once(f"psnr {inside}", lambda: of(self._before)), of(self._after)

    def ssim(self, inside: bool) -> Pair:
        """SSIM before and after, of all pixels or those in the mask: nan where there are none, or too few."""
        of = self._ssim_inside if inside else self._ssim
        return self._once(f"ssim {inside}", lambda: of(self._before)), of(self._after)

    def contrast_kept(self) -> float:
        """Share of the contrast of the defect in the mask that is left, see `metrics.quality.contrast_kept`.

        Of that in the reference; without one of that in the picture before.
        """
        if self.companions.box is None:
            return math.nan
        box = grown(self.companions.box, CONTRAST_REACH, self._size)
        clean = self._before if self.companions.clean is None else self._clean
        return contrast_kept(self._after(box), clean(box), self._mask(box))

    @property
    def sampled(self) -> bool:
        """Whether the noise level and SSIM come from samples."""
        return math.prod(self._size) > SAMPLED

    @property
    def _size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.result.before.planes[0].shape[:2]
        return height, width

    def _once(self, name: str, measure: Callable[[], float]) -> float:
        """A figure of the picture before, which no strength changes."""
        key = name, self.companions.reference, self.companions.mask
        if key not in self.result.measured:
            self.result.measured[key] = measure()
        return self.result.measured[key]

    def _before(self, box: Box) -> FloatImage:
        return part_of(self.result.before, box).rgb

    def _after(self, box: Box) -> FloatImage:
        return self.mix.part(self.result, box).rgb

    def _clean(self, box: Box) -> FloatImage:
        assert self.companions.clean is not None
        return part_of(self.companions.clean, box).rgb.clip(0, 1)

    def _mask(self, box: Box) -> Mask:
        assert self.companions.inside is not None
        return self.companions.inside[box]

    def _squares(self, pixels: Pixels, box: Box, inside: bool) -> tuple[float, int]:
        """Sum and number of the squared errors."""
        error = pixels(box) - self._clean(box)
        if inside:
            error = error[self._mask(box)]
        np.square(error, out=error)
        return float(error.sum(dtype=np.float64)), error.size

    def _ssim(self, pixels: Pixels) -> float:
        boxes = self._samples()
        if not self.sampled:
            return ssim(pixels(boxes[0]), self._clean(boxes[0]))
        shown, clean = (np.concatenate([each(box) for box in boxes]) for each in (pixels, self._clean))
        core = np.zeros([side.stop - side.start for side in boxes[0]], bool)
        core[SSIM_REACH:-SSIM_REACH, SSIM_REACH:-SSIM_REACH] = True  # what does not see its neighbours
        return ssim(shown, clean, np.tile(core, (len(boxes), 1)))

    def _ssim_inside(self, pixels: Pixels) -> float:
        found = []
        for box in self._cells():
            near = grown(box, SSIM_REACH, self._size)
            mask = np.zeros([side.stop - side.start for side in near], bool)
            mask[within(box, near)] = self._mask(box)
            found.append((ssim(pixels(near), self._clean(near), mask), int(mask.sum())))
        values, weights = zip(*found, strict=True) if found else ([math.nan], [1])
        return float(np.average(values, weights=weights))

    def _rows(self, inside: bool) -> Iterable[Box]:
        """Rows of the picture, or of what the mask spans, some at a time."""
        down, across = (self.companions.box or _whole((0, 0))) if inside else _whole(self._size)
        step = max(1, ROWS // max(1, across.stop - across.start))
        for top in range(down.start, down.stop, step):
            yield slice(top, min(top + step, down.stop)), across

    def _samples(self) -> list[Box]:
        """All of a picture that is not large, or places spread over it."""
        return _samples(self._size)

    def _cells(self) -> list[Box]:
        """What the mask spans, or where that is large places spread over it."""
        if self.companions.box is None:
            return []
        down, across = self.companions.box
        if (down.stop - down.start) * (across.stop - across.start) <= SAMPLED:
            return [self.companions.box]
        cells = [
            (slice(top, min(top + CELL_SIDE, down.stop)), slice(left, min(left + CELL_SIDE, across.stop)))
            for top, left in product(*(range(side.start, side.stop, CELL_SIDE) for side in (down, across)))
        ]
        filled = [cell for cell in cells if self._mask(cell).any()]
        return filled[:: -(-len(filled) // CELLS)]


def noise_of(picture: Picture) -> float:
    """The noise level of a picture, of 255."""
    height, width = picture.planes[0].shape[:2]
    return _noise(lambda box: part_of(picture, box).rgb, (height, width))


def _noise(pixels: Pixels, size: tuple[int, int]) -> float:
    parts = [pixels(box) for box in _samples(size)]
    return noise_level(np.stack(parts) if len(parts) > 1 else parts[0])


def _samples(size: tuple[int, int]) -> list[Box]:
    height, width = size
    if height * width <= SAMPLED:
        return [_whole(size)]
    down = min(max(1, round(math.sqrt(SAMPLES * height / width))), SAMPLES)
    return list(product(_spread(height, down), _spread(width, round(SAMPLES / down))))


def _spread(length: int, number: int) -> list[slice]:
    side = min(SAMPLE_SIDE, length)
    starts = sorted({round(start) for start in np.linspace(0, length - side, number)})
    return [slice(start, start + side) for start in starts]


def _whole(size: tuple[int, int]) -> Box:
    return slice(0, size[0]), slice(0, size[1])
