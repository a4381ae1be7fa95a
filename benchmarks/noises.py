"""What comes back over the kinds of noise, from the network alone and from `Denoiser`.

    python benchmarks/noises.py PHOTOS

`Denoiser` averages the channels of grey pictures and puts back what noise does not explain; the network does not.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import machine
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from tyro.conf import Positional

from hf_denoise import Denoiser
from hf_denoise.cli.options import run
from hf_denoise.data.decoded import Decoded, to_float
from hf_denoise.evaluation.run import load_split
from hf_denoise.files import make_writable
from hf_denoise.metrics.quality import psnr
from hf_denoise.noise.degradations import parse_degradation

Picture = NDArray[np.float32]

NOISES = {
    "colour": (
        "none",
        *(f"gaussian:{sigma}" for sigma in (1, 2, 5, 15, 25, 50)),
        *(f"camera:{sigma}" for sigma in (1, 2, 4, 8, 12)),
        "poisson-gaussian:10",
        "poisson-gaussian:10+jpeg:70",
    ),
    "grey, one noise": ("none", *(f"gaussian:{sigma}" for sigma in (2, 5, 15, 25, 50))),
    "grey, three noises": tuple(f"gaussian:{sigma}" for sigma in (2, 5, 15, 25, 50)),
}
SAME = 90.0  # dB that stand for a picture that came back as it was


@dataclass(frozen=True)
class Noises:
    """Denoise photographs under each kind of noise; write noises.json and noises.md."""

    data: Annotated[str, Positional]
    """Folder of photographs without noise."""
    model: str | None = None
    """Folder or Hub id of a model; the packaged one where it is not given."""
    every: int = 1
    """Take one photograph of so many."""
    output: Path = Path(__file__).parent / "results"
    """Folder of the results."""


def degraded(clean: Picture, colour: str, noise: str, rng: np.random.Generator) -> tuple[Picture, Picture]:
    """(noisy, clean) of a photograph, (H, W, 3)."""
    if colour != "colour":
        clean = np.repeat(clean.mean(axis=2, keepdims=True), 3, axis=2)
    if noise == "none":
        return clean, clean
    noisy, clean = parse_degradation(noise).pair(clean, rng)
    if colour == "grey, one noise":
        noisy = np.repeat(noisy[..., :1], 3, axis=2)
    return np.ascontiguousarray(noisy), clean


@torch.inference_mode()
def network_alone(denoiser: Denoiser, noisy: Picture) -> Picture:
    """What the network makes of a picture in the precision of `denoiser`, (H, W, 3) in [0, 1]."""
    batch = torch.from_numpy(noisy).permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=denoiser.precision == "bfloat16"):
        output = denoiser.model(batch)[0]
    return output.float().clamp(0, 1).permute(1, 2, 0).numpy()


def main(options: Noises) -> None:
    make_writable(options.output)
    triplets = Decoded(load_split(options.data, "all", 0, False))
    photos = [to_float(triplets[index].clean) for index in range(0, len(triplets), options.every)]
    denoiser = Denoiser.from_pretrained(options.model, device="cpu")
    info = machine.describe(["torch", "timm"])
    rows: list[dict[str, Any]] = []
    for colour, noise in tqdm([(kind, noise) for kind in NOISES for noise in NOISES[kind]], unit="noise"):
        figures = []
        for index, photo in enumerate(photos):
            noisy, clean = degraded(photo, colour, noise, np.random.default_rng([index, len(noise)]))
            images = noisy, network_alone(denoiser, noisy), denoiser(noisy)
            figures.append([min(psnr(image, clean), SAME) for image in images])
        before, alone, after = np.array(figures).T
        rows.append(
            {
                "picture": colour,
                "noise": noise,
                "input": float(before.mean()),
                "network": float(alone.mean()),
                "denoiser": float(after.mean()),
                "lowest": [float(alone.min()), float(after.min())],
                "worst": [float((alone - before).min()), float((after - before).min())],
                "worse": [int((alone < before - 0.01).sum()), int((after < before - 0.01).sum())],
            }
        )
    results = {"machine": info, "model": options.model, "images": len(photos), "rows": rows}
    machine.write(options.output, "noises", results, text(results))


def text(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    noisy, same = ([row for row in results["rows"] if (row["noise"] == "none") is clean] for clean in (False, True))
    return "\n".join(
        [
            "# Kinds of noise",
            "",
            machine.sentence(results["machine"]),
            f"Weights: {results['model'] or 'packaged'}. {results['images']} photographs. PSNR in dB.",
            "",
            "The network alone, and `Denoiser`, which averages the channels of pictures that are grey but for their "
            "noise and puts back what was removed beyond what noise explains. Worst: of the photographs, the one whose "
            "PSNR rose least. Worse: photographs whose PSNR fell.",
            "",
            machine.table(
                ["picture", "noise", "input", "network", "Denoiser", "worst, network", "worst, Denoiser", "worse"],
                [
                    [
                        row["picture"],
                        row["noise"],
                        *(f"{row[key]:.2f}" for key in ("input", "network", "denoiser")),
                        *(f"{value:+.2f}" for value in row["worst"]),
                        " / ".join(str(count) for count in row["worse"]),
                    ]
                    for row in noisy
                ],
            ),
            "",
            f"Pictures without noise, to themselves; {SAME:.0f} dB stand for no difference at all.",
            "",
            machine.table(
                ["picture", "network", "Denoiser", "lowest, network", "lowest, Denoiser"],
                [
                    [
                        row["picture"],
                        *(f"{row[key]:.2f}" for key in ("network", "denoiser")),
                        *(f"{value:.2f}" for value in row["lowest"]),
                    ]
                    for row in same
                ],
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(run(Noises, main, sys.argv[1:]))
