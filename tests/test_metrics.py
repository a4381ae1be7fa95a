import math

import numpy as np
import pytest
import skimage.data
from skimage.metrics import peak_signal_noise_ratio

from hf_denoise.metrics import noise_level, psnr, ssim

CLEAN = skimage.data.astronaut()[:160, :200].astype(np.float32) / 255


def noisy(sigma: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return CLEAN + rng.normal(0, sigma / 255, CLEAN.shape).astype(np.float32)


def test_psnr_agrees_with_scikit_image_and_theory():
    image = noisy(25)
    assert psnr(image, CLEAN) == pytest.approx(peak_signal_noise_ratio(CLEAN, image, data_range=1), abs=1e-4)
    assert psnr(image, CLEAN) == pytest.approx(-20 * math.log10(25 / 255), abs=0.1)
    assert psnr(CLEAN, CLEAN) == math.inf


def test_psnr_inside_a_mask_sees_only_the_mask():
    image = CLEAN.copy()
    image[:10, :10] += 0.1
    mask = np.zeros(CLEAN.shape[:2], bool)
    mask[:10, :10] = True
    assert psnr(image, CLEAN, mask) == pytest.approx(20, abs=1e-3)
    assert psnr(image, CLEAN, ~mask) == math.inf
    assert math.isnan(psnr(image, CLEAN, np.zeros_like(mask)))


def test_ssim_orders_noise_and_is_one_for_identity():
    assert ssim(CLEAN, CLEAN) == pytest.approx(1)
    assert 1 > ssim(noisy(5), CLEAN) > ssim(noisy(25), CLEAN) > ssim(noisy(50), CLEAN) > 0
    assert math.isnan(ssim(CLEAN[:8], CLEAN[:8]))


def test_ssim_has_the_published_value_of_flat_images():
    """Two flat images differ in luminance only: SSIM = (2ab + c1) / (a^2 + b^2 + c1), c1 = 0.01^2 (Wang et al.)."""
    a, b, c1 = 0.4, 0.6, 1e-4
    flat = np.full((32, 32, 3), a, np.float32)
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert ssim(flat, np.full_like(flat, b)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_noise_level_is_near_the_truth(sigma):
    assert noise_level(noisy(sigma)) == pytest.approx(sigma, rel=0.15)


def test_noise_level_of_tiny_images_is_a_number():
    assert noise_level(np.zeros((1, 1, 3), np.float32)) == 0
