"""The kinds of noise that are measured, as pairs of a noisy picture and the truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.shared.pictures import QUICK_SIDE, Photo, middle, picture_files, read_photo
from hf_denoise.errors import UserError
from hf_denoise.noise.degradations import parse_degradation

SEED = 0
Pair = tuple[Photo, Photo]  # noisy, which may leave [0, 1], and the truth


@dataclass(frozen=True)
class Case:
    """A kind of noise.

    Attributes:
        name: of the row in the tables.
        degradation: what is done to a clean photograph, as `parse_degradation` reads it.
        sigma: what methods that must know it are told, on the 0..255 scale; None where each estimates it.
        grey: the photograph and the noise are the same in all three channels.
    """

    name: str
    degradation: str
    sigma: float | None = None
    grey: bool = False

    def pair(self, photo: Photo, index: int) -> Pair:
        """Degrade a photograph; the same noise for the same index."""
        if self.grey:
            photo = np.repeat(photo.mean(axis=2, keepdims=True), 3, axis=2)
        noisy, clean = parse_degradation(self.degradation).pair(photo, np.random.default_rng([SEED, index]))
        if self.grey:
            noisy = np.repeat(noisy[..., :1], 3, axis=2)
        return np.ascontiguousarray(noisy), clean


GAUSSIAN = "Gaussian, sigma 25"  # what the picture of quality over speed shows
CLEAN = ("no noise", "no noise, grey")
REAL = "real pairs"
CASES = (
    *(Case(f"Gaussian, sigma {sigma}", f"gaussian:{sigma}", sigma) for sigma in (5, 15, 25, 50)),
    *(Case(f"Gaussian, sigma 25, JPEG q{q}", f"gaussian:25+jpeg:{q}", 25) for q in (95, 85, 75)),
    Case("Poisson-Gaussian, sigma 25 at white", "poisson-gaussian:25"),
    Case("camera, sensor sigma 4", "camera:4"),
    Case("camera, sensor sigma 12", "camera:12"),
    Case("Gaussian, sigma 15, grey", "gaussian:15", 15, grey=True),
    Case("Gaussian, sigma 50, grey", "gaussian:50", 50, grey=True),
    Case(CLEAN[0], "gaussian:0"),
    Case(CLEAN[1], "gaussian:0", grey=True),
)


@dataclass(frozen=True)
class Series:
    """A kind of noise on so many pictures; `pair(index)` makes or reads one."""

    name: str
    sigma: float | None
    count: int
    pair: Callable[[int], Pair]


def series(photos: Sequence[Photo], pairs: Path | None, count: int, quick: bool) -> list[Series]:
    """All kinds of noise on all photographs, and up to `count` real pairs where there is a folder of them.

    Raises:
        UserError: the folder of real pairs cannot be used.
    """
    made = [
        Series(case.name, case.sigma, len(photos), lambda index, case=case: case.pair(photos[index], index))  # type: ignore[misc]
        for case in CASES
    ]
    if pairs is None:
        return made
    files = real_pairs(pairs, count)

    def read(index: int) -> Pair:
        noisy, clean = (middle(read_photo(path), QUICK_SIDE) if quick else read_photo(path) for path in files[index])
        if noisy.shape != clean.shape:
            raise UserError(f"--pairs: '{files[index][0].name}' has another size in degraded than in clean")
        return noisy, clean

    return [*made, Series(REAL, None, len(files), read)]


def real_pairs(folder: Path, count: int) -> list[tuple[Path, Path]]:
    """Up to `count` pairs (noisy, clean), evenly spread over those of the same name in `degraded` and `clean`."""
    noisy, clean = (
        {path.relative_to(folder / role).with_suffix(""): path for path in picture_files(folder / role)}
        for role in ("degraded", "clean")
    )
    names = sorted(noisy.keys() & clean.keys())
    if not names:
        raise UserError(f"--pairs '{folder}' has no picture of the same name in degraded and clean")
    return [(noisy[name], clean[name]) for name in names[:: max(len(names) // count, 1)][:count]]
