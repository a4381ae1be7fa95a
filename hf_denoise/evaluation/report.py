"""What an evaluation writes for people: Markdown, a table of all images as CSV, and a page that stands alone."""

import base64
import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from hf_denoise.arrays import ByteImage
from hf_denoise.evaluation.cases import Gallery, Pick
from hf_denoise.evaluation.plots import (
    METHOD_VARIABLES,
    MOST_POINTS,
    contrast_plot,
    gain_plot,
    interval_plot,
    survival_plot,
)
from hf_denoise.evaluation.summary import FADED, INPUT, LEADS, METRICS, MODEL, Row, look_up
from hf_denoise.hub.tables import (
    DIGITS,
    LABELS,
    classes_table,
    finite,
    has_intervals,
    limit,
    number,
    results_table,
    survival_of,
    survival_table,
)
from hf_denoise.metrics.quality import MIN_CONTRAST, RING_GAP, RING_WIDTH
from hf_denoise.probing.report import REFERENCE

TEMPLATE = "evaluation/report.html.jinja"
CLASS_METRICS = ("psnr", "defect_psnr", "contrast_kept", "structure")  # in Markdown, where lines are long
UNITS = {"psnr": ", dB", "defect_psnr": ", dB"}
BETTER = {
    "psnr": "higher is better",
    "ssim": "higher is better",
    "defect_psnr": "higher is better",
    "contrast_kept": "1 is best",
    "structure": "0 is no proof of no loss",
}
PLOTTED = ("scratch 2 px", "pit 4 px")  # kinds of small defects
JPEG_QUALITY = 90
SURVIVES = (
    "What survives: the faintest contrast of small defects, in grey levels, of which 80 % is kept; in brackets, half."
)


@dataclass(frozen=True)
class Evaluation:
    """A data set under one degradation: the summary, as in `evaluation.json`; a row per image and method; cases."""

    result: dict[str, Any]
    rows: list[Row]
    gallery: Gallery


def report_markdown(results: Sequence[dict[str, Any]]) -> str:
    """Results as Markdown: overall, and per class of defect where there are classes."""
    notes = ["Noisy input → denoised; PSNR in dB, means over images"]
    if any(finite(result.get("contrast_kept")) for result in results):
        notes.append("contrast kept is the median")
    if has_intervals(results):
        notes.append("in brackets the 95 % bootstrap interval over images")
    if any(finite(result.get("structure")) for result in results):
        notes.append("structure removed of 0 is no proof that nothing was lost")
    survival = survival_table(results)
    if survival:
        survival = f"{SURVIVES}\n\n{survival}"
    parts = [results_table(results), classes_table(results, CLASS_METRICS), "; ".join(notes) + ".", survival]
    return "\n\n".join(part for part in parts if part)


def images_csv(evaluations: Sequence[Evaluation]) -> str:
    """A line per image, degradation and method; a number that does not exist is empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for evaluation in evaluations:
        for row in evaluation.rows:
            cells = asdict(row).items()
            writer.writerow(
                {key: "" if isinstance(value, float) and math.isnan(value) else value for key, value in cells}
            )
    return buffer.getvalue()


def report_page(evaluations: Sequence[Evaluation], facts: dict[str, str]) -> str:
    """The report as one HTML page that needs no other file and no network.

    Args:
        evaluations: one per degradation, at least one.
        facts: what was measured, in the order in which the page says it.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    template = environment.from_string((resources.files("hf_denoise") / TEMPLATE).read_text(encoding="utf-8"))
    names = {name: None for evaluation in evaluations for name in evaluation.result["peers"]}
    methods = {INPUT: "noisy input", MODEL: "this model", **{name: name for name in names}}
    summaries = [evaluation.result for evaluation in evaluations]
    metrics = [name for name in METRICS if any(finite(summary[name]) for summary in summaries)]
    html = template.render(
        facts=facts,
        methods=methods,
        metrics=metrics,
        heads_of={name: (LABELS[name] + UNITS.get(name, ""), BETTER[name]) for name in metrics},
        digits=DIGITS,
        colours={name: METHOD_VARIABLES[place % len(METHOD_VARIABLES)] for place, name in enumerate(methods)},
        look_up=look_up,
        best=best_methods,
        limit=limit,
        plotted=PLOTTED,
        leads=[name for name in LEADS if name in metrics],
        definition={"gap": RING_GAP, "width": RING_WIDTH, "least": round(255 * MIN_CONTRAST), "faded": FADED},
        most_points=MOST_POINTS,
        told=peers_note(summaries),
        surviving=any(survival_of(summary) for summary in summaries),
        sections=[section(evaluation, methods, metrics) for evaluation in evaluations],
    )
    return html.strip() + "\n"


def section(evaluation: Evaluation, methods: dict[str, str], metrics: Sequence[str]) -> dict[str, Any]:
    """What the page shows of one degradation."""
    result = evaluation.result
    worst, best = evaluation.gallery.picks()
    survival = survival_of(result)
    own = survival.get(MODEL, {}).get(REFERENCE)
    beside = [(f"{REFERENCE.capitalize()} kept from", limit(own, "limit_80"))] if own else []
    return {
        "result": result,
        "survival": survival,
        "kinds": list(dict.fromkeys(kind for kinds in survival.values() for kind in kinds)),
        "plots": plots(evaluation, methods, metrics),
        "cases": [("Worst cases", [case_panel(pick, methods, beside) for pick in worst])]
        + [("Best cases", [case_panel(pick, methods, beside) for pick in best])] * bool(best),
    }


