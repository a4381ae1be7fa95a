"""What noise does not explain is put back: clean pictures stay, texture stays, and noise goes as before."""

import numpy as np
import pytest
import torch
from denoisers import packaged
from skimage import data

from hf_denoise import Denoiser
from hf_denoise.inference.restraint import Corrections, apply_gains
from hf_denoise.metrics.quality import psnr


def alone(denoise: Denoiser, image: np.ndarray) -> np.ndarray:
    """What the network makes of a picture, without restraint."""
    with torch.inference_mode():
        output = denoise.model(torch.from_numpy(image).permute(2, 0, 1)[None])[0]
    return output.clip(0, 1).permute(1, 2, 0).numpy()


def correct(noisy: np.ndarray, clean: np.ndarray) -> np.ndarray:
    corrections = Corrections.of_size(*noisy.shape[:2])
    corrections.add(0, 0, *(torch.from_numpy(image).permute(2, 0, 1) for image in (noisy, clean)))
    output = clean.copy()
    apply_gains(noisy, output, corrections.gains(), 1.0)
    return output


@pytest.mark.parametrize("name", ["astronaut", "coffee", "cat", "rocket"])
def test_a_picture_without_noise_stays(name: str) -> None:
    image = getattr(data, name)()[:384, :384]
    assert psnr(packaged()(image) / 255, image / 255) > 45


@pytest.mark.slow
def test_weak_noise_goes_and_texture_under_it_stays() -> None:
    denoise = packaged()
    rng = np.random.default_rng(0)
    for image in (data.grass(), data.gravel(), data.brick()):
        clean = np.dstack([image[:384, :384] / 255] * 3) * np.array([1, 0.97, 0.9])
        noisy = (clean + rng.normal(0, 2 / 255, clean.shape)).astype(np.float32)
        output = denoise(noisy)
        assert psnr(output, clean) > psnr(alone(denoise, noisy), clean) - 0.4
        assert psnr(output, clean) > psnr(noisy, clean) - 0.5


def test_strong_noise_goes_as_without_restraint() -> None:
    denoise = packaged()
    clean = data.astronaut()[:384, :384].astype(np.float32) / 255
    noisy = (clean + np.random.default_rng(0).normal(0, 30 / 255, clean.shape)).astype(np.float32)
    assert np.abs(denoise(noisy) - alone(denoise, noisy)).mean() < 0.1 / 255


def test_a_region_that_lost_more_than_noise_gets_it_back() -> None:
    """Noise everywhere, texture in a corner, and a network that takes both away."""
    rng = np.random.default_rng(0)
    flat = np.full((320, 320, 3), 0.5, np.float32)
    noise = rng.normal(0, 3 / 255, flat.shape).astype(np.float32)
    texture = np.zeros_like(flat)
    texture[:128, :128] = rng.normal(0, 15 / 255, (128, 128, 1))
    output = correct(flat + noise + texture, flat)
    assert psnr(output[:96, :96], (flat + texture)[:96, :96]) > psnr(flat[:96, :96], (flat + texture)[:96, :96]) + 2
    assert np.abs(output[176:, 176:] - flat[176:, 176:]).mean() < 0.1 / 255


def test_more_noise_where_there_is_more_light_is_noise() -> None:
    light = np.linspace(0.1, 0.9, 320, dtype=np.float32)[:, None, None] * np.ones((1, 320, 3), np.float32)
    noise = np.random.default_rng(0).normal(0, 1, light.shape) * 20 / 255 * np.sqrt(light)
    output = correct((light + noise).astype(np.float32), light)
    assert psnr(output, light) > psnr(light + noise, light) + 15


def test_a_border_without_noise_does_not_keep_the_noise_inside() -> None:
    clean = np.full((384, 384, 3), 0.5, np.float32)
    noisy = clean.copy()
    noise = np.random.default_rng(0).normal(0, 20 / 255, (160, 160, 3)).astype(np.float32)
    noisy[112:272, 112:272] += noise
    assert psnr(correct(noisy, clean)[144:240, 144:240], clean[144:240, 144:240]) > 40


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_tiles_are_restrained_as_the_whole(kind: type) -> None:
    image = data.astronaut()[:400, :370]
    noisy = (image / 255 + np.random.default_rng(0).normal(0, 1.5 / 255, image.shape)).clip(0, 1).astype(np.float32)
    if kind is not np.float32:
        noisy = np.rint(noisy * np.iinfo(kind).max).astype(kind)
    whole, tiled = (
        Denoiser.from_pretrained(device="cpu", precision="float32", tile=tile)(noisy) for tile in (1024, 64)
    )
    full = 1 if kind is np.float32 else np.iinfo(kind).max
    assert np.abs(whole.astype(np.float64) - tiled).max() <= full / 255
