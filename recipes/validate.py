"""What a network is worth on the noises that people have: one row of a table, PSNR in dB.

    python recipes/validate.py runs/x/last --photos PHOTOS --real REAL --tiles TILES --log runs/x/validation.csv
    python recipes/validate.py runs/x/last ... --every 60      # and again every hour, behind a training
    python recipes/validate.py --plot runs/x/validation.csv docs/long-run.png

The network alone, in float32, on every second validation photograph and all validation pairs. A noisy JPEG is compared
with the clean picture through the same colour subsampling. A row says how many pixels the run had been trained on.
"""

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from hf_denoise import DenoisingUNet
from hf_denoise.data.decoded import Decoded
from hf_denoise.data.reading import to_float
from hf_denoise.data.triplets import load_triplets
from hf_denoise.metrics.quality import psnr
from hf_denoise.noise.camera import jpeg
from hf_denoise.noise.degradations import gaussian

Array = NDArray[np.float32]
Case = tuple[str, Array, Array, NDArray[np.bool_] | None]  # column, degraded and clean (H, W, 3), where it is measured


def photographs(folder: str) -> Iterator[Case]:
    """Clean, with white noise, with noise saved as JPEG, and grey with one noise."""
    for number, triplet in enumerate(list(Decoded(load_triplets(folder)["validation"]))[::2]):
        clean = to_float(triplet.clean)
        yield "clean", clean, clean, None
        for sigma in (5, 15, 25, 50):
            yield f"white {sigma}", gaussian(clean, sigma, np.random.default_rng([number, sigma])), clean, None
        noisy = gaussian(clean, 25, np.random.default_rng([number, 25])).clip(0, 1)
        for quality in (95, 85, 75):
            yield f"jpeg q{quality}", jpeg(noisy, quality, 2), jpeg(clean, 100, 2), None
        grey = clean.mean(axis=2, keepdims=True)
        noisy = gaussian(grey, 15, np.random.default_rng([number, 15]))
        yield "grey 15", noisy.repeat(3, axis=2), grey.repeat(3, axis=2), None


def pairs(folder: str) -> Iterator[Case]:
    """Real noise, by the set that the name of a pair begins with."""
    for triplet in Decoded(load_triplets(folder)["validation"]):
        assert triplet.degraded is not None
        source = triplet.name.rsplit("/", 1)[-1].partition("_")[0]
        yield source, to_float(triplet.degraded), to_float(triplet.clean), None


def defects(folder: str) -> Iterator[Case]:
    """White noise of sigma 25, one for all channels, measured inside the defects."""
    for number, triplet in enumerate(Decoded(load_triplets(folder)["validation"])):
        if triplet.mask is not None and triplet.mask.any():
            clean = to_float(triplet.clean)
            noisy = gaussian(clean[..., :1], 25, np.random.default_rng([number, 25]))
            yield "defects 25", noisy.repeat(3, axis=2), clean, triplet.mask


def measure(model: DenoisingUNet, cases: list[Case]) -> dict[str, float]:
    """Mean PSNR of each column; identical pictures count as 80 dB."""
    found: dict[str, list[float]] = {}
    for column, degraded, clean, mask in tqdm(cases, "validation", unit="image", leave=False):
        with torch.inference_mode():
            output = model(torch.from_numpy(degraded.transpose(2, 0, 1).copy())[None]).clamp(0, 1)
        value = psnr(output[0].permute(1, 2, 0).numpy(), clean, mask)
        found.setdefault(column, []).append(min(value, 80.0))
    return {column: float(np.mean(values)) for column, values in found.items()}


def row(folder: Path, cases: list[Case]) -> dict[str, float]:
    """The row of one checkpoint."""
    model = DenoisingUNet.from_pretrained(folder).to(memory_format=torch.channels_last)
    training = (model.report or {}).get("training") or {}
    return {"megapixels": training.get("megapixels", 0.0), "steps": training.get("steps", 0), **measure(model, cases)}


def append(path: Path, values: dict[str, float]) -> None:
    """Add a row to a CSV file, whose columns come with its first one."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(values))
        if new:
            writer.writeheader()
        writer.writerow({name: f"{value:.2f}" for name, value in values.items()})


def plot(log: Path, picture: Path) -> None:
    """PSNR over pixels trained, each curve against where it began."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [{name: float(value) for name, value in line.items()} for line in csv.DictReader(log.open())]
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for column in list(rows[0])[2:]:
        values = [line[column] for line in rows]
        axes.plot(
            [line["megapixels"] / 1e3 for line in rows],
            [value - values[0] for value in values],
            label=f"{column}: {values[0]:.2f} → {values[-1]:.2f} dB",
        )
    axes.set(xlabel="thousand million pixels trained", ylabel="PSNR against the first row, dB")
    axes.legend(fontsize="small", ncols=2)
    axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=110)


def main() -> None:
    """Measure, once or every so many minutes, or draw what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    for part in ("photos", "real", "tiles"):
        parser.add_argument(f"--{part}")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--every", type=float, metavar="MINUTES")
    parser.add_argument("--plot", nargs=2, type=Path, metavar=("CSV", "PNG"))
    options = parser.parse_args()
    if options.plot:
        plot(*options.plot)
        return
    if not (options.model and options.photos and options.real and options.tiles):
        parser.error("give a folder of weights, --photos, --real and --tiles, or --plot")
    cases = [*photographs(options.photos), *pairs(options.real), *defects(options.tiles)]
    while True:
        values = row(options.model, cases)
        print("  ".join(f"{name} {value:.2f}" for name, value in values.items()), flush=True)
        if options.log:
            append(options.log, values)
        if not options.every:
            return
        time.sleep(60 * options.every)


if __name__ == "__main__":
    main()
