"""Memory of `--streaming` over 100 000 triplets: flat, whatever was read."""

import io
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import psutil
from PIL import Image
from tqdm import tqdm

from benchmarks.shared import machine
from benchmarks.shared.machine import MIB
from benchmarks.shared.options import Options
from hf_denoise.data.dataset_tables import open_stream
from hf_denoise.data.loader import SampleMaker
from hf_denoise.data.streaming import ShardStream
from hf_denoise.noise.degradations import parse_degradation

BATCH = 32
SIDE = 96  # pixels of a triplet
DIFFERENT = 200  # pictures, written in turns under names of their own
SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 1.0)  # of the triplets, after which memory is read


def png(pixels: np.ndarray) -> dict[str, Any]:
    """A picture as a cell of an Image column."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return {"bytes": buffer.getvalue(), "path": None}


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """A smooth picture with a scratch, and its mask."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    colour, slope = rng.uniform(40, 160, 3), rng.uniform(0, 80, (2, 3))
    clean = colour + rows[..., None] * slope[0] + columns[..., None] * slope[1]
    mask, row = np.zeros((SIDE, SIDE), np.uint8), int(rng.integers(0, SIDE - 2))
    clean[row : row + 2, 10:80], mask[row : row + 2, 10:80] = 250, 255
    return {"clean": png(clean.astype(np.uint8)), "mask": png(mask)}


def write_shards(folder: Path, triplets: int, shards: int) -> None:
    """Parquet files with clean images and masks."""
    rng = np.random.default_rng(0)
    pictures = [draw(rng) for _ in range(DIFFERENT)]
    image = datasets.Image()
    features = datasets.Features({"name": datasets.Value("string"), "clean": image, "mask": image})
    per_shard = triplets // shards
    for shard in tqdm(range(shards), "writing", unit="shard"):
        numbers = range(shard * per_shard, (shard + 1) * per_shard)
        cells = [{"name": str(number), **pictures[number % DIFFERENT]} for number in numbers]
        path = folder / f"train-{shard:05}-of-{shards:05}.parquet"
        datasets.Dataset.from_list(cells, features=features).to_parquet(path)


def stream(folder: Path, triplets: int) -> tuple[list[dict[str, Any]], float]:
    """Read all triplets as a training does: memory along the way, and samples a second."""
    process = psutil.Process()
    batches = ShardStream(
        open_stream(folder)["train"],
        SampleMaker(parse_degradation("gaussian:0-55"), patch=SIDE),
        batch=BATCH,
        workers=0,
        process=0,
        processes=1,
        seed=0,
        side=SIDE,
    )
    steps = triplets // BATCH
    marks = {max(round(steps * share), 1) for share in SHARES}
    rows, seen = [], set[str]()
    start = time.monotonic()
    for step, batch in enumerate(tqdm(islice(batches, steps), "streaming", steps, unit="batch"), start=1):
        seen.update(batch["name"])
        if step in marks:
            rows.append({"read": step * BATCH, "mib": process.memory_info().rss / MIB, "different": len(seen)})
    return rows, steps * BATCH / (time.monotonic() - start)


def run(options: Options) -> None:
    """Measure; write streaming_memory.md and streaming_memory.json."""
    triplets, shards = (1_600, 4) if options.quick else (100_000, 50)
    datasets.disable_progress_bars()
    about = machine.describe(("datasets", "pyarrow"))
    with tempfile.TemporaryDirectory(prefix="hf_denoise-streaming-") as name:
        folder = Path(name)
        write_shards(folder, triplets, shards)
        size = sum(file.stat().st_size for file in folder.glob("*.parquet")) / MIB
        rows, speed = stream(folder, triplets)
    peak = machine.peak_bytes() / MIB
    paragraphs = [
        "# Memory of streaming",
        machine.sentence(about),
        f"{triplets:,} triplets in {shards} Parquet files of together {size:.0f} MiB, read with `--streaming` without "
        f"workers: {speed:.0f} samples a second, at most {peak:.0f} MiB (with the writing of the data before).",
        machine.table(
            ("triplets read", "memory of the process, MiB", "different ones"),
            [(f"{row['read']:,}", f"{row['mib']:.0f}", f"{row['different']:,}") for row in rows],
        ),
    ]
    results = {"machine": about, "samples_per_second": speed, "peak_mib": peak, "rows": rows}
    machine.write(options.output, "streaming_memory", results, paragraphs)
