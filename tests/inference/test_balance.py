"""Luminance, colour and grain: each part of a correction is mixed in as far as asked for, and nothing else changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from hf_denoise.errors import UserError
from hf_denoise.imaging.balance import Balance, rebalance
from hf_denoise.inference.denoiser import Denoiser

LUMA = np.array((0.299, 0.587, 0.114))
CLEAN = (data.astronaut()[:256, :256] / 255).astype(np.float32)
NOISY = CLEAN + np.random.default_rng(0).normal(0, 25 / 255, CLEAN.shape).astype(np.float32)


@pytest.fixture(scope="module")
def denoise() -> Denoiser:
    return Denoiser.from_pretrained()


def noise(picture: NDArray[Any]) -> tuple[float, float]:
    """Of luminance and of colour, grey levels."""
    off = 255 * (picture - CLEAN).astype(float)
    grey = off @ LUMA
    return float(np.sqrt(np.square(grey).mean())), float(np.sqrt(np.square(off - grey[..., None]).mean()))


def test_each_kind_of_noise_goes_alone(denoise: Denoiser) -> None:
    grey, colour = noise(NOISY)
    grey_left, colour_left = noise(denoise(NOISY))
    only_colour, only_grey = noise(denoise(NOISY, luminance=0)), noise(denoise(NOISY, color=0))
    # Not to the last digit: results are cut off at black and white.
    assert only_colour == pytest.approx((grey, colour_left), rel=0.12)
    assert only_grey == pytest.approx((grey_left, colour), rel=0.12)
    half = noise(denoise(NOISY, luminance=0.5))[0]
    assert grey_left < half < 0.65 * grey


def test_strength_is_over_both(denoise: Denoiser) -> None:
    assert np.abs(denoise(NOISY, 0.6) - denoise(NOISY, 0.6, luminance=1, color=1)).max() == 0
    assert np.abs(denoise(NOISY, 0, luminance=0.5, color=0.2) - denoise(NOISY, 0)).max() < 1e-6
    # A share of both is that share.
    assert np.abs(denoise(NOISY, 0.5) - denoise(NOISY, luminance=0.5, color=0.5)).mean() < 0.002


def test_beyond_one_more_is_smoothed_and_edges_stay(denoise: Denoiser) -> None:
    flat = np.full((128, 128, 3), 0.4, np.float32)
    flat[:, 64:] = 0.7
    rng = np.random.default_rng(1)
    before = flat + rng.normal(0, 0.1, flat.shape).astype(np.float32)
    left = flat + rng.normal(0, 0.02, flat.shape).astype(np.float32)  # of a denoiser that leaves a fifth
    after = rebalance(before, left, Balance(luminance=1.5, color=1.5))
    sides = [after[10:-10, 10:50], after[10:-10, 78:118]]
    assert max(side.std(axis=(0, 1)).max() for side in sides) < 0.01
    assert sides[1].mean() - sides[0].mean() == pytest.approx(0.3, abs=0.005)
    assert after[:, 66:70].mean() - after[:, 58:62].mean() > 0.27


def test_grain_leaves_fine_noise_and_takes_blotches(denoise: Denoiser) -> None:
    flat = np.full_like(CLEAN, 0.5) + (NOISY - CLEAN)

    def spectrum(picture: NDArray[Any]) -> tuple[float, float]:
        power = np.abs(np.fft.fft2((picture - 0.5) @ LUMA)) ** 2
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
        return float(power[frequency < 0.06].mean()), float(power[frequency > 0.3].mean())

    coarse, fine = spectrum(flat)
    coarse_left, fine_left = spectrum(denoise(flat, grain=1))
    assert fine_left > 0.6 * fine
    assert coarse_left < 0.5 * coarse


def test_depth_kind_and_borders_of_strips_stay(denoise: Denoiser) -> None:
    tall = np.tile((NOISY.clip(0, 1) * 255).round().astype(np.uint8), (5, 1, 1))
    clean = np.roll(tall, 3, axis=1)
    balance = Balance(luminance=1.3, color=0.7, grain=0.3)
    whole = rebalance(tall, clean, balance)
    assert (whole.shape, whole.dtype) == (tall.shape, np.uint8)
    around = rebalance(tall[400:700], clean[400:700], balance)  # another cut into strips
    assert np.abs(whole[440:660].astype(int) - around[40:260]).max() <= 1
    grey = (NOISY[..., 0].clip(0, 1) * 65535).astype(np.uint16)
    assert np.array_equal(denoise(grey, color=0.2), denoise(grey))
    assert denoise(grey, luminance=0.5).dtype == np.uint16


def test_options_out_of_range_are_named(denoise: Denoiser, tmp_path: Path) -> None:
    options: Any
    for options in ({"luminance": 1.6}, {"color": -0.1}, {"grain": 1.1}):
        with pytest.raises(UserError, match=f"{next(iter(options))} must be from 0 to"):
            denoise(NOISY, **options)
    Image.fromarray((NOISY.clip(0, 1) * 255).astype(np.uint8)).save(tmp_path / "in.png")
    denoise.file(tmp_path / "in.png", tmp_path / "out.png", luminance=0, color=1)
    with Image.open(tmp_path / "out.png") as image:
        assert noise(np.asarray(image) / np.float32(255))[0] > 12
