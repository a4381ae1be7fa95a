"""Time from the command to the result, and what of it is imports."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.shared import machine
from benchmarks.shared.clocks import interleave
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import noisy_gradient
from hf_denoise.errors import UserError

TORCH = 'python -c "import torch"'
CODES = ("pass", "import torch", "import hf_denoise", "import torch, hf_denoise", "from hf_denoise import Denoiser")


def seconds_of(arguments: Sequence[str]) -> float:
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


def commands(source: Path, model: str | None, codes: Sequence[str]) -> dict[str, Callable[[], float]]:
    """What is timed, by the name that the table gives it."""
    target = source.with_name("out.jpg")
    denoise = (
        *("-m", "hf_denoise.cli", "denoise", str(source), "-o", str(target)),
        *("--device", "cpu", "--overwrite"),
        *(("--model", model) if model else ()),
    )
    imports = {f'python -c "{code}"': partial(seconds_of, ("-c", code)) for code in codes}
    return {**imports, "hf-denoise denoise one.jpg -o out.jpg": partial(seconds_of, denoise)}


def run(options: Options) -> None:
    """Measure all commands; write start.md and start.json.

    Raises:
        UserError: a command failed.
    """
    about = machine.describe(("torch", "timm"))
    rounds, codes = (1, CODES[1:2]) if options.quick else (3, CODES)
    with tempfile.TemporaryDirectory(prefix="hf_denoise-start-") as name:
        source = Path(name) / "one.jpg"
        Image.fromarray(noisy_gradient(1)).save(source, quality=95)
        times = interleave(commands(source, options.model, codes), rounds, "start")
    rows = [
        {
            "command": command,
            "seconds": statistics.median(values),
            "above_import_torch": statistics.median(a - b for a, b in zip(values, times[TORCH], strict=True)),
        }
        for command, values in times.items()
    ]
    paragraphs = [
        "# Time to start",
        machine.sentence(about),
        f"Median wall time of {rounds} processes, one command after the other, with the files in the system's cache. "
        "The last column is the median of the differences within a round. `hf-denoise` runs as `python -m "
        "hf_denoise.cli.main`, on a JPEG of one megapixel.",
        machine.table(
            ("command", "s", "above `import torch`, s"),
            [(f"`{row['command']}`", f"{row['seconds']:.2f}", f"{row['above_import_torch']:+.2f}") for row in rows],
        ),
    ]
    machine.write(options.output, "start", {"machine": about, "rounds": rounds, "rows": rows}, paragraphs)
