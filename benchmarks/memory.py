"""Peak memory and time of `Denoiser.file` over the size of the image: `python benchmarks/memory.py`."""

import math
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import machine
import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from hf_denoise.cli.options import run
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable

BLOCK = 256  # rows of a picture that are drawn at once


@dataclass(frozen=True)
class Memory:
    """Peak memory above the idle process, and time, of one image file after another, each in a process of its own."""

    megapixels: tuple[float, ...] = (1, 10, 100)
    """Sizes of the images."""
    format: Literal["tif", "png"] = "tif"
    """Of the input and the output; TIFF is uncompressed, so that the time is that of denoising."""
    model: str | None = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the network's arithmetic."""
    tile: int = 1024
    """Side of the tiles in pixels."""
    output: Path = Path("benchmarks/results")
    """Folder for memory.json and memory.md."""


def picture(megapixels: float, sigma: float = 25, seed: int = 0) -> NDArray[np.uint8]:
    """A noisy colour gradient, (H, W, 3), about 4 : 3; `sigma` on the 0..255 scale."""
    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    width = round(megapixels * 1e6 / height)
    pixels = np.empty((height, width, 3), np.uint8)
    rng = np.random.default_rng(seed)
    across = np.linspace((64, 128, 192), (192, 64, 128), width, dtype=np.float32)
    for top in range(0, height, BLOCK):
        block = pixels[top : top + BLOCK]
        noise = rng.standard_normal(block.shape, dtype=np.float32) * np.float32(sigma)
        block[:] = (across + noise).clip(0, 255).round()
    return pixels


def peak_bytes() -> int:
    """Largest resident memory this process has ever had."""
    # Linux hands the peak of the parent down in ru_maxrss, so the kernel's own figure comes first.
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(source: Path, target: Path, options: Memory) -> dict[str, Any]:
    """Denoise one file in this process, which must be fresh; memory in MiB, time in seconds."""
    from hf_denoise import Denoiser

    denoiser = Denoiser.from_pretrained(options.model, tile=options.tile, precision=options.precision, device="cpu")
    loaded = psutil.Process().memory_info().rss
    denoiser(np.full((64, 64, 3), 128, np.uint8))  # starts the threads and loads the kernels
    idle = psutil.Process().memory_info().rss
    start = time.perf_counter()
    denoiser.file(source, target)
    seconds = time.perf_counter() - start
    peak = peak_bytes()
    memory = {"loaded_mib": loaded, "idle_mib": idle, "peak_mib": peak, "above_idle_mib": peak - idle}
    return {
        "precision": denoiser.precision,
        "seconds": round(seconds, 3),
        **{name: round(value / 2**20, 1) for name, value in memory.items()},
    }


def benchmark(options: Memory) -> None:
    """Measure all sizes; write memory.json and memory.md.

    Raises:
        UserError: the output folder cannot be written, or a process was killed, for lack of memory as a rule.
    """
    make_writable(options.output)
    about = machine.describe(("torch", "pillow", "tifffile"))
    rows = []
    for megapixels in tqdm(options.megapixels, desc="memory", unit="image"):
        with tempfile.TemporaryDirectory(prefix="hf_denoise-memory-") as name:
            source, target = (Path(name) / f"{part}.{options.format}" for part in ("noisy", "clean"))
            pixels = picture(megapixels)
            size = pixels.shape[1::-1]
            Image.fromarray(pixels).save(source)
            del pixels
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                try:
                    row = process.submit(measure, source, target, options).result()
                except BrokenProcessPool as error:
                    raise UserError(
                        f"the process that denoised {megapixels:g} megapixels was killed; the memory may be too small"
                    ) from error
        rows.append({"megapixels": size[0] * size[1] / 1e6, "width": size[0], "height": size[1], **row})
    precision = rows[0]["precision"]
    text = "\n\n".join(
        [
            f"# Memory and time of `Denoiser.file`, {precision}, tiles of {options.tile} pixels",
            machine.sentence(about),
            "Idle is the process after the imports, with the weights loaded and a picture of 64 x 64 pixels denoised. "
            "The peak is that of resident memory over the whole life of the process, and includes the decoded picture "
            f"and the result. Files are {'uncompressed TIFF' if options.format == 'tif' else 'PNG'}, RGB of 8 bits; "
            "reading and writing them count.",
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
    )
    model = Path(options.model).name if options.model else "packaged"  # names, not paths of one machine
    settings = {**asdict(options), "model": model}
    del settings["output"]
    machine.write(options.output, "memory", {"machine": about, "options": settings, "rows": rows}, text)


if __name__ == "__main__":
    sys.exit(run(Memory, benchmark, sys.argv[1:]))
