"""The exported model in ONNX Runtime beside PyTorch, both in float32 on this CPU."""

import statistics

import torch
from tqdm import tqdm

from benchmarks.shared import machine
from benchmarks.shared.options import Options
from hf_denoise.hub.files import PACKAGED
from hf_denoise.inference.export import SIZES, difference, session, timings, to_onnx
from hf_denoise.model.folding import fold_batch_norm
from hf_denoise.model.unet import DenoisingUNet


def run(options: Options) -> None:
    """Measure all sizes; write onnx_speed.md and onnx_speed.json."""
    sides, rounds = ((128,), 2) if options.quick else ((512, 1024), 10)
    about = {**machine.describe(("torch", "onnx", "onnxscript", "onnxruntime")), "threads": torch.get_num_threads()}
    network = DenoisingUNet.from_pretrained(options.model or PACKAGED)
    model = fold_batch_norm(network).to(memory_format=torch.channels_last)
    runtime = session(to_onnx(model))
    worst = max(difference(runtime, model, shape) for shape in SIZES)
    rows = []
    for side in tqdm(sides, desc="onnx_speed", unit="size"):
        times = timings(runtime, model, side, rounds)
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
    paragraphs = [
        "# ONNX Runtime beside PyTorch",
        machine.sentence(about),
        f"Median wall time of {rounds} runs of one image in float32, in turn: the file of `hf-denoise export onnx` in "
        "ONNX Runtime, and the network as `Denoiser` runs it. The ratio is the median of those within a round, with "
        f"the lowest and the highest; above 1, ONNX Runtime is the faster one. On {len(SIZES)} sizes from "
        f"{SIZES[0][1]} x {SIZES[0][2]} to {SIZES[-1][1]} x {SIZES[-1][2]} the two are at most {worst:.1e} apart.",
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
    results = {"machine": about, "rounds": rounds, "difference": worst, "rows": rows}
    machine.write(options.output, "onnx_speed", results, paragraphs)
