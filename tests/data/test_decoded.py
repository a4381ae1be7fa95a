"""The memory-mapped copy gives what the files give, is made once, and follows changes."""

import os
import time

import datasets
import numpy as np
import pytest
from PIL import Image

from hf_denoise.data.decoded import Decoded, MemoryMapped
from hf_denoise.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    """Colour, grey and 16-bit grey images of different sizes; one without a mask."""
    rng = np.random.default_rng(0)
    images = {
        "colour": rng.integers(0, 256, (20, 31, 3), np.uint8),
        "grey": rng.integers(0, 256, (27, 12), np.uint8),
        "deep": rng.integers(0, 65536, (9, 40)).astype(np.uint16),
    }
    for part in ("clean", "degraded", "mask"):
        (tmp_path / "data" / part).mkdir(parents=True)
    for name, pixels in images.items():
        Image.fromarray(pixels).save(tmp_path / "data/clean" / f"{name}.png")
        Image.fromarray(pixels[::-1].copy()).save(tmp_path / "data/degraded" / f"{name}.png")
        if name != "grey":
            mask = np.zeros(pixels.shape[:2], np.uint8)
            mask[2:5, 3:9] = 255
            Image.fromarray(mask).save(tmp_path / "data/mask" / f"{name}.png")
    return tmp_path / "data"


def table(folder):
    """The images as `load_triplets` gives them; grey has no mask."""
    names = ["colour", "grey", "deep"]
    columns: dict[str, list[str | None]] = {
        part: [str(folder / part / f"{name}.png") for name in names] for part in ("clean", "degraded", "mask")
    }
    columns["mask"][1] = None
    features = {"name": datasets.Value("string"), **dict.fromkeys(columns, datasets.Image())}
    return datasets.Dataset.from_dict({"name": names, **columns}, features=datasets.Features(features))


def test_copy_equals_the_files(folder):
    source = table(folder)
    copy = MemoryMapped(source)
    assert len(copy) == 3 and copy.largest_side == 40
    for ours, theirs in zip(iter(copy), Decoded(source), strict=True):
        assert ours.name == theirs.name
        for name in ("clean", "degraded", "mask"):
            one, other = getattr(ours, name), getattr(theirs, name)
            assert (one is None) == (other is None)
            if one is not None:
                assert one.dtype == other.dtype and np.array_equal(one, other)
        assert np.array_equal(ours.defect_pixels, theirs.defect_pixels)
    assert {triplet.clean.dtype.name for triplet in iter(copy)} == {"uint8", "uint16"}


def test_copy_is_made_once_and_anew_when_a_file_changes(folder, cache):
    MemoryMapped(table(folder))
    made = {path: path.stat().st_mtime_ns for path in cache.rglob("*.arrow")}
    assert len(made) == 1
    MemoryMapped(table(folder))
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.arrow")} == made
    changed = folder / "clean/colour.png"
    Image.new("RGB", (31, 20), (1, 2, 3)).save(changed)
    os.utime(changed, ns=(time.time_ns(), time.time_ns() + 1))
    found = {triplet.name: triplet for triplet in iter(MemoryMapped(table(folder)))}
    assert (found["colour"].clean == (1, 2, 3)).all()


def test_file_that_vanishes_meanwhile_is_named(folder):
    source = table(folder)
    (folder / "clean/deep.png").unlink()
    with pytest.raises(UserError, match=r"deep\.png"):
        MemoryMapped(source)
