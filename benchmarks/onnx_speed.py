"""The exported model in ONNX Runtime beside PyTorch, both float32 on this CPU: `python benchmarks/onnx_speed.py`."""

import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import machine
import torch
from tqdm import tqdm

from hf_denoise.cli.options import run
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.inference.export import SIZES, difference, session, timings, to_onnx


@dataclass(frozen=True)
class OnnxSpeed:
    """Time of one image in ONNX Runtime and in PyTorch, in turn, with as many threads each."""

    sides: tuple[int, ...] = (512, 1024)
    """Sides of the square images, in pixels."""
    rounds: int = 10
    """Runs of each at each size, after one that is not counted."""
    model: str | None = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    output: Path = Path("benchmarks/results")
    """Folder for onnx_speed.json and onnx_speed.md."""


def benchmark(options: OnnxSpeed) -> None:
    """Measure all sizes; write onnx_speed.json and onnx_speed.md.

    Raises:
        UserError: an option is out of range, the model does not load, or the output folder cannot be written.
    """
    if options.rounds < 1 or min(options.sides, default=0) < 1:
        raise UserError("--rounds and --sides must be at least 1")
    make_writable(options.output)
    about = {**machine.describe(("torch", "onnx", "onnxscript", "onnxruntime")), "threads": torch.get_num_threads()}
    model = Denoiser.from_pretrained(options.model, precision="float32", device="cpu").model
    runtime = session(to_onnx(model))
    worst = max(difference(runtime, model, shape) for shape in SIZES)
    rows = []
    for side in tqdm(options.sides, desc="onnx_speed", unit="size"):
        times = timings(runtime, model, side, options.rounds)
        ratios = [theirs / ours for ours, theirs in times]
        rows.append(
            {
                "side": side,
                "onnxruntime": statistics.median(ours for ours, _ in times),
                "torch": statistics.median(theirs for _, theirs in times),
                "ratio": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
            }
        )
    text = "\n\n".join(
        [
            "# ONNX Runtime against PyTorch",
            machine.sentence(about),
            f"Median wall time of {options.rounds} runs of one image in float32, in turn: the file of "
            "`hf-denoise export onnx` in ONNX Runtime, and the network as `Denoiser` runs it. The ratio is the median "
            "of those within a round, with the lowest and the highest; above 1, ONNX Runtime is the faster one. On "
            f"{len(SIZES)} sizes from {SIZES[0][1]} x {SIZES[0][2]} to {SIZES[-1][1]} x {SIZES[-1][2]} the two are at "
            f"most {worst:.1e} apart.",
            machine.table(
                ("image", "ONNX Runtime, s", "PyTorch, s", "ratio", "lowest to highest"),
                [
                    (
                        f"{row['side']} x {row['side']}",
                        f"{row['onnxruntime']:.3f}",
                        f"{row['torch']:.3f}",
                        f"{row['ratio']:.2f}",
                        f"{row['lowest']:.2f} to {row['highest']:.2f}",
                    )
                    for row in rows
                ],
            ),
        ]
    )
    results = {"machine": about, "rounds": options.rounds, "difference": worst, "rows": rows}
    machine.write(options.output, "onnx_speed", results, text)


if __name__ == "__main__":
    sys.exit(run(OnnxSpeed, benchmark, sys.argv[1:]))
