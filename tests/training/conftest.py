"""Pictures that several modules train on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from train_command import picture


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(40):
        Image.fromarray(picture(np.random.default_rng(number))).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def scratched(tmp_path_factory) -> Path:
    """Clean images of two sizes with masks, some of them empty."""
    folder = tmp_path_factory.mktemp("scratched")
    for name in ("clean", "mask"):
        (folder / name).mkdir()
    for number in range(24):
        size = 20 if number % 5 == 0 else 64  # smaller and larger than the patches
        image, mask = picture(np.random.default_rng(100 + number), size), np.zeros((size, size), np.uint8)
        if number % 3:
            row = (5 + 2 * number) % size
            image[row : row + 2, 8:56], mask[row : row + 2, 8:56] = 255 - image[row : row + 2, 8:56], 255
        Image.fromarray(image).save(folder / "clean" / f"{number:02}.png")
        Image.fromarray(mask).save(folder / "mask" / f"{number:02}.png")
    return folder
