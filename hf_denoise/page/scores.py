"""The metrics that the page shows of a result."""

import math
from typing import Any

from hf_denoise.arrays import FloatImage, Mask
from hf_denoise.metrics.quality import contrast_kept, noise_level, psnr, ssim
from hf_denoise.page.results import Result

Scores = list[dict[str, Any]]


def quality_scores(result: Result, after: FloatImage, clean: FloatImage | None, mask: Mask | None) -> Scores:
    """PSNR and SSIM of (H, W, 3) pixels against a clean reference, or the estimated noise where there is none."""
    before = result.before.rgb
    if clean is None:
        scores = [score("Estimated noise level", "of 255", result.noise_before, noise_level(after))]
        if mask is not None:
            # Noise averages out over a defect: the noisy picture tells its contrast nearly as well as a clean one.
            scores.append(score("Contrast kept", "of the input's", None, contrast_kept(after, before, mask)))
        return scores
    scores = []
    for where, inside in (("", None), (" in the mask", mask)):
        if inside is not None or not where:
            scores += [
                score(f"PSNR{where}", "dB", psnr(before, clean, inside), psnr(after, clean, inside)),
                score(f"SSIM{where}", "", ssim(before, clean, inside), ssim(after, clean, inside)),
            ]
    if mask is not None:
        scores.append(score("Contrast kept", "", *(contrast_kept(image, clean, mask) for image in (before, after))))
    return scores


def score(name: str, unit: str, before: float | None, after: float) -> dict[str, Any]:
    """One metric, as `ScoreList` shows it."""

    def printable(value: float) -> float | str:  # JSON has neither infinity nor NaN
        return round(value, 4) if math.isfinite(value) else "∞" if value > 0 else "n/a"

    shown = None if before is None else printable(before)
    return {"name": name, "unit": unit, "before": shown, "after": printable(after)}
