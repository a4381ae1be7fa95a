"""What the structure number says of noise, of denoisers and of defects: `python benchmarks/structure.py PHOTOS`."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import machine
import numpy as np
from numpy.typing import NDArray
from removed_picture import Example, draw
from scipy.ndimage import gaussian_filter
from tqdm import tqdm
from tyro.conf import Positional

from hf_denoise import Denoiser
from hf_denoise.cli.options import run
from hf_denoise.errors import UserError
from hf_denoise.evaluation.peers import nl_means
from hf_denoise.files import make_writable
from hf_denoise.imaging.formats import FORMATS
from hf_denoise.imaging.images import read_image
from hf_denoise.metrics.structure import structure
from hf_denoise.noise.degradations import gaussian, parse_degradation, poisson_gaussian

Photo = NDArray[np.float32]
Rng = np.random.Generator

SMALLEST = 200  # pixels a side: a defect is to lie well inside
SHARES = tuple(step / 10 for step in range(11))
CURVES = (("line", 20), ("line", 40), ("line", 80), ("pit", 40), ("pit", 80))
SIGMA_OF_CURVES = 15.0
DEFECT_COLUMNS = ("ideal, kept", "ideal, removed", "hf_denoise, kept", "hf_denoise, removed")


@dataclass(frozen=True)
class Structure:
    """Measure the structure number where the answer is known; write structure.json, structure.md and structure.png."""

    photos: Annotated[Positional[Path], "PHOTOS"]
    """Folder of clean photographs of at least 200 pixels a side."""
    images: int = 16
    """Photographs to use, evenly spread over the folder."""
    model: str | None = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    sigma: tuple[float, ...] = (15, 25)
    """Noise of the tables of denoisers and defects, on the 0..255 scale."""
    contrast: tuple[float, ...] = (20, 40, 80, 160)
    """Contrasts of the defects, on the 0..255 scale."""
    output: Path = Path("benchmarks/results")
    """Folder for the results."""


def cut_off(photo: Photo, rng: Rng, model: Callable[[Photo, float, Rng], Photo], sigma: float) -> Photo:
    """The noise that is left when the noisy picture is cut off at black and white and rounded to 8 bits."""
    return np.rint(model(photo, sigma, rng).clip(0, 1) * 255) / np.float32(255) - photo


def correlated(photo: Photo, rng: Rng, reach: float) -> Photo:
    """Gaussian noise of sigma 25, smoothed by as many pixels as `reach` says."""
    noise = gaussian_filter(rng.standard_normal(photo.shape, dtype=np.float32), (reach, reach, 0))
    return noise * np.float32(25 / 255 / noise.std())


def made(spec: str) -> Callable[[Photo, Rng], Photo]:
    """The noise of one of the package's own degradations: noisy minus target."""

    def noise(photo: Photo, rng: Rng) -> Photo:
        noisy, target = parse_degradation(spec).pair(photo, rng)
        return noisy - target

    return noise


NOISES: dict[str, Callable[[Photo, Rng], Photo]] = {
    **{f"Gaussian, sigma {sigma}": made(f"gaussian:{sigma}") for sigma in (2, 15, 25, 50, 75)},
    "Gaussian, sigma 25, grey": lambda photo, rng: np.repeat(made("gaussian:25")(photo[..., :1], rng), 3, axis=2),
    **{f"Poisson-Gaussian, sigma {sigma} at white": made(f"poisson-gaussian:{sigma}") for sigma in (5, 25, 50)},
    **{f"speckle, sigma {sigma} at white": made(f"speckle:{sigma}") for sigma in (10, 25, 50)},
    **{f"camera, sensor sigma {sigma}": made(f"camera:{sigma}") for sigma in (2, 4, 8, 16)},
    **{
        f"Gaussian, sigma 25, correlated over {reach:g} px": partial(correlated, reach=reach) for reach in (0.7, 1, 1.5)
    },
    **{
        f"Gaussian, sigma {sigma}, cut off to 8 bits": partial(cut_off, model=gaussian, sigma=sigma)
        for sigma in (15, 50)
    },
    "Poisson-Gaussian, sigma 25, cut off to 8 bits": partial(cut_off, model=poisson_gaussian, sigma=25),
}


