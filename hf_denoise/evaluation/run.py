"""Measure a denoiser over a test set: tables, JSON that the model card is rendered from, a page and pictures."""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hf_denoise._version import __version__
from hf_denoise.data.splitting import first_of
from hf_denoise.data.triplets import load_triplets
from hf_denoise.distributed.processes import Processes
from hf_denoise.errors import UserError
from hf_denoise.evaluation.cases import Gallery
from hf_denoise.evaluation.grid import Crops, write_grid
from hf_denoise.evaluation.measuring import Measured, SplitMeasurer
from hf_denoise.evaluation.peers import PeerDenoiser, load_peers
from hf_denoise.evaluation.report import Evaluation, images_csv, report_markdown, report_page
from hf_denoise.evaluation.summary import Row, jsonable, summarise, summarise_classes
from hf_denoise.evaluation.survival import measure_survival
from hf_denoise.files import make_writable, written_beside
from hf_denoise.hub.files import REPORT
from hf_denoise.hub.reports import DIGEST
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.noise.degradations import parse_degradation

REPORT_PAGE = "evaluation.html"
NOT_USED = (
    "%s brings degraded images, so --sigma and --degradation are not used; --make-degraded uses them all the same"
)
ALONE = Processes()

_logger = logging.getLogger(__name__)


def evaluate(
    denoiser: Denoiser,
    triplets: Any,
    degradation: str = "gaussian:25",
    *,
    peers: Mapping[str, PeerDenoiser] | None = None,
    name: str = "",
    split: str = "",
    seed: int = 0,
    processes: Processes = ALONE,
) -> tuple[Evaluation, list[Crops]]:
    """Denoise every image of a split and compare it with the clean one.

    Args:
        denoiser: what is measured.
        triplets: a split from `load_triplets`.
        degradation: makes the degraded image where the data have none; its noise is fixed by `seed`. As in the usual
            protocol it is neither clipped nor quantised.
        peers: other denoisers to measure beside, by name. They are told sigma where the degradation is Gaussian noise
            of one strength, and else `metrics.noise_level` of the image.
        name, split: what the result is called in reports.
        seed: seed of the noise and of the intervals.
        processes: share the images; each gets the evaluation of all of them, equal to that of one process.

    Returns:
        The evaluation; its `result` is what `summarise` gives for all images, with `dataset`, `split`, `degradation`,
        the `sigma` of each peer (None: estimated) and, under `classes`, the same for each class of defect. Under
        `survival` is what `measure_survival` gives, of the images named in `survival_images`; neither is there where
        the images are too small. And crops (degraded, denoised, clean) of the first images.
    """
    measurer = SplitMeasurer(denoiser, triplets, degradation, peers, seed)
    title = " ".join([name, measurer.degradation]).strip()
    measure = partial(_measure_part, measurer, processes, title)
    # The extremes of all images are among the extremes of each part: added in order, they make the same gallery.
    rows: list[Row] = []
    crops: list[Crops] = []
    noises: dict[int, float] = {}
    gallery = Gallery()
    for index, measured in enumerate(processes.share(range(len(measurer)), measure)):
        rows += measured.case.rows.values()
        gallery.add(measured.case)
        crops += [measured.crops] if measured.crops else []
        noises.update({} if measured.noise is None else {index: measured.noise})
    survival = measure_survival(measurer.probe, noises, measurer.methods, processes, title)
    result = {
        "dataset": name,
        "split": split,
        "degradation": measurer.degradation,
        **summarise(rows, seed),
        "classes": summarise_classes(rows, seed),
        **({"survival": survival, "survival_images": [measurer.images[index] for index in noises]} if survival else {}),
    }
    for peer in result["peers"].values():
        peer["sigma"] = measurer.sigma
    return Evaluation(result, rows, gallery), crops


def _measure_part(measurer: SplitMeasurer, processes: Processes, title: str, indices: Sequence[int]) -> list[Measured]:
    """The images of one process, in order, with pictures of those alone that its gallery may show."""
    if processes.count > 1:
        title += f", process 1 of {processes.count}"
    gallery = Gallery()
    found = []
    for index in tqdm(indices, title, unit="image", disable=not processes.is_main):
        measured = measurer(index)
        gallery.add(measured.case)
        found.append(measured.without_pictures())
    shown = {id(case.rows): case for case in gallery.cases}
    return [replace(measured, case=shown.get(id(measured.case.rows), measured.case)) for measured in found]


def load_split(data: str, split: str, **options: Any) -> Any:
    """A split of the data, or all of data without splits of their own, with options of `load_triplets`."""
    if split == "all":
        triplets = load_triplets(data, splits=(0.0, 0.0, 1.0), **options)
        if list(triplets) != ["test"]:
            raise UserError(f"'{data}' has splits of its own: choose one of {', '.join(triplets)} with --split")
        return triplets["test"]
    triplets = load_triplets(data, **options)
    if split not in triplets:
        raise UserError(f"'{data}' has no split '{split}': choose one of {', '.join(triplets)} with --split")
    return triplets[split]


