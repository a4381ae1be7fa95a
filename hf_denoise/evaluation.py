"""Measure a denoiser over a test set: a table, JSON that the model card is rendered from, and a picture."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm import tqdm

from hf_denoise.degradations import parse_degradation
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable, written_beside
from hf_denoise.loader import TripletDataset
from hf_denoise.metrics import psnr, ssim
from hf_denoise.pipeline import Denoiser
from hf_denoise.triplets import load_triplets

Picture = NDArray[np.float32]
Crops = tuple[Picture, Picture, Picture]  # degraded, denoised, clean
CROP = 256  # side of the crops in the before/after grid, pixels
GRID_ROWS = 6


def evaluate(
    denoiser: Denoiser,
    triplets: Any,
    degradation: str = "gaussian:25",
    *,
    name: str = "",
    split: str = "",
    seed: int = 0,
) -> tuple[dict[str, Any], list[Crops]]:
    """Denoise every image of a split and compare it with the clean one.

    Args:
        denoiser: what is measured.
        triplets: a split from `load_triplets`.
        degradation: makes the degraded image where the data have none; its noise is fixed by `seed`. As in the usual
            protocol it is neither clipped nor quantised.
        name, split: what the result is called in reports.
        seed: seed of the noise.

    Returns:
        The result, means over images (PSNR in dB; `defect_psnr` over images with a mask, None where there is none),
        each also for the degraded input; and crops (degraded, denoised, clean) of the first images.
    """
    samples = TripletDataset(triplets, parse_degradation(degradation), seed=seed)
    rows: dict[str, list[float]] = {}
    crops: list[Crops] = []
    for index in tqdm(range(len(samples)), desc=" ".join([name, degradation]).strip(), unit="image"):
        sample = samples[index]
        noisy, clean = (sample[key].permute(1, 2, 0).numpy() for key in ("degraded", "clean"))
        mask = sample["mask"][0].numpy() > 0
        denoised = denoiser(noisy)
        for prefix, image in (("", denoised), ("input_", noisy)):
            rows.setdefault(prefix + "psnr", []).append(psnr(image, clean))
            rows.setdefault(prefix + "ssim", []).append(ssim(image, clean))
            rows.setdefault(prefix + "defect_psnr", []).append(psnr(image, clean, mask))
        if len(crops) < GRID_ROWS:
            crops.append((crop_around(noisy, mask), crop_around(denoised, mask), crop_around(clean, mask)))
    own = "degraded" in triplets.column_names
    result = {
        "dataset": name,
        "split": split,
        "degradation": "as in the data" if own else degradation,
        "images": len(samples),
        **{metric: mean(values) for metric, values in rows.items()},
    }
    return result, crops


def mean(values: Sequence[float]) -> float | None:
    """Mean of the values that are there; None where none is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else None


def crop_around(image: Picture, mask: NDArray[np.bool_]) -> Picture:
    """A square of at most CROP pixels, centred on the defect or else on the image."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask) if mask.any() else (np.array([height // 2]), np.array([width // 2]))
    top = int(np.clip(np.median(rows) - CROP // 2, 0, max(height - CROP, 0)))
    left = int(np.clip(np.median(columns) - CROP // 2, 0, max(width - CROP, 0)))
    return image[top : top + CROP, left : left + CROP]


def table(results: Sequence[dict[str, Any]]) -> str:
    """Results as a Markdown table: degraded input -> denoised."""
    lines = [
        "| data | degradation | images | PSNR, dB | SSIM | defect PSNR, dB |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        cells = [
            " → ".join(
                "-" if value is None else f"{value:.{digits}f}" for value in (result["input_" + key], result[key])
            )
            for key, digits in (("psnr", 2), ("ssim", 4), ("defect_psnr", 2))
        ]
        data = f"{result['dataset']} ({result['split']})"
        lines.append("| " + " | ".join([data, result["degradation"], str(result["images"]), *cells]) + " |")
    return "\n".join(lines)


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
            pixels = (image.clip(0, 1) * 255).round().astype(np.uint8)
            sheet.paste(Image.fromarray(pixels), (column * (CROP + gap), top))
        top += row[0].shape[0] + gap
    return sheet


def evaluate_data(
    denoiser: Denoiser,
    data: str,
    output: Path,
    *,
    degradations: Sequence[str] = ("gaussian:25",),
    split: str = "test",
    seed: int = 0,
    skip_bad: bool = False,
) -> list[dict[str, Any]]:
    """Measure a denoiser on a data set, under each degradation; write `evaluation.json`, `evaluation.md`, PNG grids.

    Args:
        denoiser: what is measured.
        data: anything that `load_triplets` takes.
        output: folder of the report.
        degradations: each is measured; data that have degraded images are measured once, as they are.
        split: a split of the data, or "all" for every image of data without splits of their own.
        seed: seed of the split and of the noise.
        skip_bad: leave out files that cannot be used.

    Raises:
        UserError: the data or the output folder cannot be used.
    """
    if split == "all":
        triplets = load_triplets(data, seed=seed, skip_bad=skip_bad, splits=(0.0, 0.0, 1.0))
        if list(triplets) != ["test"]:
            raise UserError(f"'{data}' has splits of its own: choose one of {', '.join(triplets)} with --split")
        chosen = triplets["test"]
    else:
        triplets = load_triplets(data, seed=seed, skip_bad=skip_bad)
        if split not in triplets:
            raise UserError(f"'{data}' has no split '{split}': choose one of {', '.join(triplets)} with --split")
        chosen = triplets[split]
    for spec in degradations:
        parse_degradation(spec)
    make_writable(output)
    if "degraded" in chosen.column_names:
        degradations = degradations[:1]
    results = []
    for spec in degradations:
        result, crops = evaluate(denoiser, chosen, spec, name=Path(data).name, split=split, seed=seed)
        results.append(result)
        label = re.sub(r"[^\w.]+", "-", result["degradation"])
        with written_beside(output / f"grid-{label}.png") as file:
            grid(crops).save(file, "PNG")
    for name, text in (("json", json.dumps({"results": results}, indent=2)), ("md", table(results))):
        with written_beside(output / f"evaluation.{name}") as file:
            file.write(f"{text}\n".encode())
    return results
