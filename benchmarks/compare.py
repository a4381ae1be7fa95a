"""Quality and speed beside other denoisers on the same noisy images: `python benchmarks/compare.py --data FOLDER`."""

import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import networks
import numpy as np
import peers
import report
import torch
from picture import draw
from tqdm import tqdm

from hf_denoise import Denoiser
from hf_denoise.cpu import keep_freed_memory
from hf_denoise.decoded import Decoded
from hf_denoise.degradations import parse_degradation
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable
from hf_denoise.loader import SampleMaker, TripletDataset
from hf_denoise.metrics import psnr, ssim
from hf_denoise.options import run
from hf_denoise.triplets import load_triplets

NOISY = "noisy input"
GLOBAL = "global gates"
PACKAGES = ("torch", "timm", "numpy", "scikit-image", "opencv-python-headless", "bm3d", "segmentation-models-pytorch")


@dataclass(frozen=True)
class Compare:
    """Compare hf_denoise with other denoisers on a CPU; write results.json, results.md and quality_speed.png."""

    data: str
    """Clean images: a folder, or anything else that `hf-denoise evaluate --split all` takes."""
    model: str | None = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    output: Path = Path("benchmarks/results")
    """Folder for the results."""
    images: int = 12
    """Images to measure, the first ones of the data."""
    bm3d_images: int = 6
    """Images for BM3D, the first ones of those, since it is slow; 0 leaves it out."""
    sigma: tuple[float, ...] = (15, 25, 50)
    """Standard deviations of the noise, on the 0..255 scale."""
    rounds: int = 9
    """Timed forward passes of each network for each setting."""
    sides: tuple[int, ...] = (512, 1024)
    """Sides in pixels of the square tiles on which networks are timed; multiples of 32."""
    seed: int = 0
    """Seed of the noise; that of `hf-denoise evaluate`, so that the noise is the same."""


@dataclass(frozen=True)
class Record:
    """One image denoised by one method; `seconds` is nan for the noisy input."""

    method: str
    image: int
    sigma: float
    psnr: float
    ssim: float
    seconds: float
    megapixels: float


def our_methods(model: str | None) -> tuple[list[peers.Method], str]:
    """Ours in float32, at the precision "auto", with its self-ensemble, and with global gates; the name of "auto"."""
    denoisers = {
        "hf_denoise, float32": Denoiser.from_pretrained(model, engine="torch", precision="float32", device="cpu")
    }
    auto = Denoiser.from_pretrained(model, engine="torch", device="cpu")
    ours = f"hf_denoise, {auto.precision}"
    denoisers[ours] = auto
    denoisers["hf_denoise, self-ensemble"] = Denoiser.from_pretrained(
        model, engine="torch", device="cpu", self_ensemble=True
    )
    denoisers[GLOBAL] = Denoiser(networks.load(model, gate_window=0), engine="torch", device="cpu")
    methods = [
        peers.Method(name, lambda noisy, sigma, denoise=denoiser: denoise(noisy), told_sigma=False)  # type: ignore[misc]
        for name, denoiser in denoisers.items()
    ]
    return methods, ours


def measure(options: Compare, triplets: Any, methods: Sequence[peers.Method]) -> list[Record]:
    """Denoise every image at every sigma with every method, in turn, so that load on the machine hits all alike."""
    crop = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    for method in methods:
        method.run(crop, 25.0)  # threads are started and libraries loaded before the clock runs
    slow = sum(method.slow for method in methods)
    total = len(options.sigma) * (len(triplets) * (len(methods) - slow) + options.bm3d_images * slow)
    records = []
    with tqdm(total=total, desc="images", unit="run") as bar:
        for sigma in options.sigma:
            samples = TripletDataset(
                Decoded(triplets), SampleMaker(parse_degradation(f"gaussian:{sigma:g}")), options.seed
            )
            for index in range(len(samples)):
                sample = samples[index]
                noisy, clean = (sample[key].permute(1, 2, 0).numpy() for key in ("degraded", "clean"))
                megapixels = noisy.shape[0] * noisy.shape[1] / 1e6
                records.append(
                    Record(NOISY, index, sigma, psnr(noisy, clean), ssim(noisy, clean), math.nan, megapixels)
                )
                for method in methods:
                    if method.slow and index >= options.bm3d_images:
                        continue
                    bar.set_postfix_str(method.name)
                    start = time.perf_counter()
                    denoised = method.run(noisy, sigma)
                    seconds = time.perf_counter() - start
                    denoised = np.asarray(denoised).clip(0, 1)
                    records.append(
                        Record(
                            method.name, index, sigma, psnr(denoised, clean), ssim(denoised, clean), seconds, megapixels
                        )
                    )
                    bar.update()
    return records


