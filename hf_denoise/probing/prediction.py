"""What the probe of a picture says of one defect of a given size and contrast."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.measure import label, regionprops
from skimage.morphology import medial_axis

from hf_denoise.arrays import FloatImage, Mask
from hf_denoise.defects.probes import LARGE_LENGTH, LENGTH
from hf_denoise.probing.places import BLOCK, grey
from hf_denoise.probing.report import ProbeReport

# Probes by width and length in pixels. A defect between two of them is taken to be kept as lies between their curves.
Family = Sequence[tuple[float, float, str]]
STAINS: Family = ((14, 14, "stain 14 px"), (30, 30, "stain 30 px"))
SPOTS: Family = ((2, 2, "pit 2 px"), (4, 4, "pit 4 px"), (8, 8, "pit 8 px"), *STAINS)
SHORT_LINES: Family = (*((n, LENGTH, f"scratch {n} px") for n in (1, 2, 3)), *STAINS)
LONG_LINES: Family = (*((n, LARGE_LENGTH, f"long scratch {n} px") for n in (1, 2)), *STAINS)
ELONGATED = 3.0  # lengths per width from which on a defect is a line
SEEN = 150.0  # pixels of a long defect that a denoiser sees at once

RING = 3, 8  # pixels from a mask, of the ground that a defect is compared with
SMOOTH = 0.6  # pixels: a single pixel is no contrast


@dataclass(frozen=True)
class DefectSize:
    """A defect as an inspector would measure it, at half of its height.

    Attributes:
        width, length: pixels.
        contrast: grey levels, of its core on the ground around it; negative where it is dark.
        place: row and column of its middle.
    """

    width: float
    length: float
    contrast: float
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
    return DefectSize(width, float(largest.area) / width, sign * peak, (int(row), int(column)))


def expected_share(report: ProbeReport, defect: DefectSize) -> float:
    """The share of a defect that the probe of its picture says is kept, by its size, its contrast and its place.

    What is longer than a probe is easier to tell from noise: as for a matched filter, by the root of the length. So a
    line of four times the length is kept as a probe of twice the contrast.
    """
    rows, columns = report.shifts.shape
    block = min(defect.place[0] // BLOCK, rows - 1), min(defect.place[1] // BLOCK, columns - 1)
    contrast = abs(defect.contrast) * 2.0 ** -float(report.shifts[block])
    if defect.length < ELONGATED * defect.width:
        return _between(report, SPOTS, defect, contrast)
    short, long = (_between(report, family, defect, contrast) for family in (SHORT_LINES, LONG_LINES))
    return float(np.interp(np.log(defect.length), np.log((LENGTH, LARGE_LENGTH)), (short, long)))


def _between(report: ProbeReport, family: Family, defect: DefectSize, contrast: float) -> float:
    widths, shares = [], []
    for width, length, name in family:
        if name in report.curves:
            longer = max(min(defect.length, SEEN) / length, 1.0) if length != LENGTH else 1.0
            widths.append(float(np.log(width)))
            shares.append(float(report.curves[name].at(contrast * longer**0.5)))
    return float(np.interp(np.log(defect.width), widths, shares)) if widths else float("nan")
