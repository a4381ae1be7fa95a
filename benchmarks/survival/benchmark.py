"""Survival curves of ours and of other denoisers, whether the probe is right, and what it costs."""

from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.shared import machine
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import middle, photographs, picture_files, read_photo
from benchmarks.survival.cost import cost_rows
from benchmarks.survival.methods import SLOW, methods
from benchmarks.survival.plot import curves_plot, scatter_plot
from benchmarks.survival.real_defects import RealDefect, judge, real_defects, rows
from hf_denoise import Denoiser
from hf_denoise.arrays import FloatImage
from hf_denoise.probing.places import grey
from hf_denoise.probing.pooling import pooled_report
from hf_denoise.probing.report import ProbeReport
from hf_denoise.probing.responses import contrast_ladder, measure_responses

SIGMAS = (10, 25, 50)
SIDE = 176  # pixels, of the middle of each picture
PIXELS, FEW_PIXELS = 900_000, 350_000  # that pass through each denoiser for one picture; BM3D takes a minute
SPLITS = ("test", "validation")  # of the tiles, for what real defects keep
KINDS = ("scratch 1 px", "scratch 2 px", "long scratch 2 px", "pit 4 px", "stain 14 px")


def run(options: Options) -> None:
    """Measure; write survival.md, survival.json, survival.png and survival_tiles.png."""
    about = machine.describe(("torch", "scikit-image", "bm3d", "statsmodels"))
    denoiser = Denoiser.from_pretrained(options.model, device="cpu")
    sigmas = SIGMAS[1:2] if options.quick else SIGMAS
    missing: list[str] = []
    curves = compare(denoiser, _pictures(options), sigmas, missing)
    curves_plot(curves, options.output / "survival.png")
    paragraphs = [
        "# Which small defects survive",
        machine.sentence(about),
        f"Weights: {options.model_name}. Faintest contrast in grey levels of which 80 % is kept, by sigma of the "
        "noise, over the middle of a photograph and two tiles, in grey; > is more than was tried, ≤ the least "
        "that was. The other methods are told sigma, ours is not.",
        *(_limits_table(curves, sigma) for sigma in sigmas),
        *dict.fromkeys(missing),
        "![Share kept of a scratch 2 px wide and 17 px long](survival.png)",
    ]
    results: dict[str, Any] = {"machine": about, "model": options.model_name, "limits": _limits(curves)}
    if options.tiles and not options.quick:
        defects = list(real_defects(denoiser, str(options.tiles), SPLITS, sigmas))
        scatter_plot(defects, options.output / "survival_tiles.png")
        results["real_defects"] = {"judged": _judged(defects), "defects": rows(defects)}
        paragraphs += ["## Is the probe right?", _judged_table(defects), "![Kept and expected](survival_tiles.png)"]
    costs = cost_rows(options.quick)
    results["cost"] = costs
    paragraphs += [
        "## Time and memory",
        machine.table(
            ("megapixels", "seconds", "MiB above idle"),
            [[f"{row['megapixels']:g}", f"{row['seconds']:.1f}", f"{row['mib']:.0f}"] for row in costs],
        ),
    ]
    machine.write(options.output, "survival", results, paragraphs)


def _pictures(options: Options) -> list[FloatImage]:
    found: list[FloatImage] = [grey(photo) for photo in photographs(options, 1, smallest=1 if options.quick else SIDE)]
    if options.tiles and not options.quick:
        files = picture_files(Path(options.tiles) / "images")
        found += [grey(read_photo(files[len(files) * place // 5])) for place in (1, 3)]
    return [middle(picture, SIDE) for picture in found]


def compare(
    denoiser: Denoiser, pictures: list[FloatImage], sigmas: tuple[int, ...], missing: list[str]
) -> dict[int, dict[str, ProbeReport]]:
    """Curves over all pictures by sigma and method, with the same noise, probes and contrasts for each method."""
    found: dict[int, dict[str, ProbeReport]] = {}
    for sigma in sigmas:
        found[sigma] = {}
        for name, method in tqdm(methods(denoiser, sigma, missing).items(), f"sigma {sigma}", unit="method"):
            responses = []
            for number, picture in enumerate(pictures):
                noise = np.random.default_rng(number).normal(0, sigma / 255, picture.shape).astype(np.float32)
                contrasts = contrast_ladder(sigma).tolist()
                pixels = FEW_PIXELS if name == SLOW else PIXELS
                responses.append(
                    measure_responses(picture + noise, method, contrasts=contrasts, pixels=pixels, seed=number)
                )
            found[sigma][name] = pooled_report(responses)
    return found


def _limits(curves: dict[int, dict[str, ProbeReport]]) -> dict[str, Any]:
    return {
        str(sigma): {name: report.as_dict()["kinds"] for name, report in methods.items()}
        for sigma, methods in curves.items()
    }


def _limits_table(curves: dict[int, dict[str, ProbeReport]], sigma: int) -> str:
    cells = [
        [name, *(str(report.curves[kind].limit()) if kind in report.curves else "" for kind in KINDS)]
        for name, report in curves[sigma].items()
    ]
    return machine.table((f"sigma {sigma}", *KINDS), cells)


def _judged(defects: list[RealDefect]) -> dict[str, Any]:
    found = {}
    for sigma in (*sorted({defect.sigma for defect in defects}), None):
        own = [defect for defect in defects if sigma is None or defect.sigma == sigma]
        found["all" if sigma is None else f"{sigma:g}"] = judge(own)
    return found


def _judged_table(defects: list[RealDefect]) -> str:
    header = (
        "sigma",
        "defects",
        "correlation",
        "expected - kept",
        "lost",
        "of these announced",
        "announced",
        "survived",
    )
    cells = []
    for sigma, judged in _judged(defects).items():
        counts = [judged[key] for key in ("lost", "lost_announced", "announced", "announced_survived")]
        row = [sigma, judged["defects"], judged["correlation"], judged["expected_minus_kept"], *counts]
        cells.append([str(cell) for cell in row])
    return machine.table(header, cells)
