import dataclasses

import numpy as np
import pytest
import skimage.data

from hf_denoise.metrics.quality import psnr
from hf_denoise.noise.camera import FILTERS, demosaic, develop, draw_camera, expose, photograph

CLEAN = skimage.data.astronaut()[:160, 150:310].astype(np.float32) / 255


def shots(sigma, count=24):
    return [photograph(CLEAN, CLEAN, sigma, np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS.keys())
@pytest.mark.parametrize("size", [(20, 30), (21, 31)])
def test_demosaicing_a_grey_ramp_gives_the_ramp(filters, size):
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    ramp = (rows + 2 * columns)[None] / 100
    picture = demosaic(ramp, filters, np.eye(3, dtype=np.float32))
    assert picture.shape == (1, 3, *size)
    assert np.allclose(picture[..., 2:-3, 2:-3], ramp[:, None, 2:-3, 2:-3], atol=1e-6)


def test_demosaicing_keeps_what_was_measured():
    raw = np.random.default_rng(0).random((2, 12, 16), np.float32)
    for filters in FILTERS.values():
        red, green, blue = demosaic(raw, filters, np.eye(3, dtype=np.float32)).transpose(1, 0, 2, 3)
        for colour, row, column in ((red, 0, 0), (green, 0, 1), (green, 1, 0), (blue, 1, 1)):
            assert np.allclose(colour[:, row::2, column::2], raw[:, row::2, column::2])


@pytest.mark.parametrize("seed", range(8))
def test_a_camera_gives_back_a_flat_colour(seed):
    camera = dataclasses.replace(draw_camera(np.random.default_rng(seed)), scale=1.0)
    colour = np.tile(np.array([0.5, 0.4, 0.35], np.float32), (24, 24, 1))
    assert np.allclose(develop(expose(colour, camera)[None], camera)[0].transpose(1, 2, 0), colour, atol=2e-3)


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
