"""Would a defect survive in the picture that was uploaded? What the page and its API answer."""

from pathlib import Path
from typing import Any

import gradio as gr
from numpy.typing import NDArray
from PIL import Image

from hf_denoise.imaging.blending import blend_pictures
from hf_denoise.inference.removed import difference
from hf_denoise.metrics.structure import structure
from hf_denoise.page.errors import shown_errors
from hf_denoise.page.events import download_update
from hf_denoise.page.keeping import Wishes, mix_of
from hf_denoise.page.results import new_folder, report_of, result_of
from hf_denoise.page.samples import EXAMPLES
from hf_denoise.page.stop import Watch, register_request
from hf_denoise.probing.detection import has_statsmodels
from hf_denoise.probing.pictures import curves_picture, map_picture
from hf_denoise.probing.report import ProbeReport
from hf_denoise.probing.survival import Limit

Rows = list[dict[str, Any]]
Findings = tuple[str, Rows, str, str, str, float]


def probe(
    image: str | None,
    strength: float = 1.0,
    model: str | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> Findings:
    """Ask which defects would survive in a picture: small ones are put into it, and looked for in the result.

    It needs no clean reference, and takes some seconds for any size. Contrasts are in grey levels, 0 to 255.

    Args:
        image: picture file of any size and depth. None takes the first example.
        strength: from 0, the picture as it is, to 1, fully denoised: what is left at that strength.
        model: id of a public model on the Hub, as user/name. Empty takes the packaged one.

    Returns:
        The limits of scratches 2 pixels wide, in a sentence.
        The limits of each kind of defect: the faintest contrasts of which 80 % and half are kept, the share kept of the
            faintest that was tried, how many were put in, and where statsmodels is installed a90/95: the contrast that
            is kept with a probability of 90 % at a confidence of 95 %, or the reason why there is none. "> 84" is
            beyond all that were tried, "≤ 6" below them.
        Picture of the share that is kept over the contrast, for each kind: PNG.
        The picture in grey, red where a defect must be stronger to survive: PNG, at most 1024 pixels a side.
        Every defect that was put in, as CSV: kind, contrast, whether bright, row, column, share kept, whether at least
            half was.
        Structure removed, from 0 to 1, at the place where that is most. 0 is no proof that nothing was lost: a faint
            defect that goes as a whole looks like noise.
    """
    return _findings(image, Wishes(strength), model, False, None, progress)


def probe_on_page(
    image: str | None,
    strength: float,
    model: str | None,
    keep: float | None,
    auto: bool,
    best: bool,
    at: float,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[Any, ...]:
    """`probe`, for the panel of the page; `keep`, `auto`, `best`: see `Asked`; `at`: see `register_request`."""
    *shown, hits, removed = _findings(image, Wishes(strength, "", keep, auto), model, best, at, progress)
    return *shown, download_update(hits), removed


def _findings(
    image: str | None, wishes: Wishes, model: str | None, best: bool, at: float | None, progress: gr.Progress
) -> Findings:
    register_request(at, view=False)
    watch = Watch()
    with shown_errors(), new_folder() as folder:
        wishes.possible.check()
        image = image or EXAMPLES[0].noisy
        result = result_of(image, model, progress, best)
        whole = report_of(result, model, progress)
        strength = mix_of(result, wishes, model, progress).strength
        watch.check_strength()
        progress(0, desc="Measuring")
        report = whole.at_strength(strength, result.before.planes[0])
        sentence = report.sentence() if strength == 1 else f"At strength {strength:.2g}: {report.sentence()}"
        rows = table_of(report)
        watch.check_strength()
        progress(0.5, desc="Measuring")
        removed = structure(difference(result.before, blend_pictures(result.before, result.after, strength)))
        curves, places = folder / "curves.png", folder / "map.png"
        curves_picture(report, narrow=True).save(curves)
        Image.fromarray(map_picture(report, result.before.planes[0])).save(places)
        hits = folder / f"{Path(image).stem}-defects.csv"
        hits.write_text(report.hits_csv())
        watch.check_strength()
        return sentence, rows, str(curves), str(places), str(hits), round(removed, 4)


def table_of(report: ProbeReport) -> Rows:
    """The table of a report, with a90/95 where statsmodels is installed."""
    rows = report.table()
    if has_statsmodels():
        for row in rows:
            found, contrasts = report.detections[row["kind"]], report.curve(row["kind"]).contrasts
            row["a90/95"] = _bound(found.a90_95, contrasts)
            row["a90/95 note"] = found.note
    return rows


def _bound(contrast: float | None, tried: NDArray[Any]) -> str | None:
    """A fitted contrast as the limits are said: not beyond what was tried."""
    if contrast is None:
        return None
    if contrast > tried[-1]:
        return str(Limit(float(tried[-1]), "above"))
    return str(Limit(float(tried[0]), "below") if contrast < tried[0] else Limit(contrast, "at"))
