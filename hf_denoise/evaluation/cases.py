"""Which images a report shows, and the pictures of them: the worst and the best by several numbers."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import neg, pos

import numpy as np
from scipy.ndimage import uniform_filter

from hf_denoise.arrays import ByteImage, FloatImage, Mask, to_8_bits
from hf_denoise.evaluation.summary import INPUT, MODEL, Row, median
from hf_denoise.imaging.crops import Box, largest_defect, outlined, square_around
from hf_denoise.inference.removed import removed_view

PICKS = 4  # cases shown at either end
SMALLEST_CROP, LARGEST_CROP = 96, 208  # sides in pixels
MOST_STRETCH = 2.5


@dataclass(frozen=True)
class Case:
    """An image with its numbers, a row per method, and its crops: per method, then `clean` and `removed`."""

    rows: dict[str, Row]
    crops: dict[str, ByteImage]
    gain: float  # amplification of `removed`


@dataclass(frozen=True)
class Criterion:
    """A number to choose cases by; the larger `badness`, the worse, and the larger `goodness`, the better.

    Without a name for the best, none is chosen by it.
    """

    worst: str
    best: str | None
    digits: int
    value: Callable[[dict[str, Row]], float]
    badness: Callable[[float], float]
    goodness: Callable[[float], float]


def _gain(metric: str) -> Callable[[dict[str, Row]], float]:
    return lambda rows: getattr(rows[MODEL], metric) - getattr(rows[INPUT], metric)


CRITERIA = (
    Criterion(
        "lowest contrast kept",
        "contrast kept nearest to 1",
        2,
        lambda rows: rows[MODEL].contrast_kept,
        neg,
        lambda kept: -abs(kept - 1),
    ),
    Criterion(
        "smallest gain in defect PSNR, dB",
        "largest gain in defect PSNR, dB",
        1,
        _gain("defect_psnr"),
        neg,
        pos,
    ),
    Criterion(
        "most structure removed",
        None,  # no structure found is no proof that nothing was lost
        3,
        lambda rows: rows[MODEL].structure,
        pos,
        neg,
    ),
    Criterion("smallest gain in PSNR, dB", "largest gain in PSNR, dB", 1, _gain("psnr"), neg, pos),
    Criterion("smallest gain in SSIM", "largest gain in SSIM", 3, _gain("ssim"), neg, pos),
)


@dataclass(frozen=True)
class Pick:
    """A case with why it was chosen: sentences with the number and the median of all images."""

    case: Case
    reasons: tuple[str, ...]


class Gallery:
    """The cases of one data set that may be shown; of the images seen so far it holds the pictures of a few only."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.values: dict[str, list[float]] = {criterion.worst: [] for criterion in CRITERIA}

    def add(self, case: Case) -> None:
        """Look at one more image."""
        for criterion in CRITERIA:
            self.values[criterion.worst].append(criterion.value(case.rows))
        self.cases.append(case)
        # Twice what is shown: those at the other end and by another criterion are taken first.
        kept = {
            id(case)
            for criterion in CRITERIA
            for worst in (True, False)
            for case in ranked(self.cases, criterion, worst)[: 2 * PICKS]
        }
        self.cases = [case for case in self.cases if id(case) in kept]

    def picks(self) -> tuple[list[Pick], list[Pick]]:
        """The worst and the best, at most 4 each, no image twice: by each criterion in turn."""
        seen = len(self.values[CRITERIA[0].worst])
        worst = self._pick(True, min(PICKS, math.ceil(seen / 2)), ())
        return worst, self._pick(False, min(PICKS, seen // 2), [pick.case for pick in worst])

    def _pick(self, worst: bool, count: int, taken: Iterable[Case]) -> list[Pick]:
        # A number in which the images do not differ as printed is no reason to choose one of them.
        criteria = [
            criterion
            for criterion in CRITERIA
            if (worst or criterion.best) and (len(self.cases) == 1 or self._differs(criterion))
        ]
        orders = [ranked(self.cases, criterion, worst) for criterion in criteria]
        used = {id(case) for case in taken}
        picks: list[Pick] = []
        while len(picks) < count and any(id(case) not in used for order in orders for case in order):
            for criterion, order in zip(criteria, orders, strict=True):
                case = next((case for case in order if id(case) not in used), None)
                if case is None or len(picks) == count:
                    continue
                used.add(id(case))
                first = [other for other, cases in zip(criteria, orders, strict=True) if cases and cases[0] is case]
                reasons = [self._reason(criterion, case, worst, order.index(case))]
                reasons += [self._reason(other, case, worst, 0) for other in first if other is not criterion]
                picks.append(Pick(case, tuple(reasons)))
        return picks

    def _differs(self, criterion: Criterion) -> bool:
        values = {round(value, criterion.digits) for value in self.values[criterion.worst] if not math.isnan(value)}
        return len(values) > 1

    def _reason(self, criterion: Criterion, case: Case, worst: bool, rank: int) -> str:
        name = criterion.worst if worst else str(criterion.best)
        place = ("", "2nd ", "3rd ")[rank] if rank < 3 else f"{rank + 1}th "
        value, middle = criterion.value(case.rows), median(self.values[criterion.worst])
        text = f"{place}{name}: {value:.{criterion.digits}f}"
        text += "" if middle is None else f" (median of all: {middle:.{criterion.digits}f})"
        return text[0].upper() + text[1:]


def ranked(cases: Sequence[Case], criterion: Criterion, worst: bool) -> list[Case]:
    """The cases that have this number, the worst or the best first."""
    key = criterion.badness if worst else criterion.goodness
    known = [(key(value), case) for case in cases if not math.isnan(value := criterion.value(case.rows))]
    return [case for _, case in sorted(known, key=lambda pair: -pair[0])]


def make_case(outputs: dict[str, FloatImage], clean: FloatImage, mask: Mask, rows: dict[str, Row]) -> Case:
    """Crops of one image.

    Args:
        outputs: picture (H, W, 3) of each method, among them `INPUT` and `MODEL`.
        clean: (H, W, 3) in [0, 1].
        mask: (H, W) bool.
        rows: the numbers of each method.
    """
    box = crop_box(mask, np.abs(outputs[MODEL] - clean).mean(axis=2))
    low, scale = stretch(clean[box])
    crops = {name: to_8_bits((output[box] - low) * scale) for name, output in outputs.items()}
    crops["clean"] = outlined(to_8_bits((clean[box] - low) * scale), mask[box])
    removed = outputs[INPUT][box] - outputs[MODEL][box]
    # Three standard deviations fill the range, so that weak noise is seen and strong noise is not all black and white.
    gain = round(min(max(0.5 / max(3 * float(removed.std()), 1e-6), 1.0), 20.0), 1)
    crops["removed"] = to_8_bits(removed_view(removed, gain=gain))
    return Case(rows, crops, gain)


def crop_box(mask: Mask, error: FloatImage) -> Box:
    """A square around the largest defect, with some of its surroundings; without a defect, where the error is largest.

    Args:
        mask: (H, W) bool.
        error: (H, W), of any scale.
    """
    if mask.any():
        rows, columns = largest_defect(mask)
        extent = max(rows.stop - rows.start, columns.stop - columns.start)
        side = int(np.clip(1.6 * extent, SMALLEST_CROP, LARGEST_CROP))
        centre = (rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2
    else:
        side = (SMALLEST_CROP + LARGEST_CROP) // 2
        smooth = uniform_filter(error, side, mode="constant")
        y, x = np.unravel_index(int(smooth.argmax()), smooth.shape)
        centre = int(y), int(x)
    return square_around(centre, side, mask.shape)


def stretch(clean: FloatImage) -> tuple[float, float]:
    """What to subtract from the pictures of a case, and multiply them with, so that faint defects are seen.

    The clean crop then fills the range as far as it can with at most `MOST_STRETCH`, with a margin for the noise.
    """
    low, high = (float(value) for value in np.percentile(clean, (0.5, 99.5)))
    width = min(max(1.25 * (high - low), 1 / MOST_STRETCH), 1.0)
    return min(max((low + high - width) / 2, 0.0), 1 - width), 1 / width
