"""Images per second of `train.py` beside a bare PyTorch loop over tensors that are already in memory.

Both train the same network on batches of the same size in the same precision; the bare loop has one forward pass, one
mean squared error, one backward pass and one AdamW step, without averaged weights, clipping, masks, logs or data. They
take turns, so that other load on the machine hits both alike.
"""

import itertools
import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tqdm import tqdm

from benchmarks.shared import machine
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import write_cut_photographs
from hf_denoise.cpu import bfloat16_is_faster, keep_freed_memory
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.loop import train


@dataclass(frozen=True)
class Setting:
    """How much is run: `workers` are processes that prepare batches, the training has the other cores."""

    steps: int = 100
    turns: int = 4
    workers: tuple[int, ...] = (0, 1)
    degradations: tuple[str, ...] = ("gaussian:0-55", "camera:1-16")
    batch: int = 8


QUICK = Setting(steps=25, turns=1, workers=(0,), degradations=("gaussian:0-55",), batch=1)


def bare_loop(config: TrainConfig, device: torch.device, steps: int) -> float:
    """Images per second of the loop that nobody can beat."""
    torch.manual_seed(0)
    model = DenoisingUNet(**config.model_options()).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, fused=True)
    shape = 2, config.batch, 3, config.patch, config.patch
    batches = [tuple(torch.rand(shape, device=device)) for _ in range(8)]
    start = 0.0
    for step in range(steps + 10):
        if step == 10:
            synchronize(device)
            start = time.perf_counter()
        degraded, clean = batches[step % len(batches)]
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            output = model(degraded.contiguous(memory_format=torch.channels_last))
        F.mse_loss(output.float(), clean).backward()
        optimizer.step()
        optimizer.zero_grad()
    synchronize(device)
    return steps * config.batch / (time.perf_counter() - start)


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def whole_training(config: TrainConfig) -> tuple[float, float]:
    """Images per second of `train`, and its share of time spent waiting for data: medians of what it logs."""
    train(config)
    events = EventAccumulator(str(Path(config.output) / "hf_denoise"))
    events.Reload()
    # The first figures hold the start of the workers and the first use of every kernel.
    speed, waiting = (
        [event.value for event in events.Scalars(name)][2:] for name in ("images_per_second", "waiting_for_data")
    )
    return float(np.median(speed)), float(np.median(waiting))


def measure(setting: Setting, precision: str, folder: Path) -> list[dict[str, Any]]:
    """A row for each number of workers and each noise."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    write_cut_photographs(folder / "photos", side=224)
    rows: list[dict[str, Any]] = []
    cells = list(itertools.product(setting.workers, setting.degradations))
    bar = tqdm(total=len(cells) * setting.turns, desc="train_speed", unit="turn")
    for workers, degradation in cells:
        threads = max(torch.get_num_threads() if not workers else (os.cpu_count() or 1) - workers, 1)
        config = TrainConfig(
            data=str(folder / "photos"),
            output="",
            encoder="resnet18",
            encoder_pretrained=False,
            degradation=degradation,
            batch=setting.batch,
            workers=workers,
            max_steps=setting.steps + 20,
            eval_every=10**6,
            validation_images=1,
            precision="bf16" if precision == "bf16" else "no",
        )
        torch.set_num_threads(threads)
        figures = []
        for turn in range(setting.turns):
            output = str(folder / f"{len(rows)}-{turn}")
            loop = bare_loop(config, device, setting.steps)
            figures.append((loop, *whole_training(replace(config, output=output))))
            bar.update()
        loop, trained, waiting = np.median(figures, axis=0).tolist()
        row = {"noise": degradation, "threads": threads, "workers": workers, "bare_loop": loop, "train": trained}
        rows.append({**row, "ratio": float(np.median([b / a for a, b, _ in figures])), "waiting": waiting})
    bar.close()
    return rows


def run(options: Options) -> None:
    """Measure; write train_speed.md and train_speed.json."""
    setting = QUICK if options.quick else Setting()
    about = machine.describe(("torch", "timm", "accelerate"))
    keep_freed_memory()
    precision = "bf16" if torch.cuda.is_available() or bfloat16_is_faster() else "float32"
    with tempfile.TemporaryDirectory(prefix="hf_denoise-train_speed-") as folder:
        rows = measure(setting, precision, Path(folder))
    header = ("noise", "threads", "workers", "bare loop, images/s", "train.py, images/s", "ratio", "waiting for data")
    paragraphs = [
        "# Training speed beside a bare loop",
        machine.sentence(about),
        f"Batches of {setting.batch} patches of 96 x 96, {precision}, resnet18; medians of {setting.turns} turns of "
        f"{setting.steps} steps each.",
        machine.table(
            header,
            [
                (
                    row["noise"],
                    *(str(row[name]) for name in ("threads", "workers")),
                    *(f"{row[name]:.3g}" for name in ("bare_loop", "train")),
                    f"{row['ratio']:.2f}",
                    f"{row['waiting']:.1%}",
                )
                for row in rows
            ],
        ),
    ]
    machine.write(options.output, "train_speed", {"machine": about, "precision": precision, "rows": rows}, paragraphs)
