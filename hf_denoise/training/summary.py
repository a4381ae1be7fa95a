"""What a run is made of, said before its first step; and at its end what came of it, and what to do with it."""

import shlex
import sys
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from hf_denoise.hub.card import AS_IN_DATA
from hf_denoise.hub.files import read_report
from hf_denoise.hub.tables import escape, finite, number
from hf_denoise.model.encoder import imagenet_repository
from hf_denoise.training.batches import TrainingData
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.log import TrainingLog
from hf_denoise.training.report import name_of
from hf_denoise.training.run_folder import RunFolder
from hf_denoise.training.schedule import Progress
from hf_denoise.training.start import against_start

Facts = Sequence[tuple[str, str]]  # name and value, for people


def run_facts(
    config: TrainConfig,
    accelerator: Accelerator,
    data: TrainingData,
    model: nn.Module,
    ancestry: dict[str, Any],
    progress: Progress,
) -> Facts:
    """All that decides what a run makes of its time."""
    parameters = list(model.parameters())
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    total = sum(parameter.numel() for parameter in parameters)
    device = torch.cuda.get_device_name() if accelerator.device.type == "cuda" else accelerator.device.type
    processes = accelerator.num_processes
    commit = f" at commit {data.revision}" if data.revision else ""
    part = f", configuration {config.dataset_config}" if config.dataset_config else ""
    factors = f"batch {config.batch} x accumulate {config.accumulate} x processes {processes}"
    budget = f"{config.max_steps:,}, evaluated every {config.eval_every:,}"
    return [
        ("Data", name_of(config, data) + part + commit),
        *data.facts,
        ("Encoder", f"{config.encoder}, {encoder_origin(config, ancestry)}"),
        ("Parameters", f"{total / 1e6:.2f} million" + (f", {trained / 1e6:.2f} trained" if trained < total else "")),
        ("Device", f"{processes} x {device}"),
        ("Precision", {"no": "float32"}.get(accelerator.mixed_precision, accelerator.mixed_precision)),
        ("Patches per step", f"{config.batch * config.accumulate * processes} = {factors}"),
        ("Steps", budget + (f"; {progress.step:,} are done" if progress.step else "")),
        ("Time", f"at most {config.max_minutes:g} minutes" if config.max_minutes else "said after the first steps"),
    ]


def encoder_origin(config: TrainConfig, ancestry: dict[str, Any]) -> str:
    """Where the weights of the encoder come from."""
    if origin := (ancestry.get("origin") or {}).get("name") or config.init_from:
        return f"with the decoder from {origin}"
    if config.encoder_pretrained:
        return f"ImageNet weights of {imagenet_repository(config.encoder) or 'timm'}"
    return "random weights"


def announce(facts: Facts, accelerator: Accelerator, step: int) -> None:
    """Say what the run is made of, to people and to the trackers, from the main process."""
    if not accelerator.is_main_process:
        return
    width = max(len(name) for name, _ in facts) + 2
    print("\n".join(f"{name:{width}}{value}" for name, value in facts), file=sys.stderr)
    table = "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {escape(value)} |" for name, value in facts)])
    for tracker in accelerator.trackers:
        if not isinstance(tracker, TrainingLog):  # which holds scalars alone
            tracker.log({"summary": table}, step=step)


def say_time_left(seconds: float, steps: int) -> None:
    """Say how long the rest of a run will take, once its pace is known."""
    size, unit = next(((size, unit) for size, unit in ((3600, "h"), (60, "min")) if seconds >= 2 * size), (1, "s"))
    took = f"{seconds / size:.1f} {unit}" if unit == "h" else f"{seconds / size:.0f} {unit}"
    tqdm.write(f"about {took} for the other {steps:,} steps, evaluations not counted", file=sys.stderr)


def outcome(config: TrainConfig, run: RunFolder, data: TrainingData, progress: Progress) -> str:
    """The best evaluation, where its weights are, and the commands that measure and use them."""
    if not run.best.is_dir():
        return f"no evaluation gave a PSNR; the last weights are in {run.last}"
    report = read_report(run.best, run.best) or {}
    scores = (report.get("results") or [{}])[0]
    step = (report.get("training") or {}).get("steps")
    best = shlex.quote(str(run.best))
    measure = ["hf-denoise", "evaluate", "--data", config.data, "--model", str(run.best)]
    measure += ["--seed", str(config.seed)] if config.seed else []
    measure += ["--skip-bad"] if config.skip_bad else []
    measure += ["--make-degraded"] if config.make_degraded else []
    for name in ("dataset_revision", "dataset_config"):
        if value := getattr(config, name):
            measure += [f"--{name.replace('_', '-')}", value]
    measure += ["--columns", *config.columns] if config.columns else []
    measure += ["--split", "validation"] if not data.has_test else []
    if data.degradation != AS_IN_DATA and not config.degradation.startswith("gaussian"):
        measure += ["--degradation", config.degradation]
    at = f" at step {step:,}" if finite(step) else ""
    gained = against_start(scores, progress)
    return "\n".join(
        [
            f"best validation PSNR {number(scores.get('psnr'), 2)} dB{at}, in {best}",
            *([gained] if gained else []),
            f"measure it: {shlex.join(measure)}",
            f"use it:     hf-denoise denoise noisy.jpg -o denoised.png --model {best}",
            f"in Python:  Denoiser.from_pretrained({str(run.best)!r})",
        ]
    )
