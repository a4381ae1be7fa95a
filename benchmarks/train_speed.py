"""Images per second of `train.py` against a bare PyTorch loop over tensors already in memory.

    python benchmarks/train_speed.py --data TRIPLETS

Both train the same network on batches of the same size in the same precision; the bare loop has one forward pass, one
mean squared error, one backward pass and one AdamW step, without averaged weights, clipping, masks, logs or data. They
take turns, so that other load on the machine hits both alike.
"""

import itertools
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from machine import describe, sentence, table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hf_denoise.cli.options import run
from hf_denoise.cpu import keep_freed_memory
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.loop import train


@dataclass
class TrainSpeed:
    """Compare the speed of train.py with that of a bare loop."""

    data: str
    """Triplets to train on."""
    batch: int = 8
    """Patches of 96 pixels per step."""
    workers: tuple[int, ...] = (0, 1)
    """Processes that prepare batches; each has a core to itself, the training has the others."""
    steps: int = 100
    """Steps of each, per turn."""
    turns: int = 4
    """Turns of each."""
    encoder: str = "resnet18"
    """Of the network."""
    degradation: tuple[str, ...] = ("gaussian:0-55", "camera:1-16")
    """Noise that is made while training."""
    output: Path = Path("benchmarks/results/train_speed.md")
    """Table to write."""


def bare(config: TrainConfig, device: torch.device, steps: int) -> float:
    """Images per second of the loop that nobody can beat."""
    torch.manual_seed(0)
    model = DenoisingUNet(**config.model_options()).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, fused=True)
    shape = 2, config.batch, 3, config.patch, config.patch
    batches = [tuple(torch.rand(shape, device=device)) for _ in range(8)]
    for step in range(steps + 10):
        if step == 10:
            synchronize(device)
            start = time.perf_counter()
        degraded, clean = batches[step % len(batches)]
        with torch.autocast(device.type, torch.bfloat16):
            output = model(degraded.contiguous(memory_format=torch.channels_last))
        F.mse_loss(output.float(), clean).backward()
        optimizer.step()
        optimizer.zero_grad()
    synchronize(device)
    return steps * config.batch / (time.perf_counter() - start)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def ours(config: TrainConfig) -> tuple[float, float]:
    """Images per second of `train`, and its share of time spent waiting for data: medians of what it logs."""
    train(config)
    events = EventAccumulator(str(next(Path(config.output).rglob("events.out.tfevents.*")).parent))
    events.Reload()
    # The first figures hold the start of the workers and the first use of every kernel.
    speed, waiting = (
        [event.value for event in events.Scalars(name)][2:] for name in ("images_per_second", "waiting_for_data")
    )
    return float(np.median(speed)), float(np.median(waiting))


def main(options: TrainSpeed) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    machine = describe(["torch", "timm", "accelerate"])
    keep_freed_memory()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for workers, degradation in itertools.product(options.workers, options.degradation):
            threads = max(torch.get_num_threads() if not workers else (os.cpu_count() or 1) - workers, 1)
            config = TrainConfig(
                data=options.data,
                output="",
                encoder=options.encoder,
                encoder_pretrained=False,
                degradation=degradation,
                batch=options.batch,
                workers=workers,
                max_steps=options.steps + 20,
                eval_every=10**6,
                validation_images=1,
                precision="bf16",
            )
            torch.set_num_threads(threads)
            figures = []
            for turn in range(options.turns):
                output = f"{folder}/{len(rows)}-{turn}"
                figures.append((bare(config, device, options.steps), *ours(replace(config, output=output))))
                print(degradation, workers, *(f"{figure:.3g}" for figure in figures[-1]), flush=True)
            loop, trained, waiting = np.median(figures, axis=0)
            ratio = float(np.median([b / a for a, b, _ in figures]))
            cells = [degradation, f"{threads}", f"{workers}", f"{loop:.0f}", f"{trained:.0f}", f"{ratio:.2f}"]
            rows.append([*cells, f"{waiting:.1%}"])
    header = ["noise", "threads", "workers", "bare loop, images/s", "train.py, images/s", "ratio", "waiting for data"]
    text = "\n".join(
        [
            "# Training speed against a bare loop",
            "",
            sentence(machine),
            f"Batches of {options.batch} patches of 96 x 96, bfloat16, {options.encoder}; medians",
            f"of {options.turns} turns of {options.steps} steps each. Made by `python benchmarks/train_speed.py`.",
            "",
            table(header, rows),
        ]
    )
    options.output.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    sys.exit(run(TrainSpeed, main, sys.argv[1:]))
