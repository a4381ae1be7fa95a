"""What lambda and the sampling of defects do: `python benchmarks/defect_weight.py --data TRIPLETS --output runs/sweep`.

The same network is trained once for each value, with the same start, seed, patches and number of steps. Finished runs
in --output are kept, so that the command can be stopped and started again.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import table
from tqdm import tqdm

from hf_denoise import Denoiser
from hf_denoise.cli.options import run
from hf_denoise.data.decoded import Decoded, MemoryMapped
from hf_denoise.data.loader import SampleMaker, SampleStream, TripletDataset
from hf_denoise.data.triplets import load_triplets
from hf_denoise.files import make_writable
from hf_denoise.metrics.quality import contrast_kept, psnr
from hf_denoise.noise.degradations import parse_degradation

SPLITS = ("validation", "test")
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class DefectWeight:
    """Sweep lambda and the share of patches cut around defects; write defect_weight.md, .json and .png."""

    data: str
    """Clean images with defect masks, in any layout that train.py takes."""
    output: Path
    """Folder for the runs."""
    results: Path = Path("benchmarks/results")
    """Folder for the table and the plot."""
    model: Path = ROOT / "hf_denoise/checkpoints"
    """Saved model that every run starts from."""
    defect_weight: tuple[float, ...] = (1, 2, 5, 10, 20)
    """Values of lambda."""
    defect_share: tuple[float, ...] = (0.0, 0.5)
    """Shares of patches cut around a defect: the last one for every lambda, the others for the first lambda."""
    sigma: tuple[float, ...] = (25, 50)
    """Noise of the training, one drawn per patch, and of the measurement."""
    steps: int = 800
    """Steps of each run, 8 patches each."""
    learning_rate: float = 3e-4
    """Peak learning rate of each run."""


def fine_tune(options: DefectWeight, weight: float, share: float) -> Path:
    """Train one value, in a process of its own; gives the folder of the model."""
    output = options.output / f"lambda-{weight:g}-share-{share:g}"
    if (output / "last").exists():
        return output / "last"
    settings: dict[str, Any] = {
        "data": options.data,
        "output": output,
        "init-from": options.model,
        "degradation": "|".join(f"gaussian:{sigma:g}" for sigma in options.sigma),
        "defect-weight": weight,
        "defect-share": share,
        "learning-rate": options.learning_rate,
        "schedule": "cosine",
        "warmup-steps": 50,
        "max-steps": options.steps,
        "eval-every": options.steps,
        "precision": "bf16",
        "workers": 0,
    }
    flags = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    subprocess.run([sys.executable, ROOT / "train.py", *flags], check=True)
    return output / "last"


def measure(model: Path, triplets: Any, sigma: float) -> dict[str, float]:
    """Means over the images of a split that have a defect (the median for the contrast)."""
    denoise = Denoiser.from_pretrained(model, precision="float32")
    samples = TripletDataset(Decoded(triplets), SampleMaker(parse_degradation(f"gaussian:{sigma:g}")))
    rows = []
    for index in tqdm(range(len(samples)), desc=f"{model.parent.name}, sigma {sigma:g}", leave=False):
        sample = samples[index]
        noisy, clean = (sample[name].permute(1, 2, 0).numpy() for name in ("degraded", "clean"))
        mask = sample["mask"][0].numpy() > 0
        if mask.any():
            image = denoise(noisy)
            rows.append((psnr(image, clean), psnr(image, clean, mask), contrast_kept(image, clean, mask)))
    overall, inside, contrast = np.array(rows).T
    return {"psnr": overall.mean(), "defect_psnr": inside.mean(), "contrast_kept": float(np.nanmedian(contrast))}


def shown(triplets: Any, share: float, patches: int = 1000) -> tuple[float, float]:
    """Share of training patches, and of batches of 8, that show a defect."""
    samples = TripletDataset(
        MemoryMapped(triplets), SampleMaker(parse_degradation("gaussian:0"), patch=96, defect=share)
    )
    stream = SampleStream(len(samples), patches, seed=0)
    seen = np.array([bool(samples[key]["mask"].any()) for key in tqdm(stream, desc="sampling", leave=False)])
    return float(seen.mean()), float(seen.reshape(-1, 8).any(axis=1).mean())


def draw(rows: list[dict[str, Any]], share: float, path: Path) -> None:
    """Defect PSNR against overall PSNR over lambda: a panel for each split and noise."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    splits, sigmas = (sorted({row[name] for row in rows}) for name in ("split", "sigma"))
    size = (4.5 * len(sigmas), 3.4 * len(splits))
    figure, panels = pyplot.subplots(
        len(splits), len(sigmas), squeeze=False, figsize=size, dpi=160, layout="constrained"
    )
    for split, line in zip(splits, panels, strict=True):
        for sigma, axes in zip(sigmas, line, strict=True):
            points = [row for row in rows if (row["share"], row["split"], row["sigma"]) == (share, split, sigma)]
            axes.plot([row["psnr"] for row in points], [row["defect_psnr"] for row in points], "o-", color="#c2410c")
            for row in points:
                place = (row["psnr"], row["defect_psnr"])
                axes.annotate(f"{row['lambda']:g}", place, (6, -4), textcoords="offset points")
            axes.margins(0.2)
            axes.set_title(f"{split}, sigma {sigma:g}", loc="left", fontsize=11)
            axes.set_xlabel("PSNR of the whole image, dB")
            axes.set_ylabel("PSNR inside the defects, dB")
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(color="#e2e8f0")
    figure.suptitle("Labels are lambda", x=0.01, ha="left", fontsize=12)
    figure.savefig(path)