def peers_note(results: Sequence[dict[str, Any]]) -> str:
    """A sentence on what the peers were told of the noise; "" where there are none."""
    sigmas = [peer["sigma"] for result in results for peer in result["peers"].values()]
    if not sigmas:
        return ""
    known = all(finite(sigma) for sigma in sigmas)
    what = "the true sigma of the noise" if known else "the noise level as estimated from each image"
    return f"The other denoisers were told {what}, this model nothing."


def best_methods(summary: dict[str, Any], methods: Sequence[str], metric: str) -> list[str]:
    """The methods, noisy input aside, whose number is best as printed; none where all are equal.

    No structure found in what was removed is no merit: under noise, weak structure is not found.
    """
    if metric == "structure":
        return []
    printed = {
        method: round(value, DIGITS[metric])
        for method in methods
        if method != INPUT and (value := look_up(summary, method, metric)[0]) is not None and not math.isnan(value)
    }
    badness = {method: abs(value - 1) if metric == "contrast_kept" else -value for method, value in printed.items()}
    least = min(badness.values(), default=0.0)
    if all(math.isclose(value, least, abs_tol=1e-9) for value in badness.values()):
        return []
    return [method for method, value in badness.items() if math.isclose(value, least, abs_tol=1e-9)]


def plots(evaluation: Evaluation, methods: dict[str, str], metrics: Sequence[str]) -> list[tuple[str, Markup]]:
    """(title, SVG) of the plots that the data allow."""
    result, rows = evaluation.result, evaluation.rows
    where = f"{result['dataset']}, {result['degradation']}"
    groups = {"all images": result, **result["classes"]}
    masked = "defect_psnr" in metrics
    quality = "defect_psnr" if masked else "psnr"
    label = LABELS[quality]
    titles: list[tuple[str, str, float | None]] = [(quality, f"{label} by class" if result["classes"] else label, None)]
    if "contrast_kept" in metrics:
        titles.append(("contrast_kept", "Contrast kept by class" if result["classes"] else "Contrast kept", 1.0))
    found = []
    for metric, title, reference in titles:
        shown = {name: group for name, group in groups.items() if finite(group[metric])}
        alt = f"{title} and method with 95 % intervals, {where}; the numbers are in the tables"
        axis = LABELS[metric] + UNITS.get(metric, "") + (", median" if metric == "contrast_kept" else ", mean")
        svg = interval_plot(shown, metric, methods, label=axis, alt=alt, reference=reference)
        found.append((title, Markup(svg)))
    title = f"Gain in {label[0].lower() + label[1:] if masked else label} of each image"
    alt = f"{title} over its {label} before, {where}"
    found.append((title, Markup(gain_plot(rows, quality, methods, label=label, alt=alt))))
    if "contrast_kept" in metrics:
        title = "Contrast kept of each defect"
        alt = f"{title} over its contrast in the clean image, {where}"
        found.append((title, Markup(contrast_plot(rows, methods, alt=alt))))
    if survival := survival_of(result):
        title = "What survives: share kept of small defects"
        alt = f"{title} over their contrast, {', '.join(PLOTTED)}, {where}; the limits are in the table"
        found.append((title, Markup(survival_plot(survival, PLOTTED, methods, alt=alt))))
    return found


def case_panel(pick: Pick, methods: dict[str, str], beside: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A case as the page shows it: titles, reasons, and its pictures with their captions.

    Args:
        pick: the case.
        methods: what they are called.
        beside: what stands beside the structure that was removed, which alone says too little.
    """
    case = pick.case
    row = case.rows[MODEL]
    masked = not math.isnan(row.defect_psnr)
    place = "crop around the defect" if masked else "crop around the largest error"
    pictures = []
    for name, crop in case.crops.items():
        caption: list[tuple[str, str]] = []
        if name in case.rows:
            title = methods[name]
            keys = ("psnr", "defect_psnr", "contrast_kept") if masked else ("psnr", "ssim")
            numbers = [(key, getattr(case.rows[name], key)) for key in keys]
            caption = [(LABELS[key], number(value, DIGITS[key])) for key, value in numbers if not math.isnan(value)]
        elif name == "clean":
            title = "clean, mask outlined" if masked else "clean"
            if not math.isnan(row.clean_contrast):
                caption = [("Contrast, grey levels", f"{row.clean_contrast:+.1f}")]
        else:
            title = f"removed, {case.gain:g}x"
            caption = [(LABELS["structure"], number(row.structure, 3)), *beside]
        height, width = crop.shape[:2]
        alt = f"{row.image}, {title}: {place}"
        pictures.append(
            {"title": title, "caption": caption, "source": data_url(crop), "alt": alt, "height": height, "width": width}
        )
    return {"image": row.image, "defect": row.defect, "reasons": pick.reasons, "pictures": pictures}


def data_url(picture: ByteImage) -> str:
    """A picture as a JPEG inside a URL: noise does not compress, and a page of PNGs would weigh many times as much."""
    grey = bool((picture == picture[..., :1]).all())
    image = Image.fromarray(np.ascontiguousarray(picture[..., 0]) if grey else picture)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
