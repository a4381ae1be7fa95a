"""Kill a training run at random moments, resume it each time, and compare it with one that was left alone.

    python benchmarks/kill_resume.py

The moments are drawn over the whole life of a process, every second one in the next save from there on. After each kill
every checkpoint on disk must load, or there is none yet.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from machine import ROOT, child_environment, describe, sentence
from PIL import Image
from safetensors.torch import load_file
from skimage import data
from tqdm import tqdm

from hf_denoise import DenoisingUNet
from hf_denoise.cli.options import run
from hf_denoise.files import recover


@dataclass
class KillResume:
    """Kill and resume a run."""

    kills: int = 20
    """How often."""
    steps: int = 400
    """Steps of the run."""
    eval_every: int = 5
    """Steps between evaluations and saves: often, so that many kills fall into a save."""
    seed: int = 0
    """Of the moments."""
    output: Path = Path("benchmarks/results/kill_resume.md")
    """Report to write."""


def command(options: KillResume, folder: Path, name: str) -> list[str]:
    small = "--encoder resnet10t --no-encoder-pretrained --encoder-levels 2 --decoder-channels 32 16"
    small += " --decoder-depths 1 0 --patch 32 --batch 4 --workers 0"
    budget = f"--max-steps {options.steps} --eval-every {options.eval_every}"
    words = f"{small} {budget} --data {folder}/photos --output {folder}/{name}"
    return [sys.executable, f"{ROOT}/train.py", *words.split()]


def write_photos(folder: Path) -> None:
    folder.mkdir()
    for number, image in enumerate((data.astronaut(), data.chelsea(), data.coffee())):
        for row in range(4):
            Image.fromarray(image[64 * row : 64 * row + 64, 100:164]).save(folder / f"{number}{row}.png")


def loads(output: Path) -> str:
    """Which checkpoints are there; each must load."""
    found = []
    for name in ("last", "best"):
        recover(output / name)  # as a resume does
        if (output / name).exists():
            DenoisingUNet.from_pretrained(output / name)
            found.append(name)
    return " and ".join(found) or "none"


def main(options: KillResume) -> None:
    environment = {**child_environment(), "OMP_NUM_THREADS": "1"}
    rng = random.Random(options.seed)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder / "photos")
        began = time.monotonic()
        subprocess.run(command(options, folder, "whole"), env=environment, check=True, stderr=subprocess.DEVNULL)
        life = time.monotonic() - began
        output, resume = folder / "killed", []
        for kill in tqdm(range(options.kills), unit="kill"):
            process = subprocess.Popen(
                [*command(options, folder, "killed"), *resume], env=environment, stderr=subprocess.DEVNULL
            )
            # Not much longer than a start takes plus a share of the run, or the run ends before all kills are done.
            time.sleep(rng.uniform(0.3, 1.0) * (6 + life / options.kills))
            # Every second kill waits for a save, which takes too little time to be met by chance.
            while kill % 2 and process.poll() is None and not any(output.glob("*.new")):
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            ended = process.wait() == 0
            saving = any(output.glob("*.new")) or any(output.glob("*.old"))
            shown = loads(output)
            rows.append((kill + 1, "yes" if saving else "", shown))
            resume = ["--resume"] if (output / "last").exists() else []
            if not resume:
                shutil.rmtree(output, ignore_errors=True)
            if ended:
                break
        subprocess.run([*command(options, folder, "killed"), *resume], env=environment, check=True,
                       stderr=subprocess.DEVNULL)  # fmt: skip
        equal = {}
        for checkpoint in ("last", "best"):
            whole, killed = (load_file(folder / run / checkpoint / "model.safetensors") for run in ("whole", "killed"))
            equal[checkpoint] = all(torch.equal(tensor, killed[name]) for name, tensor in whole.items())
    verdict = {checkpoint: "equal" if same else "NOT EQUAL" for checkpoint, same in equal.items()}
    during = sum(bool(saving) for _, saving, _ in rows)
    text = "\n".join(
        [
            "# Kill and resume",
            "",
            sentence(describe(["torch", "accelerate"])),
            "",
            f"A run of {options.steps} steps, saved every {options.eval_every}, was killed {len(rows)} times, "
            f"{during} of them while it saved, and resumed each time.",
            "Every checkpoint on disk loaded. At the end its weights were, compared bit for bit with those of a run",
            f"left alone, in `last/` {verdict['last']} and in `best/` {verdict['best']}.",
            "",
            "Made by `python benchmarks/kill_resume.py`.",
        ]
    )
    options.output.write_text(text + "\n")
    print(text)
    sys.exit(0 if all(equal.values()) else 1)


if __name__ == "__main__":
    sys.exit(run(KillResume, main, sys.argv[1:]))
