import math

import numpy as np
import pytest
import skimage.data
from scipy.ndimage import binary_dilation, gaussian_filter
from skimage.metrics import peak_signal_noise_ratio

from hf_denoise.metrics.quality import contrast, contrast_kept, noise_level, psnr, ssim

CLEAN = skimage.data.astronaut()[:160, :200].astype(np.float32) / 255


def noisy(sigma: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return CLEAN + rng.normal(0, sigma / 255, CLEAN.shape).astype(np.float32)


def test_psnr_agrees_with_scikit_image_and_theory():
    image = noisy(25)
    assert psnr(image, CLEAN) == pytest.approx(peak_signal_noise_ratio(CLEAN, image, data_range=1), abs=1e-4)
    assert psnr(image, CLEAN) == pytest.approx(-20 * math.log10(25 / 255), abs=0.1)
    assert psnr(CLEAN, CLEAN) == math.inf
    assert math.isnan(psnr(np.where(np.arange(3) == 1, math.nan, CLEAN), CLEAN))


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


def test_a_black_channel_has_no_say_in_the_noise_level():
    assert noise_level(noisy(25) * np.array([1, 0, 0], np.float32)) == pytest.approx(25, rel=0.15)


def plate(contrast: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """A grey plate with a dark disc, and the disc's mask."""
    y, x = np.mgrid[:80, :100]
    mask = (y - 40) ** 2 + (x - 45) ** 2 < 10**2
    grey = np.full(mask.shape, 0.6) - contrast * mask
    return np.repeat(grey[..., None], 3, axis=2).astype(np.float32), mask


def test_contrast_is_the_step_between_defect_and_surroundings():
    clean, mask = plate(0.2)
    assert contrast(clean, mask) == pytest.approx(-0.2, abs=1e-6)
    assert contrast(1 - clean, mask) == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("kept", [1.0, 0.5, 0.0, -0.5])
def test_contrast_kept_is_the_share_that_is_left(kept):
    clean, mask = plate(0.2)
    image, _ = plate(0.2 * kept)
    assert contrast_kept(image, clean, mask) == pytest.approx(kept, abs=1e-5)


def test_contrast_kept_does_not_mind_brightness_noise_or_what_is_far_away():
    clean, mask = plate()
    rng = np.random.default_rng(0)
    assert contrast_kept(clean + 0.1, clean, mask) == pytest.approx(1, abs=1e-4)
    assert contrast_kept(clean + rng.normal(0, 0.1, clean.shape), clean, mask) == pytest.approx(1, abs=0.1)
    far = clean.copy()
    far[:20] = 0
    assert contrast_kept(far, clean, mask) == pytest.approx(1, abs=1e-5)


def test_soft_edges_are_not_lost_contrast():
    """Edges of a defect that spill a pixel or two over the mask lie in the gap."""
    clean, mask = plate()
    spilt = clean.copy()
    spilt[binary_dilation(mask, iterations=2)] = clean[mask].mean()
    assert contrast_kept(spilt, clean, mask) == pytest.approx(1, abs=1e-5)
    wiped = gaussian_filter(clean, (12, 12, 0))
    assert contrast_kept(wiped, clean, mask) < 0.5


def test_contrast_kept_is_nan_where_there_is_none():
    clean, mask = plate()
    for without in (np.zeros_like(mask), np.ones_like(mask)):
        assert math.isnan(contrast_kept(clean, clean, without))
    faint, _ = plate(1.9 / 255)
    assert math.isnan(contrast_kept(clean, faint, mask))
    visible, _ = plate(2.1 / 255)
    assert contrast_kept(visible, visible, mask) == pytest.approx(1)


def test_contrast_at_the_border_of_the_image():
    """The ring is cut off there, and the crop that is looked at must not wrap around."""
    clean, _ = plate(0)
    mask = np.zeros(clean.shape[:2], bool)
    mask[:6, -6:] = True
    clean[mask] += 0.3
    assert contrast(clean, mask) == pytest.approx(0.3, abs=1e-6)
