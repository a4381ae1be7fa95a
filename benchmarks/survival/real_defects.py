"""Is the probe right? What real defects keep, beside what the probe of their picture says."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from skimage.measure import label
from tqdm import tqdm

from hf_denoise import Denoiser, load_triplets
from hf_denoise.arrays import FloatImage, Mask
from hf_denoise.metrics.quality import contrast
from hf_denoise.probing.places import grey
from hf_denoise.probing.prediction import DefectSize, expected_share, measure_defect
from hf_denoise.probing.report import probe_plane
from hf_denoise.probing.survival import LOST

DRAWS = 4  # noisy versions of a picture: in one, noise alone moves the contrast of a small defect by half of it
FEWEST_PIXELS = 6
LEAST_MEAN = 4.0  # grey levels, over the mask: of less, no share can be measured
PIXELS = 1_500_000  # that pass through the denoiser in a probe: under half of what `Denoiser.probe` takes
LEAST_CONTRAST = 8.0  # grey levels, of the core: fainter marks of a mask are texture


@dataclass(frozen=True)
class RealDefect:
    """One defect under one noise: what was expected of it, and what became of it.

    Attributes:
        kept: share of its contrast, mean in the mask minus ring, that is left, in the mean of the noisy versions.
        shape_kept: the same as the probe measures it, by the inner product with the defect itself.
        expected: share that the probe of its picture says, by its size and contrast.
    """

    image: str
    defect: str
    sigma: float
    width: float
    length: float
    contrast: float
    expected: float
    kept: float
    shape_kept: float


def real_defects(denoiser: Denoiser, data: str, splits: Sequence[str], sigmas: Sequence[float]) -> Iterator[RealDefect]:
    """All defects of some splits under each noise."""
    triplets = load_triplets(data)
    for split in splits:
        for index, row in enumerate(tqdm(triplets[split], f"real defects, {split}", unit="image")):
            clean = grey(np.asarray(row["clean"].convert("L")))
            if row.get("mask") is not None and min(clean.shape) >= 64:
                yield from _of_picture(denoiser, clean, np.asarray(row["mask"].convert("L")) > 127, row, sigmas, index)


def _of_picture(
    denoiser: Denoiser, clean: FloatImage, mask: Mask, row: dict[str, Any], sigmas: Sequence[float], seed: int
) -> Iterator[RealDefect]:
    regions = label(mask, connectivity=2)
    found: list[tuple[Mask, DefectSize]] = []
    for number in range(1, regions.max() + 1):
        own = regions == number
        size = measure_defect(clean, own) if own.sum() >= FEWEST_PIXELS else None
        if size is not None and abs(size.contrast) >= LEAST_CONTRAST:
            found.append((own, size))
    if not found:
        return
    for sigma in sigmas:
        rng = np.random.default_rng((seed, round(sigma)))
        noisy = [clean + rng.normal(0, sigma / 255, clean.shape).astype(np.float32) for _ in range(DRAWS)]
        denoised = np.mean([denoiser(picture) for picture in noisy], axis=0)
        report = probe_plane(noisy[0], denoiser, pixels=PIXELS)
        before = np.mean(noisy, axis=0)
        for own, size in found:
            whole = contrast(np.dstack([before] * 3), own)
            left = contrast(np.dstack([denoised] * 3), own)
            if abs(whole) < LEAST_MEAN / 255:
                continue
            yield RealDefect(
                row["name"],
                row.get("defect") or "",
                sigma,
                round(size.width, 2),
                round(size.length, 1),
                round(size.contrast, 1),
                round(expected_share(report, size), 3),
                round(left / whole, 3),
                round(_shape_kept(denoised, clean, own), 3),
            )


def _shape_kept(denoised: FloatImage, clean: FloatImage, mask: Mask) -> float:
    """`<D, p> / <p, p>` where p is the defect: its deviation from the ground around it, inside the mask."""
    from scipy.ndimage import binary_dilation

    ring = binary_dilation(mask, iterations=7) & ~binary_dilation(mask, iterations=2)
    shape = (clean - clean[ring].mean())[mask]
    return float(((denoised - denoised[ring].mean())[mask] * shape).sum() / (shape**2).sum())


def judge(defects: Sequence[RealDefect], measure: str = "kept") -> dict[str, Any]:
    """Correlation, and how good a warning the probe was: a share under a half, expected and found."""
    kept = np.array([getattr(defect, measure) for defect in defects]).clip(-0.2, 1.3)
    expected = np.array([defect.expected for defect in defects])
    lost, announced = kept < LOST, expected < LOST
    return {
        "defects": len(defects),
        "correlation": round(float(np.corrcoef(expected, kept)[0, 1]), 3) if len(defects) > 2 else None,
        "expected_minus_kept": round(float(np.median(expected - kept)), 3),
        "lost": int(lost.sum()),
        "lost_announced": int((lost & announced).sum()),
        "announced": int(announced.sum()),
        "announced_survived": int((announced & ~lost).sum()),
    }


def rows(defects: Sequence[RealDefect]) -> list[dict[str, Any]]:
    """For JSON."""
    return [asdict(defect) for defect in defects]
