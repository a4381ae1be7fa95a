"""Files of triplets for tests, and what was loaded of them."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
from PIL import Image


def picture(seed: int, width: int = 20, height: int = 14) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, image: np.ndarray | int, **options) -> Path:
    """Write an array, or the random picture of that number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(image) if isinstance(image, int) else image).save(path, **options)
    return path


def write_mask(path: Path, width: int = 20, height: int = 14) -> Path:
    mask = np.zeros((height, width), np.uint8)
    mask[2:5, 3:7] = 255
    return write(path, mask)


def paired(root: Path, count: int = 10, names: tuple[str, str, str] = ("clean", "mask", "degraded")) -> Path:
    clean, mask, degraded = names
    for i in range(count):
        write(root / clean / f"{i:02d}.png", i)
        write_mask(root / mask / f"{i:02d}.png")
        write(root / degraded / f"{i:02d}.png", 1000 + i)
    return root


def sizes(data: datasets.DatasetDict) -> dict[str, int]:
    return {split: len(table) for split, table in data.items()}


def rows(data: datasets.DatasetDict) -> dict[str, dict]:
    return {row["name"]: row for table in data.values() for row in table}


def names(data: datasets.DatasetDict) -> dict[str, list[str]]:
    return {split: table["name"][:] for split, table in data.items()}
