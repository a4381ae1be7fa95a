"""PSNR, SSIM and speed over kinds of noise, beside other denoisers."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.quality import tables
from benchmarks.quality.cases import GAUSSIAN, REAL, SEED, Series, series
from benchmarks.quality.methods import ALONE, OURS, Method, estimated_sigma, other_methods, our_methods
from benchmarks.quality.plot import draw
from benchmarks.shared import machine
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import photographs
from hf_denoise.metrics.quality import psnr, ssim

NOISY = "noisy input"
PACKAGES = ("torch", "timm", "numpy", "scikit-image", "bm3d")
IMAGES, SLOW_IMAGES = 12, 6
SAME = 90.0  # dB that stand for a picture that came back as it was


@dataclass(frozen=True)
class Record:
    """One picture denoised by one method; `seconds` is 0 for the noisy input."""

    method: str
    case: str
    image: int
    psnr: float
    ssim: float
    seconds: float = 0.0
    megapixels: float = 0.0


def measure(chosen: Sequence[Series], methods: Sequence[Method], slow_images: int) -> list[Record]:
    """Denoise every picture under every noise with every method, in turn, so that other load hits all alike."""
    crop = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    for method in methods:
        method.run(crop, 25.0)  # threads are started and libraries loaded before the clock runs
    records = []
    with tqdm(total=sum(case.count for case in chosen), desc="quality", unit="picture") as bar:
        for case in chosen:
            bar.set_postfix_str(case.name)
            for index in range(case.count):
                noisy, clean = case.pair(index)
                sigma = case.sigma or estimated_sigma(noisy)
                records.append(scored(NOISY, case.name, index, noisy, clean))
                for method in methods:
                    if method.slow and index >= slow_images:
                        continue
                    start = time.perf_counter()
                    denoised = np.asarray(method.run(noisy, sigma))
                    seconds = time.perf_counter() - start
                    records.append(scored(method.name, case.name, index, denoised.clip(0, 1), clean, seconds))
                bar.update()
    return records


def scored(method: str, case: str, index: int, image: Any, clean: Any, seconds: float = 0.0) -> Record:
    quality = min(psnr(image, clean), SAME), ssim(image, clean)
    return Record(method, case, index, *quality, seconds, clean.shape[0] * clean.shape[1] / 1e6)


def summarise(records: Sequence[Record]) -> list[dict[str, Any]]:
    """A row per kind of noise and method: means over its pictures, and the lead of ours on these very pictures."""
    ours = {(record.case, record.image): record for record in records if record.method == OURS}
    inputs = {(record.case, record.image): record for record in records if record.method == NOISY}
    rows = []
    for case, method in dict.fromkeys((record.case, record.method) for record in records):
        own = [record for record in records if (record.case, record.method) == (case, method)]
        gains = [record.psnr - inputs[case, record.image].psnr for record in own]
        rows.append(
            {
                "case": case,
                "method": method,
                "images": len(own),
                "psnr": statistics.fmean(record.psnr for record in own),
                "ssim": statistics.fmean(record.ssim for record in own),
                "lowest_psnr": min(record.psnr for record in own),
                "ours_minus_it_db": statistics.fmean(ours[case, record.image].psnr - record.psnr for record in own),
                "worst_gain_db": min(gains),
                "worse_than_input": sum(gain < -0.01 for gain in gains),
            }
        )
    return rows


def speeds(records: Sequence[Record], methods: Sequence[Method]) -> list[dict[str, Any]]:
    """A row per method: Mpx/s, and the median over pictures of its time relative to ours on the same one."""
    ours = {(record.case, record.image): record for record in records if record.method == OURS}
    rows = []
    for method in methods:
        own = [record for record in records if record.method == method.name]
        rows.append(
            {
                "method": method.name,
                "mpx_per_s": 1 / statistics.median(record.seconds / record.megapixels for record in own),
                "time_to_ours": statistics.median(r.seconds / ours[r.case, r.image].seconds for r in own),
            }
        )
    return rows


def points(records: Sequence[Record], speed_rows: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Mpx/s, and the mean PSNR at sigma 25 over the pictures that all methods have done; without the network alone."""
    at = [record for record in records if record.case == GAUSSIAN]
    shown = {row["method"]: row["mpx_per_s"] for row in speed_rows if row["method"] != ALONE}
    common = set.intersection(*({record.image for record in at if record.method == name} for name in shown))
    return {
        name: (speed, statistics.fmean(r.psnr for r in at if r.method == name and r.image in common))
        for name, speed in shown.items()
    }


def run(options: Options) -> None:
    """Measure; write quality.md, quality.json and quality_speed.png."""
    photos = photographs(options, IMAGES)
    count = 2 if options.quick else options.images or len(photos)
    chosen = series(photos, options.pairs, count, options.quick)
    missing = [] if chosen[-1].name == REAL else ["Real pairs are left out; give them with --pairs."]
    about = {**machine.describe(PACKAGES), "threads": torch.get_num_threads()}
    ours, precision = our_methods(options.model)
    methods = [*ours, *other_methods(missing)]
    records = measure(chosen, methods, 1 if options.quick else SLOW_IMAGES)
    rows, speed_rows = summarise(records), speeds(records, methods)
    draw(points(records, speed_rows), 25, options.output / "quality_speed.png")
    data = options.photos.name if options.photos else "scikit-image"
    results = {
        "machine": about,
        "model": options.model_name,
        "precision": precision,
        "photos": data,
        "seed": SEED,
        "left_out": missing,
        "quality": rows,
        "speed": speed_rows,
    }
    machine.write(options.output, "quality", results, tables.paragraphs(results, [NOISY, *(m.name for m in methods)]))