def summarise(records: Sequence[Record], names: Sequence[str], ours: str) -> list[dict[str, Any]]:
    """A row per method: means over its images for each sigma, the lead of ours on these very images, and speed.

    `time_to_ours` is the median over images and sigmas of the ratio of times on the same noisy image.
    """
    reference = {(record.image, record.sigma): record for record in records if record.method == ours}
    rows = []
    for name in names:
        own = [record for record in records if record.method == name]
        row: dict[str, Any] = {"method": name, "images": len({record.image for record in own}), "quality": []}
        for sigma in sorted({record.sigma for record in own}):
            at = [record for record in own if record.sigma == sigma]
            pairs = [(reference[record.image, record.sigma], record) for record in at]
            row["quality"].append(
                {
                    "sigma": sigma,
                    "psnr": statistics.fmean(record.psnr for record in at),
                    "ssim": statistics.fmean(record.ssim for record in at),
                    "ours_minus_it_db": statistics.fmean(mine.psnr - other.psnr for mine, other in pairs),
                    "ours_minus_it_ssim": statistics.fmean(mine.ssim - other.ssim for mine, other in pairs),
                }
            )
        if name != NOISY:
            row["mpx_per_s"] = 1 / statistics.median(record.seconds / record.megapixels for record in own)
            row["time_to_ours"] = statistics.median(
                record.seconds / reference[record.image, record.sigma].seconds for record in own
            )
        rows.append(row)
    return rows


def points(
    records: Sequence[Record], rows: Sequence[dict[str, Any]], sigma: float
) -> tuple[dict[str, tuple[float, float]], int]:
    """Mpx/s and mean PSNR at `sigma` of every method, over the images that all of them have done; and how many."""
    speeds = {row["method"]: row["mpx_per_s"] for row in rows if "mpx_per_s" in row}
    common = set.intersection(*({r.image for r in records if r.method == name} for name in speeds))
    places = {}
    for name, speed in speeds.items():
        own = [r.psnr for r in records if r.method == name and r.sigma == sigma and r.image in common]
        places[name] = (speed, statistics.fmean(own))
    return places, len(common)


def check(options: Compare) -> None:
    """Refuse options that would fail after minutes of work."""
    if options.images < 1 or options.rounds < 1 or options.bm3d_images < 0:
        raise UserError("--images and --rounds must be at least 1, and --bm3d-images at least 0")
    if not options.sigma or not all(0 < sigma <= 255 for sigma in options.sigma):
        raise UserError("--sigma must lie above 0 and up to 255")
    if not options.sides or any(side < 32 or side % 32 for side in options.sides):
        raise UserError("--sides must be multiples of 32, which all the networks take")


def compare(options: Compare) -> None:
    """Measure and write everything.

    Raises:
        UserError: an option out of its range, data that cannot be used, or an output folder that cannot be written.
    """
    check(options)
    make_writable(options.output)
    splits = load_triplets(options.data, splits=(0.0, 0.0, 1.0))
    if "test" not in splits:
        raise UserError(f"'{options.data}' has splits of its own and no test split; give a folder of clean images")
    test = splits["test"]
    triplets = test.select_columns(["name", "clean"]).select(range(min(options.images, len(test))))
    options = Compare(**{**vars(options), "bm3d_images": min(options.bm3d_images, len(triplets))})

    missing: list[str] = []
    if not keep_freed_memory():  # for the whole process: networks that are not ours get it too
        missing.append("The allocator setting needs glibc, which is not here: its step below gives nothing.")
    about = {**machine.describe(PACKAGES), "threads": torch.get_num_threads()}
    ours_methods, ours = our_methods(options.model)
    others = [method for method in peers.methods(missing) if options.bm3d_images or not method.slow]
    methods = [*ours_methods, *others]
    records = measure(options, triplets, methods)
    names = [method.name for method in methods if method.name != GLOBAL]
    rows = summarise(records, [NOISY, *names], ours)
    (gate_row,) = summarise(records, [GLOBAL], ours)
    ours_row = next(row for row in rows if row["method"] == ours)

    bfloat16 = "bfloat16" in ours
    if not bfloat16:
        missing.append("bfloat16 is left out: this processor has no instructions for it, so Denoiser does not use it.")
    precisions = ("float32", "bfloat16") if bfloat16 else ("float32",)
    network_rows = networks.compare_networks(options.model, precisions, options.sides, options.rounds, missing)
    step_rows = networks.compare_steps(options.model, bfloat16, options.sides, options.rounds)

    sigma = min(options.sigma, key=lambda value: abs(value - 25))
    places, common = points(records, rows, sigma)
    try:
        draw(places, sigma, options.output / "quality_speed.png")
    except ImportError:
        missing.append("The picture is left out, as matplotlib is not installed: pip install matplotlib")
    for line in missing:
        print(line, file=sys.stderr)

    data = Path(options.data).name  # names, not paths of one machine
    model = Path(options.model).name if options.model else "packaged"
    told = [method.name for method in methods if method.told_sigma]
    text = "\n\n".join(
        [
            "# Comparison with other denoisers",
            machine.sentence(about),
            f"Weights: {model}. Data: the first {len(triplets)} images of {data}; seed {options.seed}. "
            "Numbers of one run compare with each other; those of two runs or machines do not.",
            *missing,
            *report.quality_tables(rows, told, ours, NOISY),
            *report.network_tables(network_rows, step_rows),
            *report.gate_tables(gate_row, ours_row, network_rows),
        ]
    )
    settings = {**vars(options), "data": data, "model": model, "images": len(triplets)}
    del settings["output"]
    results = {
        "machine": about,
        "options": settings,
        "left_out": missing,
        "ours": ours,
        "told_sigma": told,
        "methods": rows,
        "picture": {"sigma": sigma, "images": common, "mpx_per_s_and_psnr": places},
        "global_gates": gate_row,
        "networks": network_rows,
        "steps": step_rows,
    }
    machine.write(options.output, "results", results, text)


if __name__ == "__main__":
    sys.exit(run(Compare, compare, sys.argv[1:]))
