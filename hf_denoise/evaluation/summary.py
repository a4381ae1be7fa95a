"""From one row per image and method to means, medians and confidence intervals, overall and per class of defect."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import bootstrap

from hf_denoise.arrays import FloatImage, Mask
from hf_denoise.metrics.quality import contrast, contrast_kept, psnr, ssim
from hf_denoise.metrics.structure import structure

METRICS = ("psnr", "ssim", "defect_psnr", "contrast_kept", "structure")
INPUT, MODEL = "input", "model"  # the methods that are always there; the others are peers
LEADS = ("psnr", "defect_psnr")
FEWEST = 3  # values that an interval is made from
RESAMPLES = 2000
FADED = 0.5  # a defect that keeps less of its contrast than this counts as faded

Values = Sequence[float]


@dataclass(frozen=True)
class Row:
    """One image as one method gives it back. A number that does not exist is nan: no mask, no contrast, no removal.

    `psnr` and `defect_psnr` are in dB. `clean_contrast` is that of the defect in the clean image, on the 0..255 scale.
    """

    image: str
    defect: str | None
    degradation: str
    method: str
    psnr: float
    ssim: float
    defect_psnr: float
    contrast_kept: float
    structure: float
    clean_contrast: float


def measure_image(
    output: FloatImage,
    noisy: FloatImage,
    clean: FloatImage,
    mask: Mask,
    *,
    image: str = "",
    defect: str | None = None,
    degradation: str = "",
    method: str = MODEL,
) -> Row:
    """All numbers of one image; `output`, `noisy` and `clean` are (H, W, 3) in [0, 1], `mask` (H, W) bool."""
    return Row(
        image=image,
        defect=defect,
        degradation=degradation,
        method=method,
        psnr=psnr(output, clean),
        ssim=ssim(output, clean),
        defect_psnr=psnr(output, clean, mask),
        contrast_kept=contrast_kept(output, clean, mask),
        structure=math.nan if method == INPUT else structure(noisy - output),
        clean_contrast=255 * contrast(clean, mask),
    )


def mean(values: Values) -> float | None:
    """Mean of the values that are there; None where none is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else None


def median(values: Values) -> float | None:
    """Median of the values that are there; None where none is."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else None


def statistic(metric: str) -> Callable[[Values], float | None]:
    """How a metric is summarised: a ratio has outliers where its denominator is small, so contrast kept by the median.

    The others by the mean, as usual.
    """
    return median if metric == "contrast_kept" else mean


def bootstrap_interval(values: Values, metric: str, seed: int = 0) -> list[float] | None:
    """95 % confidence interval of the mean or median, by the percentile bootstrap over images (Efron, 1979).

    With a handful of images it is too narrow.

    Returns:
        [low, high]; None for fewer than 3 values, or where one is infinite.
    """
    known = [value for value in values if not math.isnan(value)]
    if len(known) < FEWEST or not np.isfinite(known).all():
        return None
    low, high = bootstrap(
        (known,),
        np.median if statistic(metric) is median else np.mean,
        n_resamples=RESAMPLES,
        batch=200,
        method="percentile",
        random_state=seed,
    ).confidence_interval
    return [float(low), float(high)]


def summarise(rows: Iterable[Row], seed: int = 0) -> dict[str, Any]:
    """Summary of some images.

    Args:
        rows: of one degradation, a row per image and method; the methods are `INPUT`, `MODEL` and any peers.
        seed: of the bootstrap.

    Returns:
        `images`; each metric of the model under its name and of the input under `input_` and its name (there without
        `structure`: nothing was removed), means over images, the median for `contrast_kept`, None where no image has
        it; `faded`, the images whose contrast kept is under 0.5, which a median hides (`input_faded` likewise);
        `counts`, the images that have a metric; `intervals`, under the names of the metrics, see `bootstrap_interval`;
        `peers`, the same of each peer; `lead`, the mean differences of PSNR and defect PSNR, model minus other on the
        same images, for the input and each peer.
    """
    methods: dict[str, dict[str, Row]] = {}
    for row in rows:
        methods.setdefault(row.method, {})[row.image] = row
    images = list(methods[MODEL])
    summary: dict[str, Any] = {"images": len(images)}
    intervals: dict[str, list[float] | None] = {}
    peers: dict[str, dict[str, Any]] = {}
    lead: dict[str, dict[str, Any]] = {}
    for method in (MODEL, INPUT, *(name for name in methods if name not in (MODEL, INPUT))):
        measured = {name: [getattr(methods[method][image], name) for image in images] for name in METRICS}
        if method == INPUT:
            del measured["structure"]
        values: dict[str, Any] = {name: statistic(name)(column) for name, column in measured.items()}
        values["faded"] = sum(kept < FADED for kept in measured["contrast_kept"])
        ranges = {name: bootstrap_interval(column, name, seed) for name, column in measured.items()}
        if method in (MODEL, INPUT):
            prefix = "input_" if method == INPUT else ""
            summary.update({prefix + name: value for name, value in values.items()})
            intervals.update({prefix + name: value for name, value in ranges.items()})
        else:
            peers[method] = {**values, "intervals": ranges}
        if method == MODEL:
            counts = {name: sum(not math.isnan(value) for value in column) for name, column in measured.items()}
        else:
            differences = {
                name: [getattr(methods[MODEL][image], name) - getattr(methods[method][image], name) for image in images]
                for name in LEADS
            }
            lead[method] = {
                **{name: mean(column) for name, column in differences.items()},
                "intervals": {name: bootstrap_interval(column, name, seed) for name, column in differences.items()},
            }
    return {**summary, "counts": counts, "intervals": intervals, "peers": peers, "lead": lead}


def summarise_classes(rows: Sequence[Row], seed: int = 0) -> dict[str, dict[str, Any]]:
    """`summarise` of each class of defect, in alphabetical order; images without a class are in none."""
    names = sorted({row.defect for row in rows if row.defect is not None})
    return {name: summarise([row for row in rows if row.defect == name], seed) for name in names}


def look_up(summary: dict[str, Any], method: str, metric: str) -> tuple[float | None, list[float] | None]:
    """(value, interval) of a method's metric in what `summarise` gave; (None, None) where it is not there."""
    if method in (MODEL, INPUT):
        name = f"input_{metric}" if method == INPUT else metric
        return summary.get(name), summary["intervals"].get(name)
    peer = summary["peers"][method]
    return peer.get(metric), peer["intervals"].get(metric)


def jsonable(value: Any) -> Any:
    """`value` with None for every number that JSON cannot hold: nan, and the infinite PSNR of identical images."""
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
