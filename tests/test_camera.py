import dataclasses

import numpy as np
import pytest
import skimage.data
import torch

from hf_denoise.camera import FILTERS, demosaic, develop, draw_camera, expose, photograph
from hf_denoise.metrics import psnr

CLEAN = skimage.data.astronaut()[:160, 150:310].astype(np.float32) / 255


def shots(sigma, count=24):
    return [photograph(CLEAN, CLEAN, sigma, np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS.keys())
def test_demosaicing_a_grey_ramp_gives_the_ramp(filters):
    ramp = (torch.arange(20.0)[:, None] + 2 * torch.arange(30.0))[None] / 100
    assert torch.allclose(demosaic(ramp, filters)[:, 2:-2, 2:-2], ramp[:, 2:-2, 2:-2].expand(3, -1, -1), atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_a_camera_gives_back_a_flat_colour(seed):
    camera = dataclasses.replace(draw_camera(np.random.default_rng(seed)), scale=1.0)
    colour = torch.tensor([0.5, 0.4, 0.35])[:, None, None].expand(3, 24, 24)
    assert torch.allclose(develop(expose(colour, camera), camera), colour, atol=2e-3)


def test_without_noise_little_more_than_jpeg_is_left():
    assert min(psnr(noisy, target) for noisy, target in shots(0)) > 30


def test_noise_grows_with_sigma():
    few, many = (np.mean([psnr(noisy, target) for noisy, target in shots(sigma)]) for sigma in (2, 16))
    assert many < few - 6


def test_noise_is_correlated_between_pixels():
    def correlation(noise):
        return np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]

    assert np.mean([correlation(noisy - target) for noisy, target in shots(12)]) > 0.25


def test_the_target_asks_for_no_sharpening():
    """What the optics took away is not what separates the noisy picture from its target."""

    def correlation(noisy, target):
        return np.corrcoef((CLEAN - target).ravel(), (noisy - target).ravel())[0, 1]

    assert abs(np.mean([correlation(noisy, target) for noisy, target in shots(4)])) < 0.1


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (2, 3), (5, 4), (33, 47)])
def test_any_size(size):
    clean = np.full((*size, 3), 0.5, np.float32)
    for seed in range(6):
        for picture in photograph(clean, clean, 10, np.random.default_rng(seed)):
            assert picture.shape == clean.shape and picture.dtype == np.float32
            assert picture.min() >= 0 and picture.max() <= 1


def test_noise_that_was_there_before_stays():
    noisier = CLEAN + np.random.default_rng(1).normal(0, 0.1, CLEAN.shape).astype(np.float32)
    taken, target = photograph(noisier, CLEAN, 1, np.random.default_rng(0))
    alone, same_target = photograph(CLEAN, CLEAN, 1, np.random.default_rng(0))
    assert np.array_equal(target, same_target)
    assert psnr(taken, target) < psnr(alone, target) - 3
