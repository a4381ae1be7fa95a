"""Photographs to draw defects into, and what was made of them."""

from pathlib import Path

import datasets
import numpy as np
from PIL import Image
from skimage import data


def photo(number: int, grey: bool = False) -> np.ndarray:
    """A part of a photograph, another one for each number."""
    top, left = 20 * (number // 10), 30 * (number % 10)
    crop = data.astronaut()[top : top + 60, left : left + 72]
    return crop[..., 1] if grey else crop


def write_photos(folder: Path, count: int = 10, start: int = 0, grey: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        Image.fromarray(photo(number, grey)).save(folder / f"{number:02d}.png")
    return folder


def rows(folder: Path) -> dict[str, dict]:
    loaded = datasets.load_dataset(str(folder))
    return {row["name"]: {**row, "split": split} for split, table in loaded.items() for row in table}


def pixels(folder: Path) -> dict[str, list[bytes]]:
    return {
        name: [row[column].tobytes() for column in ("clean", "mask", "degraded") if column in row]
        for name, row in rows(folder).items()
    }
