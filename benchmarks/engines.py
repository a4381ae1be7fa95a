"""Each engine and precision beside PyTorch in float32 on this CPU, and what auto takes."""

import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image
from tqdm import tqdm

from benchmarks.shared import machine
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import noisy_gradient
from hf_denoise import Denoiser
from hf_denoise.errors import UserError
from hf_denoise.inference.engines import Fastest, timed

WAYS = (
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
)
SIDE, ROUNDS, MEGAPIXELS = 512, 7, (1.0, 10.0, 100.0)
QUICK_SIDE, QUICK_ROUNDS, QUICK_MEGAPIXELS = 192, 1, (0.25,)
HOPELESS = 0.5  # times as fast as PyTorch in float32: nobody takes it, and its memory would take hours to measure


@dataclass
class Row:
    """One engine and precision: speed as a ratio, difference in 1 / 255, peak memory by size."""

    engine: str
    precision: str
    ratio: float
    lowest: float
    highest: float
    mpx_per_second: float
    difference_max: float
    difference_rms: float
    memory_mib: dict[str, float] = field(default_factory=dict)


def peak_above_idle(source: Path, target: Path, model: str | None, engine: str, precision: str) -> float:
    """Denoise one file in this process, which must be fresh; its peak memory above the idle process, MiB."""
    denoise = Denoiser.from_pretrained(model, engine=engine, precision=precision, device="cpu")
    denoise(noisy_gradient(0.04))  # starts the threads, converts the network
    idle = psutil.Process().memory_info().rss
    denoise.file(source, target)
    if denoise.engine != engine:
        raise UserError(f"{engine} failed on {source.name}")
    return (machine.peak_bytes() - idle) / machine.MIB


def memory_of(model: str | None, row: Row, megapixels: float) -> float:
    """Peak memory of a fresh process, MiB."""
    with tempfile.TemporaryDirectory(prefix="hf_denoise-engines-") as name:
        source, target = (Path(name) / f"{part}.tif" for part in ("noisy", "clean"))
        Image.fromarray(noisy_gradient(megapixels)).save(source)
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            return process.submit(peak_above_idle, source, target, model, row.engine, row.precision).result()


def denoisers(model: str | None) -> dict[tuple[str, str], Denoiser]:
    """By engine and precision; what is not to be had on this machine is said and left out."""
    found = {}
    for engine, precision in WAYS:
        try:
            found[engine, precision] = Denoiser.from_pretrained(model, engine=engine, precision=precision, device="cpu")
        except UserError as error:
            print(f"{engine}, {precision}: {error}", file=sys.stderr)
    return found


def measure(options: Options) -> list[Row]:
    """A row for each engine and precision."""
    side, count, sizes = (QUICK_SIDE, QUICK_ROUNDS, QUICK_MEGAPIXELS) if options.quick else (SIDE, ROUNDS, MEGAPIXELS)
    ways = denoisers(options.model)
    noisy = noisy_gradient(0.2).astype(np.float32) / 255
    expected = ways["torch", "float32"](noisy)
    rows = []
    engines = [way._engine for way in ways.values()]
    rounds = [timed(engines, side, 1) for _ in tqdm(range(count), desc="time", unit="round")]
    for index, ((engine, precision), denoise) in enumerate(ways.items()):
        difference = np.abs(denoise(noisy) - expected) * 255
        ratios = [times[0] / times[index] for times in rounds]
        speed = side**2 / 1e6 / min(times[index] for times in rounds)
        largest, rms = float(difference.max()), float(np.sqrt(np.mean(difference**2)))
        rows.append(Row(engine, precision, statistics.median(ratios), min(ratios), max(ratios), speed, largest, rms))
        if denoise.engine != engine:
            raise UserError(f"{engine} failed; see the line above")
    for row in rows:
        if row.ratio < HOPELESS:
            continue
        for megapixels in tqdm(sizes, desc=f"memory, {row.engine} {row.precision}", unit="image"):
            row.memory_mib[f"{megapixels:g}"] = memory_of(options.model, row, megapixels)
    return rows


def auto_pick(model: str | None) -> dict[str, Any]:
    """What auto takes once there is enough work, and the seconds that it measured."""
    denoise = Denoiser.from_pretrained(model, device="cpu")
    seconds = {}
    if isinstance(denoise._engine, Fastest):
        denoise._engine.decide()
        seconds = {" ".join(way): value for way, value in denoise._engine.seconds.items()}
    return {"engine": denoise.engine, "precision": denoise.precision, "seconds": seconds}


def text_of(about: dict[str, Any], name: str, rows: list[Row], pick: dict[str, Any]) -> list[str]:
    """The paragraphs of engines.md."""
    sizes = list(rows[0].memory_mib)
    seconds = ", ".join(f"{way} {value:.3f} s" for way, value in pick["seconds"].items())
    return [
        "# Engines and precisions",
        machine.sentence(about),
        f"The weights are {name}. Each ratio is the median over rounds in which all took turns on one square tile; "
        "above 1 is faster than PyTorch in float32. Mpx/s is that of the shortest time. The difference is that of the "
        "result to PyTorch's in float32 on a noisy picture of sigma 25, in 1 / 255. Memory is the peak of the process "
        "above its idle state while a TIFF of so many megapixels is denoised, the decoded picture and the result "
        "included.",
        machine.table(
            (
                *("engine", "precision", "ratio", "lowest to highest", "Mpx/s", "largest, RMS difference"),
                *(f"{size} Mpx, MiB" for size in sizes),
            ),
            [
                (
                    row.engine,
                    row.precision,
                    f"{row.ratio:.2f}",
                    f"{row.lowest:.2f} to {row.highest:.2f}",
                    f"{row.mpx_per_second:.2f}",
                    f"{row.difference_max:.2g}, {row.difference_rms:.2g}",
                    *(f"{row.memory_mib[size]:.0f}" if row.memory_mib else "" for size in sizes),
                )
                for row in rows
            ],
        ),
        f"`auto` takes {pick['engine']} in {pick['precision']} once there is enough work, by what it measured itself "
        f"on a smaller tile: {seconds or 'nothing, as OpenVINO is not installed'}.",
    ]


def run(options: Options) -> None:
    """Measure; write engines.json and engines.md.

    Raises:
        UserError: the model does not load, or an engine failed.
    """
    about = {**machine.describe(("torch", "openvino", "nncf")), "threads": torch.get_num_threads()}
    rows, pick = measure(options), auto_pick(options.model)
    results = {"machine": about, "model": options.model_name, "rows": [asdict(row) for row in rows], "auto": pick}
    machine.write(options.output, "engines", results, text_of(about, options.model_name, rows, pick))
