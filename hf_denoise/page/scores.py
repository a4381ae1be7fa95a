"""The metrics that the page shows of a result, each with what it means and which way is better."""

import math
from typing import Any

from hf_denoise.page.keeping import Mix
from hf_denoise.page.measuring import Measured

Scores = list[dict[str, Any]]
HIGHER, LOWER = "higher", "lower"
DIGITS = 4  # after the point, of what goes to the browser, which shows three in all

NOISE = (
    "Standard deviation of the noise as estimated from the picture, in grey levels of 255. Structure counts a little."
)
PSNR = "Peak signal-to-noise ratio against the clean reference: 10 dB more is a third of the error."
SSIM = "Structural similarity with the clean reference: 1 is the same picture."
SAMPLED = " Of a picture as large as this: from samples spread over it."
CONTRAST = "Contrast of the masked defect with what is around it, as a share of that in the {}: 1 is all of it, 0 none."


def quality_scores(measured: Measured) -> Scores:
    """PSNR and SSIM against a clean reference, or the estimated noise where there is none; inside a mask, too."""
    clean, mask = measured.companions.clean, measured.companions.inside
    sampled = SAMPLED if measured.sampled else ""
    scores = []
    if clean is None:
        noise = measured.noise()
        said = f"Noise {_from_to(*noise)} grey levels"
        scores.append(score("Estimated noise level", "of 255", *noise, better=LOWER, about=NOISE + sampled, said=said))
    else:
        for where in ("", " in the mask")[: 1 if mask is None else 2]:
            quality = measured.psnr(bool(where))
            error = [255 * 10 ** (-value / 20) for value in quality]
            said = "" if where else f"The error against the reference {_from_to(*error)} grey levels"
            similar = measured.ssim(bool(where))
            scores.append(score(f"PSNR{where}", "dB", *quality, better=HIGHER, about=PSNR, said=said))
            scores.append(score(f"SSIM{where}", "", *similar, better=HIGHER, about=SSIM + sampled))
    if mask is not None:
        # Noise averages out over a defect: the noisy picture tells its contrast nearly as well as a clean one.
        kept = measured.contrast_kept()
        about = CONTRAST.format("input" if clean is None else "reference")
        said = f"In the mask ({int(mask.sum()):,} pixels) {_kept(kept)}".replace(",", " ")
        said = said if mask.any() else "The mask is empty: nothing in it is white, and nothing inside can be measured"
        scores.append(score("Contrast kept", "", None, kept, about=about, said=said))
    return scores


def mix_scores(mix: Mix) -> Scores:
    """What was done to keep defects, as metrics."""
    scores = [score("Strength", "", None, mix.strength)] if mix.wishes.auto else []
    if mix.protection:
        scores.append(score("Protected", "% of the picture", None, 100 * mix.protection.area))
        if mix.protection.noise_left is not None:
            scores.append(score("Noise left there", "of 255", None, mix.protection.noise_left))
    return scores


def _from_to(before: float, after: float) -> str:
    """ "fell from 24 to 3.1"."""
    if not (math.isfinite(before) and math.isfinite(after)):
        return "cannot be told in"
    was, now = (f"{round(value, DIGITS):.3g}" for value in (before, after))
    return f"stayed at {now}" if was == now else f"{'fell' if after < before else 'rose'} from {was} to {now}"


def _kept(share: float) -> str:
    if not math.isfinite(share):
        return "nothing stands out from what is around it, so that no contrast can be measured"
    return f"{100 * share:.0f} % of the contrast is left"


def score(
    name: str,
    unit: str,
    before: float | None,
    after: float,
    *,
    better: str | None = None,
    about: str = "",
    said: str = "",
) -> dict[str, Any]:
    """One metric, as `ScoreList` shows it.

    Args:
        name, unit, before, after: the figures.
        better: which way is: `HIGHER`, `LOWER`, or None where that cannot be said.
        about: what it means.
        said: the same figures in plain words, without a full stop.
    """

    def printable(value: float) -> float | str:  # JSON has neither infinity nor NaN
        return round(value, DIGITS) if math.isfinite(value) else "∞" if value > 0 else "n/a"

    shown = None if before is None else printable(before)
    figures = {"name": name, "unit": unit, "before": shown, "after": printable(after)}
    return {**figures, "better": better, "about": about, "said": said}
