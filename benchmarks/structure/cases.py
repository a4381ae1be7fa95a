"""Noise and defects whose structure number is known beforehand."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.shared.pictures import Photo
from hf_denoise.noise.degradations import gaussian, parse_degradation, poisson_gaussian

Rng = np.random.Generator
MARGIN = 60  # pixels around the middle of a defect: the line is 60 long
SMALLEST = 200  # pixels a side of a photograph: a defect is to lie well inside


def cut_off(photo: Photo, rng: Rng, model: Callable[[Photo, float, Rng], Photo], sigma: float) -> Photo:
    """The noise that is left when the noisy picture is cut off at black and white and rounded to 8 bits."""
    return np.rint(model(photo, sigma, rng).clip(0, 1) * 255) / np.float32(255) - photo


def correlated(photo: Photo, rng: Rng, reach: float) -> Photo:
    """Gaussian noise of sigma 25, smoothed by as many pixels as `reach` says."""
    noise = gaussian_filter(rng.standard_normal(photo.shape, dtype=np.float32), (reach, reach, 0))
    return noise * np.float32(25 / 255 / noise.std())


def noise_of(spec: str) -> Callable[[Photo, Rng], Photo]:
    """The noise of one of the package's own degradations: noisy minus target."""

    def noise(photo: Photo, rng: Rng) -> Photo:
        noisy, target = parse_degradation(spec).pair(photo, rng)
        return noisy - target

    return noise


NOISES: dict[str, Callable[[Photo, Rng], Photo]] = {
    **{f"Gaussian, sigma {sigma}": noise_of(f"gaussian:{sigma}") for sigma in (2, 15, 25, 50, 75)},
    "Gaussian, sigma 25, grey": lambda photo, rng: np.repeat(noise_of("gaussian:25")(photo[..., :1], rng), 3, axis=2),
    **{f"Poisson-Gaussian, sigma {sigma} at white": noise_of(f"poisson-gaussian:{sigma}") for sigma in (5, 25, 50)},
    **{f"speckle, sigma {sigma} at white": noise_of(f"speckle:{sigma}") for sigma in (10, 25, 50)},
    **{f"camera, sensor sigma {sigma}": noise_of(f"camera:{sigma}") for sigma in (2, 4, 8, 16)},
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
    """A photograph with a dark defect; `contrast` on the 0..255 scale."""
    return (photo - np.float32(contrast / 255) * cover).clip(0, 1)


def bright_place(photo: Photo, rng: Rng) -> tuple[int, int]:
    """The brightest of 50 random places well inside: a dark defect needs light to take away."""
    bright = gaussian_filter(photo.mean(axis=2), 10)
    inside = [rng.integers(MARGIN, side - MARGIN, 50) for side in bright.shape]
    best = int(bright[inside[0], inside[1]].argmax())
    return int(inside[0][best]), int(inside[1][best])
