"""Memory of `--streaming` over 100 000 triplets: flat, whatever was read.

python benchmarks/streaming_memory.py
"""

import io
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import datasets
import numpy as np
import psutil
from machine import describe, sentence, table
from PIL import Image
from tqdm import tqdm

from hf_denoise.cli.options import run
from hf_denoise.data.loader import SampleMaker
from hf_denoise.data.streaming import ShardStream
from hf_denoise.data.triplets import open_stream
from hf_denoise.noise.degradations import parse_degradation


@dataclass
class StreamingMemory:
    """Measure the memory of streaming."""

    triplets: int = 100_000
    """Of 96 x 96 pixels, clean and mask as PNG."""
    shards: int = 50
    """Parquet files."""
    batch: int = 32
    """Samples per batch."""
    output: Path = Path("benchmarks/results/streaming_memory.md")
    """Table to write."""


def png(pixels: np.ndarray) -> dict:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return {"bytes": buffer.getvalue(), "path": None}


def write(folder: Path, options: StreamingMemory) -> None:
    """Smooth pictures with a scratch and its mask; a few hundred of them in turns, named apart."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:96, :96] / 96
    pictures = []
    for _ in range(200):
        colour, slope = rng.uniform(40, 160, 3), rng.uniform(0, 80, (2, 3))
        clean = colour + rows[..., None] * slope[0] + columns[..., None] * slope[1]
        mask, row = np.zeros((96, 96), np.uint8), int(rng.integers(0, 94))
        clean[row : row + 2, 10:80], mask[row : row + 2, 10:80] = 250, 255
        pictures.append((png(clean.astype(np.uint8)), png(mask)))
    image = datasets.Image()
    features = datasets.Features({"name": datasets.Value("string"), "clean": image, "mask": image})
    per_shard = options.triplets // options.shards
    for shard in tqdm(range(options.shards), "writing", unit="shard"):
        numbers = range(shard * per_shard, (shard + 1) * per_shard)
        cells = [{"name": str(n), "clean": pictures[n % 200][0], "mask": pictures[n % 200][1]} for n in numbers]
        path = folder / f"train-{shard:05}-of-{options.shards:05}.parquet"
        datasets.Dataset.from_list(cells, features=features).to_parquet(path)


def main(options: StreamingMemory) -> None:
    datasets.disable_progress_bars()
    process = psutil.Process()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, options)
        size = sum(file.stat().st_size for file in folder.glob("*.parquet")) / 2**20
        stream = ShardStream(
            open_stream(folder)["train"],
            SampleMaker(parse_degradation("gaussian:0-55"), patch=96),
            batch=options.batch,
            workers=0,
            process=0,
            processes=1,
            seed=0,
            side=96,
        )
        steps = options.triplets // options.batch
        marks = {round(steps * share): share for share in (0.01, 0.1, 0.25, 0.5, 0.75, 1.0)}
        seen: set[str] = set()
        began = time.monotonic()
        for step, batch in enumerate(tqdm(islice(stream, steps), "streaming", steps, unit="batch"), start=1):
            seen.update(batch["name"])
            if step in marks:
                memory = process.memory_info().rss / 2**20
                rows.append([f"{step * options.batch:,}", f"{memory:.0f}", f"{len(seen):,}"])
        speed = steps * options.batch / (time.monotonic() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    text = "\n".join(
        [
            "# Memory of streaming",
            "",
            sentence(describe(["datasets", "pyarrow"])),
            "",
            f"{options.triplets:,} triplets in {options.shards} Parquet files of together {size:.0f} MiB, read with "
            f"`--streaming` without workers: {speed:.0f} samples a second, at most {peak:.0f} MiB (with the writing of "
            "the data before). Made by `python benchmarks/streaming_memory.py`.",
            "",
            table(["triplets read", "memory of the process, MiB", "different ones"], rows),
        ]
    )
    options.output.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    sys.exit(run(StreamingMemory, main, sys.argv[1:]))
