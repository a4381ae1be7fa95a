"""What the probe of a picture says of one defect of a given size and contrast."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.measure import label, regionprops
from skimage.morphology import medial_axis

from hf_denoise.arrays import FloatImage, Mask
from hf_denoise.defects.probes import PROBE_KINDS
from hf_denoise.probing.places import BLOCK, grey
from hf_denoise.probing.report import ProbeReport

# Probes by their width in pixels. A defect between two of them is taken to be kept as lies between their curves.
Family = Sequence[tuple[float, str]]
_BROAD: Family = ((8, "pit 8 px"), (14, "stain 14 px"), (30, "stain 30 px"))
SPOTS: Family = ((2, "pit 2 px"), (4, "pit 4 px"), *_BROAD)
LINES: Family = ((1, "long scratch 1 px"), (2, "long scratch 2 px"), (3, "scratch 3 px"), *_BROAD)
ELONGATED = 3.0  # lengths per width from which on a defect is a line
SEEN = 150.0  # pixels of a long defect that a denoiser sees at once
DRAWS = 32  # of a probe, for its energy

RING = 3, 8  # pixels from a mask, of the ground that a defect is compared with
SMOOTH = 0.6  # pixels: a single pixel is no contrast


@dataclass(frozen=True)
class DefectSize:
    """A defect as an inspector would measure it, at half of its height.

    Attributes:
        width, length: pixels.
        contrast: grey levels, of its core on the ground around it; negative where it is dark.
        energy: squares of grey levels, summed over the mask where it stands out: what a matched filter finds of it.
        place: row and column of its middle.
    """

    width: float
    length: float
    contrast: float
    energy: float
    place: tuple[int, int]


def measure_defect(clean: FloatImage, mask: Mask) -> DefectSize | None:
    """Measure a defect in a clean picture: masks are drawn by hand and wider than what they hold.

    Args:
        clean: (H, W) or (H, W, 3), [0, 1].
        mask: (H, W) bool, one defect.

    Returns:
        None where the mask holds nothing that stands out, or leaves no ground to compare with.
    """
    distance = distance_transform_edt(~mask)
    ring = (distance >= RING[0]) & (distance <= RING[1])
    if not mask.any() or not ring.any():
        return None
    picture = gaussian_filter(grey(clean), SMOOTH)
    deviation = 255 * (picture - np.median(picture[ring]))
    sign = 1.0 if abs(np.percentile(deviation[mask], 90)) > abs(np.percentile(deviation[mask], 10)) else -1.0
    peak = float(np.percentile(sign * deviation[mask], 90))
    if peak <= 0:
        return None
    regions = regionprops(label(mask & (sign * deviation > peak / 2), connectivity=2))
    if not regions:
        return None
    largest = max(regions, key=lambda region: region.area)
    skeleton, inside = medial_axis(np.pad(largest.image, 1), return_distance=True)
    width = max(float(2 * inside[skeleton].mean()) - 1, 1.0)
    row, column = largest.coords[len(largest.coords) // 2]
    energy = float((deviation[mask & (sign * deviation > 0)] ** 2).sum())
    return DefectSize(width, float(largest.area) / width, sign * peak, energy, (int(row), int(column)))


def expected_share(report: ProbeReport, defect: DefectSize) -> float:
    """The share of a defect that the probe of its picture says is kept, by its width, its energy and its place.

    How well a defect stands out from noise is, as for a matched filter, a matter of its energy: a break whose core is
    thin and broken while the whole is large, or a line longer than all probes, counts as a probe of more contrast.
    """
    rows, columns = report.shifts.shape
    block = min(defect.place[0] // BLOCK, rows - 1), min(defect.place[1] // BLOCK, columns - 1)
    seen = defect.energy * min(SEEN / defect.length, 1.0)
    widths, shares = [], []
    for width, name in LINES if defect.length >= ELONGATED * defect.width else SPOTS:
        if name in report.curves:
            contrast = (seen / _energies()[name]) ** 0.5 * 2.0 ** -float(report.shifts[block])
            share = float(report.curves[name].at(contrast))
            if np.isfinite(share):
                widths.append(float(np.log(width)))
                shares.append(share)
    return float(np.interp(np.log(defect.width), widths, shares)) if widths else float("nan")


@cache
def _energies() -> dict[str, float]:
    """Of each kind of probe at contrast 1, in the mean over its directions."""
    rng = np.random.default_rng(0)
    return {kind.name: float(np.mean([(kind.draw(rng) ** 2).sum() for _ in range(DRAWS)])) for kind in PROBE_KINDS}
