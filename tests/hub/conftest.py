"""A saved model, and how it is loaded without a cache that others share."""

import shutil
from pathlib import Path

import pytest
from saved_models import REPORT, build

from hf_denoise.model.unet import DenoisingUNet


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = build()
    model.report = REPORT
    folder = tmp_path_factory.mktemp("original") / "model"
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def saved(original: Path, tmp_path: Path) -> Path:
    """A folder with a measured model."""
    return shutil.copytree(original, tmp_path / "model")


@pytest.fixture
def load(tmp_path: Path):
    """`from_pretrained` with a cache of its own."""
    return lambda name, **options: DenoisingUNet.from_pretrained(name, **{"cache_dir": tmp_path / "cache", **options})
