"""Peak memory and time of `Denoiser.file` over the size of the image."""

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from tqdm import tqdm

from benchmarks.shared import machine
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import noisy_gradient
from hf_denoise import Denoiser
from hf_denoise.errors import UserError

MEGAPIXELS = (1, 10, 100)


def measure(source: Path, target: Path, model: str | None) -> dict[str, Any]:
    """Denoise one file in this process, which must be fresh; memory in MiB, time in seconds."""
    denoiser = Denoiser.from_pretrained(model, device="cpu")
    loaded = psutil.Process().memory_info().rss
    denoiser(np.full((64, 64, 3), 128, np.uint8))  # starts the threads and loads the kernels
    idle = psutil.Process().memory_info().rss
    start = time.perf_counter()
    denoiser.file(source, target)
    seconds = time.perf_counter() - start
    peak = machine.peak_bytes()
    memory = {"loaded_mib": loaded, "idle_mib": idle, "peak_mib": peak, "above_idle_mib": peak - idle}
    return {
        "precision": denoiser.precision,
        "tile": denoiser.tile,
        "seconds": round(seconds, 3),
        **{name: round(value / machine.MIB, 1) for name, value in memory.items()},
    }


def measure_size(megapixels: float, model: str | None) -> dict[str, Any]:
    """A row: one TIFF of that size, denoised in a process of its own.

    Raises:
        UserError: the process was killed, for lack of memory as a rule.
    """
    with tempfile.TemporaryDirectory(prefix="hf_denoise-memory-") as name:
        source, target = (Path(name) / f"{part}.tif" for part in ("noisy", "clean"))
        pixels = noisy_gradient(megapixels)
        height, width = pixels.shape[:2]
        Image.fromarray(pixels).save(source)
        del pixels
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            try:
                row = process.submit(measure, source, target, model).result()
            except BrokenProcessPool as error:
                raise UserError(
                    f"the process that denoised {megapixels:g} megapixels was killed; the memory may be too small"
                ) from error
    return {"megapixels": width * height / 1e6, "width": width, "height": height, **row}


def run(options: Options) -> None:
    """Measure all sizes; write memory.md and memory.json."""
    about = machine.describe(("torch", "pillow", "tifffile"))
    sizes = (0.3,) if options.quick else MEGAPIXELS
    rows = [measure_size(size, options.model) for size in tqdm(sizes, desc="memory", unit="image")]
    paragraphs = [
        f"# Memory and time of `Denoiser.file`, {rows[0]['precision']}, tiles of {rows[0]['tile']} pixels",
        machine.sentence(about),
        "Idle is the process after the imports, with the weights loaded and a picture of 64 x 64 pixels denoised. "
        "The peak is that of resident memory over the whole life of the process, and includes the decoded picture "
        "and the result. Files are uncompressed TIFF, RGB of 8 bits; reading and writing them count.",
        machine.table(
            ("image", "weights loaded, MiB", "idle, MiB", "peak, MiB", "above idle, MiB", "time, s", "s per Mpx"),
            [
                (
                    f"{row['megapixels']:.3g} Mpx, {row['width']} x {row['height']}",
                    *(f"{row[key]:.0f}" for key in ("loaded_mib", "idle_mib", "peak_mib", "above_idle_mib")),
                    f"{row['seconds']:.1f}",
                    f"{row['seconds'] / row['megapixels']:.2f}",
                )
                for row in rows
            ],
        ),
    ]
    machine.write(options.output, "memory", {"machine": about, "model": options.model_name, "rows": rows}, paragraphs)
