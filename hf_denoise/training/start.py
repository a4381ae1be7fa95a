"""Whether the defects, and the images as a whole, gain or lose against the weights that a run started from."""

import math
from collections.abc import Mapping

from hf_denoise.training.schedule import Progress

Scores = Mapping[str, float]  # `psnr` and `defect_psnr`, dB; NaN or missing where there is none


def against_start(scores: Scores, progress: Progress) -> str | None:
    """An evaluation beside that of the start, in words; None for a run whose start was not evaluated."""
    if math.isnan(progress.start_psnr):
        return None
    images = _gain(scores.get("psnr"), progress.start_psnr)
    defects = _gain(scores.get("defect_psnr"), progress.start_defect_psnr)
    if defects is None:
        return f"images: {images} against the start; no validation image has a defect" if images else None
    return f"defects: {defects} against the start" + (f"; images: {images}" if images else "")


def _gain(now: float | None, start: float) -> str | None:
    if now is None or not (math.isfinite(now) and math.isfinite(start)):
        return None
    return f"{now:.2f} dB, {round(now, 2) - round(start, 2) + 0.0:+.2f}"
