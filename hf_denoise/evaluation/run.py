"""Measure a denoiser over a test set: tables, JSON that the model card is rendered from, a page and pictures."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm import tqdm

from hf_denoise._version import __version__
from hf_denoise.data.decoded import Decoded
from hf_denoise.data.loader import SampleMaker, TripletDataset
from hf_denoise.data.triplets import load_triplets
from hf_denoise.distributed.launch import Processes
from hf_denoise.errors import UserError
from hf_denoise.evaluation.cases import Case, Gallery, make_case
from hf_denoise.evaluation.peers import Run, load_peers
from hf_denoise.evaluation.report import Evaluation, images_csv, markdown, page
from hf_denoise.evaluation.summary import INPUT, MODEL, Row, jsonable, measure, summarise, summarise_classes
from hf_denoise.files import make_writable, written_beside
from hf_denoise.hub.card import AS_IN_DATA
from hf_denoise.imaging.picture import to_8_bits
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.metrics.quality import noise_level
from hf_denoise.noise.degradations import parse_degradation

REPORT = "evaluation.html"
Picture = NDArray[np.float32]
Crops = tuple[Picture, Picture, Picture]  # degraded, denoised, clean
CROP = 256  # side of the crops in the before/after grid, pixels
GRID_ROWS = 6
ALONE = Processes()


def evaluate(
    denoiser: Denoiser,
    triplets: Any,
    degradation: str = "gaussian:25",
    *,
    peers: Mapping[str, Run] | None = None,
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
        the `sigma` of each peer (None: estimated) and, under `classes`, the same for each class of defect. And crops
        (degraded, denoised, clean) of the first images.
    """
    samples = TripletDataset(Decoded(triplets), SampleMaker(parse_degradation(degradation)), seed)
    own = "degraded" in triplets.column_names
    sigma = None if own else gaussian_sigma(degradation)
    label = AS_IN_DATA if own else degradation
    images = triplets["name"]
    defects = triplets["defect"] if "defect" in triplets.column_names else [None] * len(triplets)

    def measure_all(indices: Sequence[int]) -> list[tuple[Case, Crops | None]]:
        """The case of each image, without its pictures where the gallery needs none, and its crops for the grid."""
        found: list[tuple[Case, Crops | None]] = []
        gallery = Gallery()
        title = " ".join([name, degradation]).strip()
        if processes.count > 1:
            title += f", process 1 of {processes.count}"
        for index in tqdm(indices, title, unit="image", disable=not processes.is_main):
            sample = samples[index]
            noisy, clean = (sample[key].permute(1, 2, 0).numpy() for key in ("degraded", "clean"))
            mask = sample["mask"][0].numpy() > 0
            outputs = {INPUT: noisy, MODEL: denoiser(noisy)}
            if peers:
                told = noise_level(noisy) if sigma is None else sigma
                outputs.update({peer: run(noisy, told).clip(0, 1) for peer, run in peers.items()})
            rows = {
                method: measure(
                    output,
                    noisy,
                    clean,
                    mask,
                    image=images[index],
                    defect=defects[index],
                    degradation=label,
                    method=method,
                )
                for method, output in outputs.items()
            }
            gallery.add(make_case(outputs, clean, mask, rows))
            crops = None
            if index < GRID_ROWS:
                crops = crop_around(noisy, mask), crop_around(outputs[MODEL], mask), crop_around(clean, mask)
            found.append((Case(rows, {}, 0), crops))
        kept = {id(case.rows): case for case in gallery.cases}
        return [(kept.get(id(case.rows), case), crops) for case, crops in found]

    # The extremes of all images are among the extremes of each part: added in order, they make the same gallery.
    rows: list[Row] = []
    crops: list[Crops] = []
    gallery = Gallery()
    for case, shown in processes.share(range(len(samples)), measure_all):
        rows += case.rows.values()
        gallery.add(case)
        crops += [shown] if shown else []
    result = {
        "dataset": name,
        "split": split,
        "degradation": label,
        **summarise(rows, seed),
        "classes": summarise_classes(rows, seed),
    }
    for peer in result["peers"].values():
        peer["sigma"] = sigma
    return Evaluation(result, rows, gallery), crops


def gaussian_sigma(degradation: str) -> float | None:
    """The standard deviation, 0..255 scale, of a degradation that is Gaussian noise of one strength; else None."""
    match parse_degradation(degradation).alternatives:
        case ((("gaussian", low, high),),) if low == high:
            return low
    return None