def defect(kind: str, shape: Sequence[int], place: tuple[int, int]) -> Photo:
    """How much of a pixel a defect covers, (H, W, 1): a slanted line, 60 x 1.5 pixels, or a pit, 6 pixels across."""
    y, x = (np.arange(side, dtype=np.float32) - at for side, at in zip(shape, place, strict=False))
    y = y[:, None]
    if kind == "pit":
        cover = (3.5 - np.hypot(y, x)).clip(0, 1)
    else:
        along, across = x * np.cos(0.4) + y * np.sin(0.4), y * np.cos(0.4) - x * np.sin(0.4)
        cover = (1.25 - np.abs(across)).clip(0, 1) * (30.5 - np.abs(along)).clip(0, 1)
    return cover[..., None].astype(np.float32)


def darkened(photo: Photo, cover: Photo, contrast: float) -> Photo:
    return (photo - np.float32(contrast / 255) * cover).clip(0, 1)


def bright_place(photo: Photo, rng: Rng) -> tuple[int, int]:
    """The brightest of 50 random places at least 60 pixels inside: a dark defect needs light to take away."""
    bright = gaussian_filter(photo.mean(axis=2), 10)
    inside = [rng.integers(60, side - 60, 50) for side in bright.shape]
    best = int(bright[inside[0], inside[1]].argmax())
    return int(inside[0][best]), int(inside[1][best])


