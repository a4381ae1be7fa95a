"""Kill a training run at random moments, resume it each time, and compare it with one that was left alone.

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
from pathlib import Path

import torch
from safetensors.torch import load_file
from tqdm import tqdm

from benchmarks.shared import machine
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import write_cut_photographs
from hf_denoise import DenoisingUNet
from hf_denoise.errors import UserError
from hf_denoise.files import recover

SMALL = (
    "--encoder resnet10t --no-encoder-pretrained --encoder-levels 2 --decoder-channels 32 16 "
    "--decoder-depths 1 0 --patch 32 --batch 4 --workers 0"
)
SAVE_EVERY = 5  # steps: often, so that many kills fall into a save


class Training:
    """One run of `train.py` in a folder, in as many processes one after another as it takes."""

    def __init__(self, folder: Path, name: str, steps: int):
        self.output = folder / name
        self.log = folder / f"{name}.log"
        words = f"{SMALL} --max-steps {steps} --eval-every {SAVE_EVERY}".split()
        self.command = [sys.executable, str(machine.ROOT / "train.py"), *words]
        self.command += ["--data", str(folder / "photos"), "--output", str(self.output)]

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, or go on from the last checkpoint; without one, from nothing."""
        resume = ["--resume"] if (self.output / "last").exists() else []
        if not resume:
            shutil.rmtree(self.output, ignore_errors=True)
        environment = {**machine.child_environment(), "OMP_NUM_THREADS": "1"}
        with self.log.open("wb") as log:  # a pipe that nobody reads would stop it
            return subprocess.Popen([*self.command, *resume], env=environment, stderr=log)

    def finish(self) -> None:
        """Run it to its end.

        Raises:
            UserError: it failed; the message is the last line of its own.
        """
        if self.start().wait():
            last = (self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no message"])[-1]
            raise UserError(f"train.py failed: {last}")

    @property
    def is_saving(self) -> bool:
        """Whether a checkpoint is being written beside the last one."""
        return any(self.output.glob("*.new")) or any(self.output.glob("*.old"))

    def kill(self, moment: float, in_save: bool) -> tuple[bool, bool]:
        """Start, and kill after `moment` seconds or in the next save from there on: (was saving, had ended)."""
        process = self.start()
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            # A save takes too little time to be met by chance.
            while in_save and process.poll() is None and not any(self.output.glob("*.new")):
                time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return self.is_saving, process.returncode == 0

    def check(self) -> None:
        """Load every checkpoint that is there, as a resume does; one that does not load is an error."""
        for name in ("last", "best"):
            recover(self.output / name)
            if (self.output / name).exists():
                DenoisingUNet.from_pretrained(self.output / name)


def kill_often(training: Training, kills: int, life: float) -> list[bool]:
    """Kill a run again and again, or until it has ended; for each kill whether it fell into a save."""
    rng = random.Random(0)
    saving = []
    for kill in tqdm(range(kills), desc="kill_resume", unit="kill"):
        # Not much longer than a start takes plus a share of the run, or the run ends before all kills are done.
        was_saving, ended = training.kill(rng.uniform(0.3, 1.0) * (6 + life / kills), in_save=kill % 2 == 1)
        training.check()
        if ended:
            break
        saving.append(was_saving)
    return saving


def is_same(one: Path, other: Path) -> bool:
    """Whether the weights of two saved models are equal, bit for bit."""
    left, right = (load_file(folder / "model.safetensors") for folder in (one, other))
    return left.keys() == right.keys() and all(torch.equal(tensor, right[name]) for name, tensor in left.items())


def run(options: Options) -> None:
    """Kill and resume; write kill_resume.md and kill_resume.json.

    Raises:
        UserError: a checkpoint does not load, or the weights differ; then the report is written all the same.
    """
    kills, steps = (2, 20) if options.quick else (20, 400)
    about = machine.describe(("torch", "accelerate"))
    with tempfile.TemporaryDirectory(prefix="hf_denoise-kill_resume-") as name:
        folder = Path(name)
        write_cut_photographs(folder / "photos")
        whole, killed = (Training(folder, run, steps) for run in ("whole", "killed"))
        start = time.monotonic()
        whole.finish()
        saving = kill_often(killed, kills, time.monotonic() - start)
        killed.finish()
        equal = {kind: is_same(whole.output / kind, killed.output / kind) for kind in ("last", "best")}
    verdict = {kind: "equal" if same else "NOT EQUAL" for kind, same in equal.items()}
    paragraphs = [
        "# Kill and resume",
        machine.sentence(about),
        f"A run of {steps} steps, saved every {SAVE_EVERY}, was killed {len(saving)} times, {sum(saving)} of them "
        "while it saved, and resumed each time. Every checkpoint on disk loaded. At the end its weights were, "
        f"compared bit for bit with those of a run left alone, in `last/` {verdict['last']} and in `best/` "
        f"{verdict['best']}.",
    ]
    results = {"machine": about, "steps": steps, "kills": len(saving), "in_save": sum(saving), "equal": equal}
    machine.write(options.output, "kill_resume", results, paragraphs)
    if not all(equal.values()):
        raise UserError("a run that was killed and resumed has other weights than one that was left alone")
