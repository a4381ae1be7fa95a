"""Rows and pictures of an evaluation, made for tests."""

import numpy as np
import skimage.data


def crops(count: int, size: int = 96) -> list[np.ndarray]:
    photo = skimage.data.astronaut()
    return [photo[60 * n : 60 * n + size, 100 : 100 + size] for n in range(count)]


HOSTILE = "<img src=x onerror=alert(1)>$&"


def plate(kept: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(picture, clean, mask): a textured grey plate with a dark disc that keeps a share of its contrast."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :128]
    mask = (y - 40) ** 2 + (x - rng.integers(40, 90)) ** 2 < 8**2
    ground = 0.6 + 0.05 * np.sin(x / 9 + rng.uniform(0, 6))
    pictures = (np.repeat((ground - share * 0.3 * mask)[..., None], 3, axis=2) for share in (kept, 1))
    return *(picture.astype(np.float32) for picture in pictures), mask
