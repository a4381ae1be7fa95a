"""`train.py` as a user runs it, with a network that learns within seconds, and the pictures that it is run on."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import torch
from accelerate.state import AcceleratorState, GradientState
from PIL import Image

from hf_denoise.cli.options import run as run_options
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.loop import train
from hf_denoise.training.run_folder import recorded_options

ROOT = Path(__file__).parents[2]
SMALL = [
    *("--encoder", "resnet10t", "--no-encoder-pretrained", "--encoder-levels", "2", "--decoder-channels", "32", "16"),
    *("--decoder-depths", "1", "0", "--patch", "32", "--workers", "0", "--warmup-steps", "10"),
]


def picture(rng: np.random.Generator, size: int = 64) -> np.ndarray:
    """Smooth ground with a few discs and bars: structure that a denoiser can learn within seconds."""
    rows, cols = np.mgrid[:size, :size] / size
    image = np.stack([rng.uniform(0.2, 0.8) + rng.uniform(-0.3, 0.3) * (rows if c else cols) for c in range(3)], -1)
    for _ in range(4):
        centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.05, 0.3)
        image[(rows - centre[0]) ** 2 + (cols - centre[1]) ** 2 < radius**2] = rng.uniform(0, 1, 3)
    return (image.clip(0, 1) * 255).astype(np.uint8)


def write_pictures(folder: Path, count: int) -> Path:
    """So many of them, as PNGs."""
    for number in range(count):
        Image.fromarray(picture(np.random.default_rng(number))).save(folder / f"{number:02}.png")
    return folder


def command(data: Path | str, output: Path, *options: str, launcher: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, *launcher, "train.py", *SMALL, "--data", str(data), "--output", str(output), *options]


def here(data: Path | str, output: Path, *options: str) -> subprocess.CompletedProcess:
    """train.py in this process, since a start of another takes longer than most runs; with one thread, as `run`."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    out, err, threads = io.StringIO(), io.StringIO(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = run_options(TrainConfig, train, command(data, output, *options)[2:], recorded_options)
    finally:
        torch.set_num_threads(threads)
    return subprocess.CompletedProcess(options, status, out.getvalue(), err.getvalue())


def run(arguments: list[str], **kwargs) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **kwargs.pop("env", {})}
    return subprocess.run(arguments, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, **kwargs)
