"""What lambda, the weight of defects in the loss, does to their survival: fine-tuned three times, then probed."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.shared import machine
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import write_cut_photographs
from hf_denoise import Denoiser, load_triplets
from hf_denoise.arrays import FloatImage
from hf_denoise.errors import UserError
from hf_denoise.metrics.quality import psnr
from hf_denoise.probing.pictures import draw_curves
from hf_denoise.probing.places import grey
from hf_denoise.probing.pooling import pooled_report
from hf_denoise.probing.report import REFERENCE, ProbeReport
from hf_denoise.probing.responses import contrast_ladder, measure_responses

LAMBDAS = (1, 5, 20)
SIGMA = 25
STEPS, IMAGES = 400, 6
BEFORE = "packaged"
KINDS = (REFERENCE, "long scratch 2 px", "pit 4 px", "stain 14 px")


def run(options: Options) -> None:
    """Fine-tune with each lambda and measure on the test split; write defect_weight.md, .json and .png."""
    about = machine.describe(("torch", "timm"))
    steps = 4 if options.quick else STEPS
    found: dict[str, tuple[ProbeReport, float]] = {}
    with tempfile.TemporaryDirectory(prefix="hf_denoise-lambda-") as name:
        folder, data = Path(name), options.tiles
        if options.quick or data is None:
            write_cut_photographs(folder / "photos", 128)
            data = folder / "photos"
        pictures = _clean_pictures(data, 2 if options.quick else IMAGES)
        models: dict[str, str | None] = {BEFORE: options.model}
        for weight in tqdm(LAMBDAS, "fine-tune", unit="lambda"):
            models[f"lambda {weight}"] = _fine_tune(folder / f"lambda{weight}", data, weight, steps, options.model)
        for title, model in tqdm(models.items(), "probe", unit="model"):
            found[title] = _measure(Denoiser.from_pretrained(model, device="cpu"), pictures)
    _plot(found, options.output / "defect_weight.png")
    cells = [
        [
            title,
            f"{quality:.2f}",
            *(str(report.curves[kind].limit()) if kind in report.curves else "" for kind in KINDS),
        ]
        for title, (report, quality) in found.items()
    ]
    paragraphs = [
        "# Lambda: the weight of defects in the loss",
        machine.sentence(about),
        f"From the weights {options.model_name}, {steps} steps of squared error on the training split of {data.name} "
        f"at sigma {SIGMA}, then the test split: PSNR in dB, and the faintest contrast in grey levels of which 80 % is "
        "kept.",
        machine.table(("", "PSNR", *KINDS), cells),
        f"![Share kept of a {REFERENCE}](defect_weight.png)",
    ]
    results: dict[str, Any] = {
        "machine": about,
        "steps": steps,
        "models": {title: {"psnr": quality, **report.as_dict()} for title, (report, quality) in found.items()},
    }
    machine.write(options.output, "defect_weight", results, paragraphs)


def _fine_tune(output: Path, data: Path, weight: float, steps: int, model: str | None) -> str:
    words = (
        f"--defect-weight {weight} --l1-share 0 --degradation gaussian:{SIGMA} --max-steps {steps} --warmup-steps 20 "
    )
    words += (
        f"--schedule cosine --learning-rate 0.0005 --batch 8 --eval-every {steps} --validation-images 4 --workers 0"
    )
    command = [sys.executable, str(machine.ROOT / "train.py"), "--data", str(data), "--output", str(output)]
    command += ["--init-from", model or "packaged", *words.split()]
    done = subprocess.run(command, env=machine.child_environment(), stderr=subprocess.PIPE, check=False)
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise UserError(f"train.py failed: {last}")
    return str(output / "last")


def _clean_pictures(data: Path, count: int) -> list[FloatImage]:
    split = load_triplets(str(data))["test"]
    chosen = range(0, len(split), max(len(split) // count, 1))
    return [grey(np.asarray(split[index]["clean"].convert("L"))) for index in list(chosen)[:count]]


def _measure(denoiser: Denoiser, pictures: list[FloatImage]) -> tuple[ProbeReport, float]:
    """The report over all pictures, and their mean PSNR."""
    responses, quality = [], []
    for number, clean in enumerate(pictures):
        noise = np.random.default_rng(number).normal(0, SIGMA / 255, clean.shape).astype(np.float32)
        quality.append(psnr(denoiser(clean + noise), clean))
        ladder = contrast_ladder(SIGMA).tolist()
        responses.append(measure_responses(clean + noise, denoiser, contrasts=ladder, pixels=1_000_000, seed=number))
    return pooled_report(responses), float(np.mean(quality))


def _plot(found: dict[str, tuple[ProbeReport, float]], path: Path) -> None:
    figure = Figure(figsize=(5.2, 3.8), dpi=110, layout="constrained")
    axes = figure.subplots()
    curves = {title: report.curves[REFERENCE] for title, (report, _) in found.items() if REFERENCE in report.curves}
    draw_curves(axes, curves, bands=False)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, facecolor="white")
