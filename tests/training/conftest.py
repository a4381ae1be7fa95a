"""Pictures that several modules train on, and a run that can be pushed."""

from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.utils import http_backoff
from PIL import Image
from published_runs import evaluate
from train_command import picture, write_pictures

from hf_denoise.training import publishing


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("photos"), 40)


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


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "x").mkdir()
    evaluate(tmp_path / "x", 100)
    return tmp_path / "x"


@pytest.fixture
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logged in, and less patient than in real life: 23 seconds for a request, 20 before the last push."""
    monkeypatch.setenv("HF_TOKEN", "hf_ada")
    assert http_backoff.__kwdefaults__ is not None
    monkeypatch.setitem(http_backoff.__kwdefaults__, "max_retries", 0)
    monkeypatch.setattr(publishing, "PAUSES", (0.0,))
