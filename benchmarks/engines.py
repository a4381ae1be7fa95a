"""Each engine and precision beside PyTorch in float32 on this CPU: `python benchmarks/engines.py`.

python benchmarks/engines.py --models FOLDER ... --megapixels 1 10 100
"""

import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import machine
import numpy as np
import psutil
import torch
from memory import peak_bytes, picture
from PIL import Image
from tqdm import tqdm

from hf_denoise import Denoiser
from hf_denoise.cli.options import run
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable
from hf_denoise.inference.engines import Fastest, timed

WAYS = (
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
)


HOPELESS = 0.5  # times as fast as PyTorch in float32: nobody takes it, and its memory would take hours to measure


@dataclass(frozen=True)
class Engines:
    """Speed, difference and memory of the engines, and what auto picks; those that are not to be had are left out."""

    models: tuple[str, ...] = ("packaged",)
    """Folders of saved models; int8 is measured where `hf-denoise export int8` has put it beside the weights."""
    side: int = 640
    """Of the square tile that is timed, in pixels."""
    rounds: int = 5
    """Runs of each, in turn, after one that is not counted."""
    megapixels: tuple[float, ...] = (1, 10, 100)
    """Sizes of the images for the memory; none: it is not measured."""
    output: Path = Path("benchmarks/results")
    """Folder for engines.json and engines.md."""


def peak_above_idle(source: Path, target: Path, model: str, engine: str, precision: str) -> float:
    """Denoise one file in this process, which must be fresh; its peak memory above the idle process, MiB."""
    denoise = Denoiser.from_pretrained(model, engine=engine, precision=precision, device="cpu")
    denoise(picture(0.04))  # starts the threads, converts the network
    idle = psutil.Process().memory_info().rss
    denoise.file(source, target)
    if denoise.engine != engine:
        raise UserError(f"{engine} failed on {source.name}")
    return (peak_bytes() - idle) / 2**20


def memory_of(model: str, engine: str, precision: str, megapixels: float) -> float:
    with tempfile.TemporaryDirectory(prefix="hf_denoise-engines-") as name:
        source, target = (Path(name) / f"{part}.tif" for part in ("noisy", "clean"))
        Image.fromarray(picture(megapixels)).save(source)
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            return process.submit(peak_above_idle, source, target, model, engine, precision).result()


def denoisers(model: str) -> dict[tuple[str, str], Denoiser]:
    """By engine and precision; what is not to be had on this machine is said and left out."""
    found = {}
    for engine, precision in WAYS:
        try:
            found[engine, precision] = Denoiser.from_pretrained(model, engine=engine, precision=precision, device="cpu")
        except UserError as error:
            print(f"{engine}, {precision}: {error}", file=sys.stderr)
    return found


def measure(model: str, options: Engines) -> list[dict[str, Any]]:
    """A row for each engine and precision of one model."""
    ways = denoisers(model)
    noisy = picture(0.2).astype(np.float32) / 255
    expected = ways["torch", "float32"](noisy)
    rows = []
    engines = [way._engine for way in ways.values()]
    rounds = [timed(engines, options.side, 1) for _ in tqdm(range(options.rounds), desc="time", unit="round")]
    for index, ((engine, precision), denoise) in enumerate(ways.items()):
        difference = np.abs(denoise(noisy) - expected) * 255
        ratios = [times[0] / times[index] for times in rounds]
        rows.append(
            {
                "model": Path(model).name,
                "engine": engine,
                "precision": precision,
                "ratio": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
                "mpx_per_second": options.side**2 / 1e6 / min(times[index] for times in rounds),
                "difference_max": float(difference.max()),
                "difference_rms": float(np.sqrt(np.mean(difference**2))),
                "memory_mib": {},
            }
        )
        if denoise.engine != engine:
            raise UserError(f"{engine} failed; see the line above")
    for row in rows:
        if row["ratio"] < HOPELESS:
            continue
        for megapixels in tqdm(options.megapixels, desc=f"memory, {row['engine']} {row['precision']}", unit="image"):
            row["memory_mib"][f"{megapixels:g}"] = memory_of(model, row["engine"], row["precision"], megapixels)
    return rows


def auto_picks(model: str) -> dict[str, Any]:
    """What auto takes for this model once there is enough work, and the seconds that it measured."""
    denoise = Denoiser.from_pretrained(model, device="cpu")
    if isinstance(denoise._engine, Fastest):
        denoise._engine.decide()
        seconds = {" ".join(way): value for way, value in denoise._engine.seconds.items()}
    else:
        seconds = {}
    return {"model": Path(model).name, "engine": denoise.engine, "precision": denoise.precision, "seconds": seconds}


def text_of(about: dict[str, Any], options: Engines, rows: list[dict[str, Any]], picks: list[dict[str, Any]]) -> str:
    sizes = [f"{megapixels:g}" for megapixels in options.megapixels]
    lines = [
        f"- {pick['model']}: {pick['engine']}, {pick['precision']}"
        + (": " if pick["seconds"] else "; OpenVINO is not installed")
        + ", ".join(f"{way} {value:.3f} s" for way, value in pick["seconds"].items())
        for pick in picks
    ]
    return "\n\n".join(
        [
            "# Engines and precisions",
            machine.sentence(about),
            f"Each ratio is the median over {options.rounds} rounds, in which all took turns on one tile of "
            f"{options.side} x {options.side} pixels; above 1 is faster than PyTorch in float32. Mpx/s is that of the "
            "shortest time. The difference is that of the result to PyTorch's in float32 on a noisy picture of sigma "
            "25, in 1 / 255. Memory is the peak of the process above its idle state while a TIFF of so many megapixels "
            "is denoised, the decoded picture and the result included.",
            machine.table(
                (
                    *("model", "engine", "precision", "ratio", "lowest to highest", "Mpx/s"),
                    *("largest, RMS difference", *(f"{size} Mpx, MiB" for size in sizes)),
                ),
                [
                    (
                        row["model"],
                        row["engine"],
                        row["precision"],
                        f"{row['ratio']:.2f}",
                        f"{row['lowest']:.2f} to {row['highest']:.2f}",
                        f"{row['mpx_per_second']:.2f}",
                        f"{row['difference_max']:.2g}, {row['difference_rms']:.2g}",
                        *(f"{row['memory_mib'][size]:.0f}" if row["memory_mib"] else "" for size in sizes),
                    )
                    for row in rows
                ],
            ),
            "What `auto` takes once there is enough work, by what it measured itself on a smaller tile:",
            "\n".join(lines),
        ]
    )


def benchmark(options: Engines) -> None:
    """Measure all models; write engines.json and engines.md.

    Raises:
        UserError: a model does not load, an engine failed, or the output folder cannot be written.
    """
    make_writable(options.output)
    about = {**machine.describe(("torch", "openvino", "nncf")), "threads": torch.get_num_threads()}
    rows = [row for model in options.models for row in measure(model, options)]
    picks = [auto_picks(model) for model in options.models]
    results = {"machine": about, "rows": rows, "auto": picks}
    machine.write(options.output, "engines", results, text_of(about, options, rows, picks))


if __name__ == "__main__":
    sys.exit(run(Engines, benchmark, sys.argv[1:]))
