"""Pictures of kinds that no training saw: where the weights are weak beside BM3D, and what the result looks like."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage import data
from tqdm import tqdm

from benchmarks.quality.benchmark import SAME
from benchmarks.quality.cases import Case
from benchmarks.quality.methods import Run
from benchmarks.shared import machine
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import QUICK_SIDE, Photo, middle, to_bytes
from hf_denoise import Denoiser
from hf_denoise.evaluation.peers import load_bm3d
from hf_denoise.metrics.quality import psnr

SIDE = 320  # pixels of each picture that are measured
SIGMAS = (10, 25)
CROP, ZOOM = 96, 2  # of each picture in the sheet


def shipped(picture: NDArray[np.generic]) -> Photo:
    """The middle of a picture of scikit-image, in colour."""
    pixels = np.asarray(picture, np.float32) / np.float32(255)
    return middle(np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels, SIDE)


def drawing() -> Photo:
    """Flat fills with dark outlines, as in anime, drawn four times as large and made smaller."""
    large = 4 * SIDE
    image = Image.new("RGB", (large, large), (238, 214, 190))
    pen = ImageDraw.Draw(image)
    rng = np.random.default_rng(1)
    for _ in range(40):
        x, y = rng.integers(0, large, 2)
        width, height = rng.integers(60, 400, 2)
        fill, kind = tuple(int(v) for v in rng.integers(30, 255, 3)), rng.integers(3)
        box = (int(x), int(y), int(x + width), int(y + height))
        if kind == 0:
            pen.ellipse(box, fill, (25, 20, 30), width=10)
        elif kind == 1:
            pen.polygon([(box[0], box[1]), (box[2], box[1]), (box[0], box[3])], fill, (25, 20, 30), width=10)
        else:
            pen.arc(box, 0, int(rng.integers(90, 360)), (25, 20, 30), width=6)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float32) / np.float32(255)


def sky() -> Photo:
    """A faint gradient in steps of one grey level, which a denoiser may smooth or turn into bands."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    levels = np.stack([90 + 20 * rows, 130 + 16 * rows + 6 * columns, 190 + 10 * columns], axis=2)
    return np.rint(levels).astype(np.float32) / 255


def zone_plate() -> Photo:
    """Rings that grow finer outwards, to two pixels each: what moire and woven cloth are made of."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    rings = 0.5 + 0.35 * np.cos(np.pi * (rows**2 + columns**2) / (2 * SIDE))
    return np.repeat(rings[..., None], 3, axis=2).astype(np.float32)


SUBJECTS: dict[str, Callable[[], Photo]] = {
    "photograph": lambda: shipped(data.astronaut()),
    "deep sky": lambda: shipped(data.hubble_deep_field()),
    "moon": lambda: shipped(data.moon()),
    "stained tissue": lambda: shipped(data.immunohistochemistry()),
    "cells": lambda: shipped(data.cell()),
    "retina": lambda: shipped(data.retina()),
    "printed page": lambda: shipped(data.page()),
    "handwriting": lambda: shipped(data.text()),
    "coins": lambda: shipped(data.coins()),
    "brick": lambda: shipped(data.brick()),
    "grass": lambda: shipped(data.grass()),
    "gravel": lambda: shipped(data.gravel()),
    "drawing with outlines": drawing,
    "faint gradient": sky,
    "zone plate": zone_plate,
}


def run(options: Options) -> None:
    """Measure each with and without noise; write subjects.md, subjects.json and subjects.webp."""
    about = machine.describe(("torch", "scikit-image", "bm3d"))
    denoiser, bm3d = Denoiser.from_pretrained(options.model), load_bm3d()
    names = list(SUBJECTS)[:2] if options.quick else list(SUBJECTS)
    rows, strips = [], []
    for number, name in enumerate(tqdm(names, desc="subjects", unit="picture")):
        clean = SUBJECTS[name]()
        clean = middle(clean, QUICK_SIDE) if options.quick else clean
        figures, strip = measured(clean, number, denoiser, bm3d)
        rows.append({"subject": name, **figures})
        strips.append(strip)
    rows.sort(key=lambda row: row[f"lead_{SIGMAS[-1]}"])
    Image.fromarray(np.concatenate(strips)).save(options.output / "subjects.webp", quality=80, method=6)
    results = {"machine": about, "model": options.model_name, "subjects": rows}
    header = ["subject", "without noise, to itself"]
    for sigma in SIGMAS:
        header += [f"sigma {sigma}: hf_denoise", "BM3D", "lead"]
    paragraphs = [
        "# Pictures of other kinds",
        machine.sentence(about),
        "None of them is in the training data: pictures that scikit-image ships, and three that are drawn. White "
        "Gaussian noise, which BM3D is told and hf_denoise is not; the same in all channels where the picture is grey. "
        f"PSNR in dB, the weakest beside BM3D first. {SAME:g} dB stand for no difference at all.",
        machine.table(header, [_cells(row) for row in rows]),
        f"![Crops with noise of {SIGMAS[-1]}, from hf_denoise, from BM3D, and clean](subjects.webp)",
        f"Twice enlarged, in the order {', '.join(names)}: noisy, hf_denoise, BM3D, clean.",
    ]
    machine.write(options.output, "subjects", results, paragraphs)


def measured(clean: Photo, index: int, denoiser: Denoiser, bm3d: Run) -> tuple[dict[str, float], NDArray[np.uint8]]:
    """PSNR of a picture under each noise, and crops side by side under the last."""
    figures = {"itself": min(psnr(np.asarray(denoiser(clean)), clean), SAME)}
    grey, shown = bool((clean == clean[..., :1]).all()), [clean]
    for sigma in SIGMAS:
        noisy, _ = Case("", f"gaussian:{sigma}", sigma, grey).pair(clean, index)
        ours, theirs = np.asarray(denoiser(noisy)), np.asarray(bm3d(noisy, float(sigma))).clip(0, 1)
        shown = [noisy, ours, theirs, clean]
        quality, other = psnr(ours, clean), psnr(theirs, clean)
        figures |= {f"ours_{sigma}": quality, f"bm3d_{sigma}": other, f"lead_{sigma}": quality - other}
    crops = [to_bytes(middle(image, CROP)) for image in shown]
    return figures, np.concatenate(crops, axis=1).repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)


def _cells(row: dict[str, float]) -> list[str]:
    cells = [str(row["subject"]), f"{row['itself']:.1f}"]
    for sigma in SIGMAS:
        cells += [f"{row[f'ours_{sigma}']:.2f}", f"{row[f'bm3d_{sigma}']:.2f}", f"{row[f'lead_{sigma}']:+.2f}"]
    return cells
