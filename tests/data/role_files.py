"""Pictures whose first pixels tell their role and number."""

from __future__ import annotations

import io
from pathlib import Path

import datasets
import numpy as np
from PIL import Image

from hf_denoise.data.decoded import Decoded
from hf_denoise.data.triplets import load_triplets

CLEAN, NOISY = 60, 61  # what pictures of a role begin with


def image(role: str, number: int) -> Image.Image:
    """A picture whose first pixel tells its role, its second its number."""
    if role == "mask":
        pixels = np.zeros((9, 12), np.uint8)
        pixels[2:5, 3:6] = 255
        return Image.fromarray(pixels)
    pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    pixels[0, 0], pixels[0, 1] = {"clean": CLEAN, "degraded": NOISY}[role], number
    return Image.fromarray(pixels)


def write(root: Path, count: int = 4, **names: str) -> Path:
    """Files of each role, `{}` in their names being the number."""
    for role, name in names.items():
        for number in range(count):
            path = root / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            image(role, number).save(path)
    return root


def found(data, **options) -> dict[str, tuple[int, int | None, int | None]]:
    """For each triplet: the number of its clean image, that of its degraded one, the pixels of its mask."""
    tables = load_triplets(data, splits=(0, 0, 1), **options)
    triplets = {}
    for table in tables.values():
        for triplet in Decoded(table):
            assert triplet.clean[0, 0, 0] == CLEAN
            noisy = triplet.degraded
            assert noisy is None or noisy[0, 0, 0] == NOISY
            mask = None if triplet.mask is None else int(triplet.mask.sum())
            triplets[triplet.name] = int(triplet.clean[0, 1, 0]), None if noisy is None else int(noisy[0, 1, 0]), mask
    return triplets


def table(**columns: str) -> datasets.Dataset:
    """A table of four rows: the role of each column by its name."""

    def cell(role: str, number: int) -> dict[str, bytes]:
        encoded = io.BytesIO()
        image(role, number).save(encoded, "PNG")
        return {"bytes": encoded.getvalue()}

    cells = {name: [cell(role, number) for number in range(4)] for name, role in columns.items()}
    return datasets.Dataset.from_dict(cells, datasets.Features(dict.fromkeys(columns, datasets.Image())))