def read_photos(folder: Path, count: int) -> list[Photo]:
    """Up to `count` photographs of a folder, as (H, W, 3) in [0, 1]."""
    if not folder.is_dir():
        raise UserError(f"'{folder}' is not a folder; give one with clean photographs")
    if count < 1:
        raise UserError(f"--images must be at least 1, got {count}")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in FORMATS)
    photos = [read_image(path).upright().rgb for path in paths[:: max(len(paths) // count, 1)][:count]]
    photos = [photo for photo in photos if min(photo.shape[:2]) >= SMALLEST]
    if not photos:
        raise UserError(f"'{folder}' holds no photographs of at least {SMALLEST} pixels a side; choose another folder")
    return photos


def measure_noises(photos: Sequence[Photo]) -> list[dict[str, Any]]:
    rows = []
    for name, noise in tqdm(NOISES.items(), desc="noise", unit="kind"):
        numbers = [structure(noise(photo, np.random.default_rng(index))) for index, photo in enumerate(photos)]
        rows.append({"noise": name, **spread(numbers), "above_0.01": sum(number > 0.01 for number in numbers)})
    return rows


def measure_methods(photos: Sequence[Photo], denoise: Denoiser, sigmas: Sequence[float]) -> list[dict[str, Any]]:
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


def measure_defects(photos: Sequence[Photo], denoise: Denoiser, options: Structure) -> list[dict[str, Any]]:
    """A defect that is given to a denoiser, and the same defect removed: by an ideal denoiser and by hf_denoise."""
    rows = []
    total = 2 * len(options.sigma) * len(options.contrast) * len(photos)
    with tqdm(total=total, desc="defects", unit="picture") as bar:
        for kind in ("line", "pit"):
            for sigma in options.sigma:
                for contrast in options.contrast:
                    numbers: dict[str, list[float]] = {name: [] for name in DEFECT_COLUMNS}
                    for index, photo in enumerate(photos):
                        rng = np.random.default_rng(index)
                        damaged = darkened(photo, defect(kind, photo.shape, bright_place(photo, rng)), contrast)
                        noise = gaussian(np.zeros_like(photo), sigma, rng)
                        outputs = (damaged, photo, denoise(damaged + noise), denoise(photo + noise))
                        for name, output in zip(DEFECT_COLUMNS, outputs, strict=True):
                            numbers[name].append(structure(damaged + noise - output))
                        bar.update()
                    rows.append(
                        {
                            "defect": kind,
                            "sigma": sigma,
                            "contrast": contrast,
                            **{name: spread(values) for name, values in numbers.items()},
                        }
                    )
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
    return {"median": float(np.median(numbers)), "lowest": min(numbers), "highest": max(numbers)}


def cell(numbers: dict[str, float]) -> str:
    return f"{numbers['median']:.2f} ({numbers['lowest']:.2f} to {numbers['highest']:.2f})"


def seconds_per_megapixel() -> float:
    """Best of five on a megapixel of noise in colour: other work on the machine only adds to it."""
    noise = np.random.default_rng(0).standard_normal((1000, 1000, 3), dtype=np.float32) / 10
    times = []
    for _ in range(5):
        start = time.perf_counter()
        structure(noise)
        times.append(time.perf_counter() - start)
    return min(times)


def text(results: dict[str, Any], sigmas: Sequence[float], photos: int) -> str:
    return "\n\n".join(
        [
            "# Structure in what was removed",
            machine.sentence(results["machine"]),
            f"`hf_denoise.metrics.structure.structure` on {photos} photographs: 0 is noise alone, 1 is structure "
            "alone, at the place where that is most. A cell is the median and, in brackets, the lowest and the highest "
            f"of all photographs. One megapixel in colour takes {results['seconds_per_megapixel']:.2f} s.",
            "![The number against the share of a defect that was removed, with examples](structure.png)",
            "## True noise",
            "Noisy minus clean: the answer is 0. Noise that is cut off at black or white has no zero mean there.",
            machine.table(
                ("noise", "median", "highest", "photographs above 0.01"),
                [
                    (row["noise"], f"{row['median']:.4f}", f"{row['highest']:.4f}", str(row["above_0.01"]))
                    for row in results["noises"]
                ],
            ),
            "## Denoisers",
            "Noisy minus denoised, Gaussian noise. Non-local means are told sigma.",
            machine.table(
                ("method", *(f"sigma {sigma:g}" for sigma in sigmas)),
                [(row["method"], *(cell(row[f"sigma {sigma:g}"]) for sigma in sigmas)) for row in results["methods"]],
            ),
            "## A defect, kept and removed on purpose",
            "A dark line of 60 x 1.5 pixels or a dark pit of 6 pixels across, at a bright place of the photograph. "
            '"Ideal" takes away the noise and nothing else. "Removed" is the result for the same picture and noise '
            "without the defect: what comes out as if the defect had never been there.",
            machine.table(
                ("defect", "sigma", "contrast of 255", *DEFECT_COLUMNS),
                [
                    (
                        row["defect"],
                        f"{row['sigma']:g}",
                        f"{row['contrast']:g}",
                        *(cell(row[name]) for name in DEFECT_COLUMNS),
                    )
                    for row in results["defects"]
                ],
            ),
        ]
    )


def benchmark(options: Structure) -> None:
    """Measure all tables and draw the picture.

    Raises:
        UserError: no photographs, a model that does not load, or an output folder that cannot be written.
    """
    make_writable(options.output)
    photos = read_photos(options.photos, options.images)
    denoise = Denoiser.from_pretrained(options.model, device="cpu")
    results: dict[str, Any] = {
        "machine": machine.describe(("torch", "numpy", "scipy", "scikit-image")),
        "photographs": len(photos),
        "seconds_per_megapixel": seconds_per_megapixel(),
        "noises": measure_noises(photos),
        "methods": measure_methods(photos, denoise, options.sigma),
        "defects": measure_defects(photos, denoise, options),
        "curves": measure_curves(photos),
    }
    draw(results["curves"], examples(photos), SIGMA_OF_CURVES, options.output / "structure.png")
    machine.write(options.output, "structure", results, text(results, options.sigma, len(photos)))


if __name__ == "__main__":
    sys.exit(run(Structure, benchmark, sys.argv[1:]))