def crop_around(image: Picture, mask: NDArray[np.bool_]) -> Picture:
    """A square of at most CROP pixels, centred on the defect or else on the image."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask) if mask.any() else (np.array([height // 2]), np.array([width // 2]))
    top = int(np.clip(np.median(rows) - CROP // 2, 0, max(height - CROP, 0)))
    left = int(np.clip(np.median(columns) - CROP // 2, 0, max(width - CROP, 0)))
    return image[top : top + CROP, left : left + CROP]


def write_grid(target: Path, crops: Sequence[Crops]) -> None:
    """Write `grid` as PNG."""
    with written_beside(target) as file:
        grid(crops).save(file, "PNG")


def grid(crops: Sequence[Crops]) -> Image.Image:
    """Rows of degraded, denoised and clean crops, with a header."""
    header, gap = 24, 4
    height = header + sum(row[0].shape[0] + gap for row in crops)
    sheet = Image.new("RGB", (3 * (CROP + gap) - gap, height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(("degraded", "denoised", "clean")):
        draw.text((column * (CROP + gap) + 4, 4), title, fill="black", font_size=14)
    top = header
    for row in crops:
        for column, image in enumerate(row):
            sheet.paste(Image.fromarray(to_8_bits(image)), (column * (CROP + gap), top))
        top += row[0].shape[0] + gap
    return sheet


def load_split(data: str, split: str, seed: int, skip_bad: bool) -> Any:
    """A split of the data, or all of data without splits of their own; see `evaluate_data`."""
    if split == "all":
        triplets = load_triplets(data, seed=seed, skip_bad=skip_bad, splits=(0.0, 0.0, 1.0))
        if list(triplets) != ["test"]:
            raise UserError(f"'{data}' has splits of its own: choose one of {', '.join(triplets)} with --split")
        return triplets["test"]
    triplets = load_triplets(data, seed=seed, skip_bad=skip_bad)
    if split not in triplets:
        raise UserError(f"'{data}' has no split '{split}': choose one of {', '.join(triplets)} with --split")
    return triplets[split]


def evaluate_data(
    denoiser: Denoiser,
    data: str,
    output: Path,
    *,
    degradations: Sequence[str] = ("gaussian:25",),
    peers: Sequence[str] = (),
    split: str = "test",
    seed: int = 0,
    skip_bad: bool = False,
    model: str = "",
    processes: Processes = ALONE,
) -> list[dict[str, Any]]:
    """Measure a denoiser on a data set, under each degradation, and write what was found.

    Written are `evaluation.json` (summaries), `images.csv` (a line per image, degradation and method),
    `evaluation.md` (tables), `evaluation.html` (all of it with plots and pictures, in one file) and a before/after
    picture for each degradation.

    Args:
        denoiser: what is measured.
        data: anything that `load_triplets` takes.
        output: folder of the report.
        degradations: each is measured; data that have degraded images are measured once, as they are.
        peers: other denoisers to measure on the same images, among `hf_denoise.evaluation.peers.PEERS`.
        split: a split of the data, or "all" for every image of data without splits of their own.
        seed: seed of the split, of the noise and of the intervals.
        skip_bad: leave out files that cannot be used.
        model: what the model is called in the report.
        processes: share the images; the main one reads the data and writes the report.

    Returns:
        The results as in `evaluation.json`: None for what does not exist and for infinite values.

    Raises:
        UserError: the data or the output folder cannot be used, or a peer is not installed.
    """

    def load() -> Any:
        for spec in degradations:
            parse_degradation(spec)
        chosen = load_split(data, split, seed, skip_bad)
        make_writable(output)
        return chosen

    others = processes.each(lambda: load_peers(peers))
    chosen = processes.once(load)
    if "degraded" in chosen.column_names:
        degradations = degradations[:1]
    evaluations = []
    for spec in degradations:
        evaluation, crops = evaluate(
            denoiser,
            chosen,
            spec,
            peers=others,
            name=Path(data).name,
            split=split,
            seed=seed,
            processes=processes,
        )
        evaluations.append(evaluation)
        label = re.sub(r"[^\w.]+", "-", evaluation.result["degradation"])
        processes.once(partial(write_grid, output / f"grid-{label}.png", crops))
    results: list[dict[str, Any]] = [jsonable(evaluation.result) for evaluation in evaluations]
    first = results[0]
    facts = {
        "Data": first["dataset"],
        "Split": f"{split}, {first['images']} images, {first['counts']['defect_psnr'] or 'none'} with a defect mask",
        "Degradation": ", ".join(result["degradation"] for result in results),
        "Model": model or "unnamed",
        "Parameters": f"{sum(weights.numel() for weights in denoiser.model.parameters()) / 1e6:.2f} million",
        "Arithmetic": f"{denoiser.precision} on {denoiser.device.type}"
        + (", self-ensemble" if denoiser.self_ensemble else ""),
        "Seed": str(seed),
        "Date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "Version": f"hf_denoise {__version__}",
    }
    texts = {
        "evaluation.json": json.dumps({"results": results}, indent=2, allow_nan=False) + "\n",
        "evaluation.md": markdown(results) + "\n",
        "images.csv": images_csv(evaluations),
        REPORT: page(evaluations, facts),
    }

    def write() -> None:
        for name, text in texts.items():
            with written_beside(output / name) as file:
                file.write(text.encode())

    processes.once(write)
    return results
