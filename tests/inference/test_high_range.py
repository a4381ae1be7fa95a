"""Floats above white: kept where they are no noise, and denoised as well as what lies below."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage import data

from hf_denoise.errors import UserError
from hf_denoise.imaging.images import read_image
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.inference.high_range import brightest, scales
from hf_denoise.metrics.quality import psnr


@cache
def packaged() -> Denoiser:
    return Denoiser.from_pretrained(device="cpu", precision="float32", tile=128)


def astronaut() -> np.ndarray:
    return data.astronaut()[20:148, 160:288].astype(np.float32) / 255


def with_lamp() -> np.ndarray:
    """The astronaut, lit up to 6 times white on one side."""
    down, right = np.mgrid[:128, :128]
    light = np.exp(-((down - 60) ** 2 + (right - 90) ** 2) / 800)[..., None]
    return (astronaut() * (1 + 7 * light)).astype(np.float32)


@pytest.mark.parametrize("factor", [1.5, 4, 8])
def test_a_picture_on_another_scale_is_denoised_as_well(rng: np.random.Generator, factor: float) -> None:
    clean = astronaut()
    noisy = (clean + rng.normal(0, 25 / 255, clean.shape)).astype(np.float32)
    usual, scaled = packaged()(noisy), packaged()(noisy * np.float32(factor))
    assert psnr(scaled / factor, clean) > psnr(usual, clean) - 0.7
    assert scaled.max() == pytest.approx(factor, rel=0.2)


@pytest.mark.parametrize("sigma", [10, 25])
def test_lamps_stay_bright_and_lose_their_noise(rng: np.random.Generator, sigma: float) -> None:
    clean = with_lamp()
    noisy = (clean + rng.normal(0, sigma / 255, clean.shape)).astype(np.float32)
    result = packaged()(noisy)
    above = clean.max(axis=2) > 1
    assert result[above].mean() == pytest.approx(clean[above].mean(), rel=0.01)
    for part in (above, ~above):
        error = [float(np.sqrt(((picture - clean)[part] ** 2).mean())) for picture in (noisy, result)]
        assert error[1] < 0.8 * error[0]


def test_a_picture_without_noise_keeps_its_lamps() -> None:
    clean = with_lamp()
    assert np.abs(packaged()(clean) - clean).mean() < 0.01
    assert np.abs(packaged()(clean, strength=0) - clean).max() == 0


def test_a_single_bright_pixel_stays(rng: np.random.Generator) -> None:
    noisy = np.full((64, 64, 3), 0.5, np.float32) + rng.normal(0, 0.02, (64, 64, 3)).astype(np.float32)
    noisy[30:32, 30:32] = 5
    assert packaged()(noisy)[30:32, 30:32].mean() > 4


@pytest.mark.parametrize("sigma", [5, 25, 50])
def test_noise_above_white_is_no_picture(rng: np.random.Generator, sigma: float) -> None:
    clean = astronaut()
    noisy = (clean + rng.normal(0, sigma / 255, clean.shape)).astype(np.float32)
    assert noisy.max() > 1
    assert brightest(noisy) == 1
    assert packaged()(noisy).max() <= 1


def test_less_strength_is_a_blend(rng: np.random.Generator) -> None:
    noisy = (with_lamp() + rng.normal(0, 0.05, (128, 128, 3))).astype(np.float32)
    half, whole = packaged()(noisy, strength=0.5), packaged()(noisy)
    assert np.allclose(half, (noisy + (whole - noisy) / 2).clip(0), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_files_keep_them_too(tmp_path: Path, rng: np.random.Generator, dtype: type) -> None:
    clean = with_lamp()
    noisy: np.ndarray = (clean + rng.normal(0, 0.04, clean.shape)).astype(dtype)
    tifffile.imwrite(tmp_path / "in.tif", noisy, photometric="rgb")
    steps: list[tuple[int, int]] = []
    packaged().file(tmp_path / "in.tif", tmp_path / "out.tif", progress=lambda *step: steps.append(step))
    after = tifffile.imread(tmp_path / "out.tif")
    assert after.dtype == dtype
    assert after.max() == pytest.approx(clean.max(), rel=0.05)
    assert np.abs(after - clean).mean() < 0.7 * np.abs(noisy - clean).mean()
    assert steps[-1][0] == steps[-1][1]
    assert steps == sorted(steps)


def test_scales_reach_from_white_to_the_brightest() -> None:
    assert scales(1.6, 0.01) == [1.6]
    assert scales(16, 0.01) == pytest.approx([1, 4, 16])
    assert scales(16, 0.1) == pytest.approx([4, 16])  # with white at 1 the noise would be too strong
    assert scales(16, 5) == [16]


@pytest.mark.parametrize("pixels", [np.full((8, 8), 100.0), np.full((8, 8), 20.0), np.full((8, 8), -9.0)])
def test_another_scale_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(UserError, match="white is 1"):
        packaged()(pixels.astype(np.float32))
    tifffile.imwrite(tmp_path / "in.tif", pixels.astype(np.float32))
    with pytest.raises(UserError, match="--white-level"):
        read_image(tmp_path / "in.tif")
    assert pixels.min() < 0 or read_image(tmp_path / "in.tif", white_level=255).planes[0].max() < 1