def sweep(options: DefectWeight) -> None:
    triplets = load_triplets(options.data)
    make_writable(options.results)
    *others, share = options.defect_share
    runs = [*((options.defect_weight[0], other) for other in others), *((w, share) for w in options.defect_weight)]
    rows: list[dict[str, Any]] = []
    for weight, part in runs:
        model = fine_tune(options, weight, part)
        for split in SPLITS:
            for sigma in options.sigma:
                numbers = measure(model, triplets[split], sigma)
                rows.append({"lambda": weight, "share": part, "split": split, "sigma": sigma, **numbers})
    sampling = {part: shown(triplets["train"], part) for part in options.defect_share}
    text = [
        "# Lambda and the sampling of defects",
        f"Every run: {options.steps} steps of 8 patches from the same saved model, noise of sigma "
        f"{' or '.join(f'{sigma:g}' for sigma in options.sigma)}, the same patches. Measured on the images "
        f"with a defect: {', '.join(f'{count_defects(triplets[split])} of {split}' for split in SPLITS)}.",
        table(
            ("lambda", "patches around defects", "split", "sigma", "PSNR, dB", "defect PSNR, dB", "contrast kept"),
            [
                (
                    f"{row['lambda']:g}", f"{row['share']:.0%}", row["split"], f"{row['sigma']:g}",
                    *(f"{row[name]:.3f}" for name in ("psnr", "defect_psnr", "contrast_kept")),
                )
                for row in rows
            ],
        ),
        "How many of 1000 patches of 96 pixels, and of their batches of 8, show a defect:",
        table(
            ("patches around defects", "patches", "batches"),
            [(f"{part:.0%}", *(f"{share:.0%}" for share in sampling[part])) for part in options.defect_share],
        ),
        "![Defect PSNR against PSNR over lambda](defect_weight.png)",
    ]  # fmt: skip
    (options.results / "defect_weight.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")
    (options.results / "defect_weight.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    draw(rows, share, options.results / "defect_weight.png")


def count_defects(triplets: Any) -> int:
    return sum(mask is not None and np.asarray(mask.convert("L")).max() > 127 for mask in triplets["mask"])


if __name__ == "__main__":
    sys.exit(run(DefectWeight, sweep, sys.argv[1:]))
