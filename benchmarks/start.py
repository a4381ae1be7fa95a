"""Time from the command to the result, and what of it is imports: `python benchmarks/start.py`."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import machine
from memory import picture
from PIL import Image
from tqdm import tqdm

from hf_denoise.cli.options import run
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable


@dataclass(frozen=True)
class Start:
    """Wall time of `hf-denoise denoise` on one JPEG of a megapixel, and of imports; every run is a new process."""

    rounds: int = 3
    """Runs of each command, in turn, after one that is not counted: the files are then in the system's cache."""
    model: str | None = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    output: Path = Path("benchmarks/results")
    """Folder for start.json and start.md."""


def seconds(arguments: Sequence[str]) -> float:
    """Wall time of one run of Python with these arguments."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], env=machine.child_environment(), capture_output=True, text=True, check=False
    )
    elapsed = time.perf_counter() - start
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise UserError(f"'python {' '.join(arguments)}' failed: {lines[-1]}")
    return elapsed


def benchmark(options: Start) -> None:
    """Measure all commands; write start.json and start.md.

    Raises:
        UserError: the output folder cannot be written, or a command failed.
    """
    if options.rounds < 1:
        raise UserError(f"--rounds must be at least 1, got {options.rounds}")
    make_writable(options.output)
    about = machine.describe(("torch", "timm"))
    codes = ("pass", "import torch", "import hf_denoise", "import torch, hf_denoise", "from hf_denoise import Denoiser")
    commands: dict[str, Sequence[str]] = {f'python -c "{code}"': ("-c", code) for code in codes}
    with tempfile.TemporaryDirectory(prefix="hf_denoise-start-") as name:
        source, target = Path(name) / "one.jpg", Path(name) / "out.jpg"
        Image.fromarray(picture(1)).save(source, quality=95)
        denoise = "hf-denoise denoise one.jpg -o out.jpg"
        commands[denoise] = (
            *("-m", "hf_denoise.cli", "denoise", str(source), "-o", str(target)),
            *("--device", "cpu", "--overwrite"),
            *(("--model", options.model) if options.model else ()),
        )
        times: dict[str, list[float]] = {command: [] for command in commands}
        for index in tqdm(range(options.rounds + 1), desc="start", unit="round"):
            for command, arguments in commands.items():
                elapsed = seconds(arguments)
                if index:
                    times[command].append(elapsed)
    torch_alone = times['python -c "import torch"']
    rows = [
        {
            "command": command,
            "seconds": statistics.median(values),
            "above_import_torch": statistics.median(a - b for a, b in zip(values, torch_alone, strict=True)),
        }
        for command, values in times.items()
    ]
    text = "\n\n".join(
        [
            "# Time to start",
            machine.sentence(about),
            f"Median wall time of {options.rounds} processes, one command after the other, with the files in the "
            "system's cache. The last column is the median of the differences within a round. "
            "`hf-denoise` runs as `python -m hf_denoise.cli`, on a JPEG of one megapixel.",
            machine.table(
                ("command", "s", "above `import torch`, s"),
                [(f"`{row['command']}`", f"{row['seconds']:.2f}", f"{row['above_import_torch']:+.2f}") for row in rows],
            ),
        ]
    )
    machine.write(options.output, "start", {"machine": about, "rounds": options.rounds, "rows": rows}, text)


if __name__ == "__main__":
    sys.exit(run(Start, benchmark, sys.argv[1:]))
