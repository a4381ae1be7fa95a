"""Photographs, and plates with scratches, to evaluate on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_rows import HOSTILE, crops, plate


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, crop in enumerate(crops(4)):
        Image.fromarray(crop).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def plates(tmp_path_factory) -> Path:
    """Clean plates with masks: four of a class of a hostile name, two of "pit", one of "good" without a defect."""
    root = tmp_path_factory.mktemp("data") / "<b>plates"
    for number, defect in enumerate([HOSTILE] * 4 + ["pit"] * 2 + ["good"]):
        _, clean, mask = plate(seed=number)
        for role, image in (("images", clean), ("masks", mask & (defect != "good"))):
            file = root / role / defect / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            grey = image[..., 0] if image.ndim == 3 else image
            Image.fromarray((grey * 255.0).round().astype(np.uint8)).save(file)
    return root
