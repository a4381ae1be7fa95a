"""What the structure number says of noise, of denoisers, and of defects that were kept or removed."""

import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from benchmarks.shared import machine
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import Photo, photographs
from benchmarks.structure.cases import NOISES, SMALLEST, bright_place, darkened, defect
from benchmarks.structure.plot import Example, draw
from benchmarks.structure.tables import DEFECT_COLUMNS, paragraphs
from hf_denoise import Denoiser
from hf_denoise.evaluation.peers import nl_means
from hf_denoise.metrics.structure import structure
from hf_denoise.noise.degradations import gaussian

IMAGES = 16
SHARES = tuple(step / 10 for step in range(11))
CURVES = (("line", 20), ("line", 40), ("line", 80), ("pit", 40), ("pit", 80))
SIGMA_OF_CURVES = 15.0


def measure_noises(photos: Sequence[Photo]) -> list[dict[str, Any]]:
    """The number of each kind of noise alone."""
    rows = []
    for name, noise in tqdm(NOISES.items(), desc="noise", unit="kind"):
        numbers = [structure(noise(photo, np.random.default_rng(index))) for index, photo in enumerate(photos)]
        rows.append({"noise": name, **spread(numbers), "above_0.01": sum(number > 0.01 for number in numbers)})
    return rows


def measure_methods(photos: Sequence[Photo], denoise: Denoiser, sigmas: Sequence[float]) -> list[dict[str, Any]]:
    """The number of what denoisers take away from photographs without defects."""
    methods: dict[str, Callable[[Photo, float], Photo]] = {
        "hf_denoise": lambda noisy, sigma: denoise(noisy),
        "scikit-image non-local means": nl_means,
        "Gaussian blur, sigma 1": lambda noisy, sigma: gaussian_filter(noisy, (1, 1, 0)),
        "Gaussian blur, sigma 2": lambda noisy, sigma: gaussian_filter(noisy, (2, 2, 0)),
    }
    rows = []
    with tqdm(total=len(methods) * len(sigmas) * len(photos), desc="denoisers", unit="run") as bar:
        for name, method in methods.items():
            row: dict[str, Any] = {"method": name}
            for sigma in sigmas:
                numbers = []
                for index, photo in enumerate(photos):
                    noisy = gaussian(photo, sigma, np.random.default_rng(index))
                    numbers.append(structure(noisy - method(noisy, sigma)))
                    bar.update()
                row[f"sigma {sigma:g}"] = spread(numbers)
            rows.append(row)
    return rows


def measure_defects(
    photos: Sequence[Photo], denoise: Denoiser, sigmas: Sequence[float], contrasts: Sequence[float]
) -> list[dict[str, Any]]:
    """A defect that is given to a denoiser, and the same defect removed: by an ideal denoiser and by hf_denoise."""
    rows = []
    settings = list(product(("line", "pit"), sigmas, contrasts))
    for kind, sigma, contrast in tqdm(settings, desc="defects", unit="setting"):
        numbers: dict[str, list[float]] = {name: [] for name in DEFECT_COLUMNS}
        for index, photo in enumerate(photos):
            rng = np.random.default_rng(index)
            damaged = darkened(photo, defect(kind, photo.shape, bright_place(photo, rng)), contrast)
            noise = gaussian(np.zeros_like(photo), sigma, rng)
            outputs = (damaged, photo, denoise(damaged + noise), denoise(photo + noise))
            for name, output in zip(DEFECT_COLUMNS, outputs, strict=True):
                numbers[name].append(structure(damaged + noise - output))
        cells = {name: spread(values) for name, values in numbers.items()}
        rows.append({"defect": kind, "sigma": sigma, "contrast": contrast, **cells})
    return rows


def measure_curves(photos: Sequence[Photo]) -> list[dict[str, Any]]:
    """The number against the share of a defect that was removed with the noise."""
    rows = []
    for kind, contrast in tqdm(CURVES, desc="curves", unit="curve"):
        numbers = np.empty((len(photos), len(SHARES)))
        for index, photo in enumerate(photos):
            rng = np.random.default_rng(index)
            cover = defect(kind, photo.shape, bright_place(photo, rng))
            noise = gaussian(np.zeros_like(photo), SIGMA_OF_CURVES, rng)
            for step, share in enumerate(SHARES):
                numbers[index, step] = structure(noise - np.float32(share * contrast / 255) * cover)
        rows.append(
            {
                "defect": kind,
                "contrast": contrast,
                "shares": list(SHARES),
                "median": np.median(numbers, axis=0).tolist(),
                "lowest": numbers.min(axis=0).tolist(),
                "highest": numbers.max(axis=0).tolist(),
            }
        )
    return rows


def examples(photos: Sequence[Photo]) -> list[Example]:
    """A line that is removed not at all, by half and whole, where the photographs are smoothest and it is seen best.

    Crops of what goes in, what comes out and what was removed; the numbers are those of the whole photograph.
    """
    rng = np.random.default_rng(0)
    places = [bright_place(photo, rng) for photo in photos]
    boxes = [tuple(slice(at - 48, at + 48) for at in middle) for middle in places]
    smoothest = int(np.argmin([photo[box].mean(axis=2).std() for photo, box in zip(photos, boxes, strict=True)]))
    photo, middle, box = photos[smoothest], places[smoothest], boxes[smoothest]
    damaged = darkened(photo, defect("line", photo.shape, middle), 80)
    noisy = gaussian(damaged, SIGMA_OF_CURVES, rng)
    found = []
    for share in (0.0, 0.5, 1.0):
        output = damaged + np.float32(share) * (photo - damaged)
        removed = noisy - output
        found.append(Example(share, structure(removed), noisy[box], output[box], removed[box]))
    return found


def spread(numbers: Sequence[float]) -> dict[str, float]:
    """What a cell shows."""
    return {"median": float(np.median(numbers)), "lowest": min(numbers), "highest": max(numbers)}


def seconds_per_megapixel() -> float:
    """Best of five on a megapixel of noise in colour: other work on the machine only adds to it."""
    noise = np.random.default_rng(0).standard_normal((1000, 1000, 3), dtype=np.float32) / 10
    times = []
    for _ in range(5):
        start = time.perf_counter()
        structure(noise)
        times.append(time.perf_counter() - start)
    return min(times)


def run(options: Options) -> None:
    """Measure all tables and draw the picture; write structure.md, structure.json and structure.webp."""
    sigmas, contrasts = ((15,), (80,)) if options.quick else ((15, 25), (20, 40, 80, 160))
    photos = photographs(options, IMAGES, smallest=SMALLEST)
    denoise = Denoiser.from_pretrained(options.model, device="cpu")
    results: dict[str, Any] = {
        "machine": machine.describe(("torch", "numpy", "scipy", "scikit-image")),
        "photographs": len(photos),
        "seconds_per_megapixel": seconds_per_megapixel(),
        "noises": measure_noises(photos),
        "methods": measure_methods(photos, denoise, sigmas),
        "defects": measure_defects(photos, denoise, sigmas, contrasts),
        "curves": measure_curves(photos),
    }
    draw(results["curves"], examples(photos), SIGMA_OF_CURVES, options.output / "structure.webp")
    machine.write(options.output, "structure", results, paragraphs(results, sigmas))
