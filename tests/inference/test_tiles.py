"""Tiles, their grid, and how much of a large picture is held."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from denoisers import SMALL, identity, packaged
from PIL import Image
from skimage import data

from hf_denoise.cpu import keep_freed_memory
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.inference.tiles import grid_step, spans
from hf_denoise.model.unet import DenoisingUNet


@pytest.mark.slow
@pytest.mark.parametrize("size", [(300, 260), (261, 402)])
def test_tiles_agree_with_the_whole_image(rng: np.random.Generator, size: tuple[int, int]) -> None:
    noisy = data.astronaut()[: size[0], : size[1]].astype(np.float32) / 255
    noisy = noisy + rng.normal(0, 25 / 255, noisy.shape).astype(np.float32)
    tiled = Denoiser(packaged().model, device="cpu", precision="float32", tile=64)
    assert tiled.tiles(size[1], size[0]) > 1
    assert packaged().tiles(size[1], size[0]) == 1
    difference = np.abs(tiled(noisy) - packaged()(noisy))
    assert difference.max() < 1 / 255
    assert difference.mean() < 0.02 / 255


@pytest.mark.parametrize("tile", [32, 64, 512])
@pytest.mark.parametrize("length", [1, 31, 129, 160, 161, 192, 193, 224, 1000, 4096])
def test_spans_cover_an_axis_once_on_the_grid(tile: int, length: int) -> None:
    cores: list[int] = []
    windows: list[slice] = []
    for window, core in spans(length, tile, 64):
        assert window.start % 32 == 0
        assert window.stop - window.start <= tile + 128
        assert core.start - window.start == (64 if cores else 0)
        assert window.stop - core.stop == (64 if core.stop < length else 0) or core.stop == length
        cores += range(core.start, core.stop)
        windows.append(window)
    assert cores == list(range(length))
    assert windows[-1].stop == length
    assert len(windows) == 1 or windows[-1].stop - windows[-1].start > 128


def test_tiles_start_on_the_grid_of_the_channel_gates() -> None:
    assert grid_step(DenoisingUNet(**SMALL)) == 32
    assert grid_step(DenoisingUNet(**SMALL, gate_window=0)) == 16
    assert Denoiser(DenoisingUNet(**SMALL), tile=100, device="cpu").tile == 128


def test_progress_counts_every_tile_of_every_plane(tmp_path: Path, rng: np.random.Generator) -> None:
    seen: list[tuple[int, int]] = []
    image = rng.integers(0, 256, (300, 200, 3)).astype(np.uint8)
    identity()(image, progress=lambda done, total: seen.append((done, total)))
    tiles = identity().tiles(200, 300)
    assert seen == [(done, tiles) for done in range(1, tiles + 1)]
    seen.clear()
    Image.frombytes("CMYK", (200, 300), rng.integers(0, 256, 240_000).astype(np.uint8).tobytes()).save(
        tmp_path / "a.tif"
    )
    identity().file(tmp_path / "a.tif", tmp_path / "b.tif", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 2 * tiles) for done in range(1, 2 * tiles + 1)]


GLIBC = """
import resource, sys
import numpy
from hf_denoise.imaging.blending import blend, blend_pictures
from hf_denoise.cpu import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
block = 64 << 18
numpy.empty(block, numpy.float32).fill(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    numpy.empty(block, numpy.float32).fill(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not keep_freed_memory(), reason="the C library is not glibc")
def test_freed_memory_is_used_again() -> None:
    faults = {
        mode: int(subprocess.run([sys.executable, "-c", GLIBC, mode], capture_output=True, check=True).stdout)
        for mode in ("default", "keep")
    }
    assert faults["keep"] * 5 < faults["default"]