def evaluate_data(
    load: Callable[[], Denoiser],
    data: str,
    output: Path,
    *,
    degradations: Sequence[str] = ("gaussian:25",),
    peers: Sequence[str] = (),
    split: str = "test",
    seed: int = 0,
    skip_bad: bool = False,
    revision: str | None = None,
    config: str | None = None,
    columns: Mapping[str, str] | None = None,
    make_degraded: bool = False,
    limit: int | None = None,
    model: str = "",
    digest: Callable[[], str] | None = None,
    overwrite: bool = False,
    processes: Processes = ALONE,
) -> list[dict[str, Any]]:
    """Measure a denoiser on a data set, under each degradation, and write what was found.

    Written are `evaluation.json` (summaries), `images.csv` (a line per image, degradation and method),
    `evaluation.md` (tables), `evaluation.html` (all of it with plots and pictures, in one file) and a before/after
    picture for each degradation.

    Args:
        load: gives what is measured; called when the data were found to be usable.
        data: anything that `load_triplets` takes.
        output: folder of the report.
        degradations: each is measured; data that have degraded images are measured once, as they are.
        peers: other denoisers to measure on the same images, among `hf_denoise.evaluation.peers.PEERS`.
        split: a split of the data, or "all" for every image of data without splits of their own.
        seed: seed of the split, of the noise and of the intervals.
        skip_bad: leave out files that cannot be used.
        revision, config, columns, make_degraded: as of `load_triplets`.
        limit: measure the first so many images of the split.
        model: what the model is called in the report.
        digest: gives that of its weights, by which `hf-denoise push` knows that the report is theirs.
        overwrite: replace a report in `output`.
        processes: share the images; the main one reads the data and writes the report.

    Returns:
        The results as in `evaluation.json`: None for what does not exist and for infinite values.

    Raises:
        UserError: the data or the output folder cannot be used, there is a report already, or a peer is not installed.
    """
    processes.once(lambda: _check_free(output, overwrite))
    others = processes.each(lambda: load_peers(peers))
    options: dict[str, Any] = {"seed": seed, "skip_bad": skip_bad, "revision": revision, "config": config}
    options |= {"columns": columns, "make_degraded": make_degraded}
    chosen = processes.once(lambda: _load(data, output, degradations, split, options))
    images = f"{split}, {first_of(limit, len(chosen))} images"
    if limit and limit < len(chosen):
        chosen, split = chosen.select(range(limit)), f"{split}[:{limit}]"  # as `datasets` writes it
    denoiser = load()
    if "degraded" in chosen.column_names:
        degradations = degradations[:1]
    evaluations = []
    for spec in degradations:
        evaluation, crops = evaluate(
            denoiser, chosen, spec, peers=others, name=Path(data).name, split=split, seed=seed, processes=processes
        )
        evaluations.append(evaluation)
        label = re.sub(r"[^\w.]+", "-", evaluation.result["degradation"])
        processes.once(partial(write_grid, output / f"grid-{label}.png", crops))
    results: list[dict[str, Any]] = [jsonable(evaluation.result) for evaluation in evaluations]
    facts = _facts(denoiser, results, images, seed, model)
    head = {DIGEST: digest()} if digest and processes.is_main else {}
    processes.once(lambda: _write(output, evaluations, {**head, "results": results}, facts))
    return results


def _check_free(output: Path, overwrite: bool) -> None:
    if not overwrite and (output / REPORT).exists():
        raise UserError(f"'{output}' holds a report already; choose another --output, or replace it with --overwrite")


def _load(data: str, output: Path, degradations: Sequence[str], split: str, options: dict[str, Any]) -> Any:
    """The split to measure, once all that can be wrong with the options was looked at."""
    for spec in degradations:
        parse_degradation(spec)
    chosen = load_split(data, split, **options)
    if "degraded" in chosen.column_names:
        _logger.warning(NOT_USED, data)
    make_writable(output)
    return chosen


def _facts(denoiser: Denoiser, results: Sequence[dict[str, Any]], images: str, seed: int, model: str) -> dict[str, str]:
    """What was measured and how, in the order in which the report says it."""
    first = results[0]
    ensemble = ", self-ensemble" if denoiser.self_ensemble else ""
    return {
        "Data": first["dataset"],
        "Split": f"{images}, {first['counts']['defect_psnr'] or 'none'} with a defect mask",
        "Degradation": ", ".join(result["degradation"] for result in results),
        "Model": model or "unnamed",
        "Parameters": f"{sum(weights.numel() for weights in denoiser.model.parameters()) / 1e6:.2f} million",
        "Arithmetic": f"{denoiser.precision} on {denoiser.device.type}{ensemble}",
        "Seed": str(seed),
        "Date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "Version": f"hf_denoise {__version__}",
    }


def _write(output: Path, evaluations: Sequence[Evaluation], report: dict[str, Any], facts: dict[str, str]) -> None:
    texts = {
        REPORT: json.dumps(report, indent=2, allow_nan=False) + "\n",
        "evaluation.md": report_markdown(report["results"]) + "\n",
        "images.csv": images_csv(evaluations),
        REPORT_PAGE: report_page(evaluations, facts),
    }
    for name, text in texts.items():
        with written_beside(output / name) as file:
            file.write(text.encode())
