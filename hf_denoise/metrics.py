"""PSNR and SSIM, overall and inside defects, and a blind estimate of the noise level."""

import math

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from skimage.restoration import estimate_sigma

SSIM_WINDOW = 11  # side of the Gaussian window of Wang et al.: sigma 1.5, cut at 3.5 sigma

Image = NDArray[np.floating]
Mask = NDArray[np.bool_]


def psnr(image: Image, clean: Image, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB over all channels.

    Args:
        image, clean: (H, W, 3), [0, 1].
        mask: (H, W) bool; only these pixels count.

    Returns:
        dB; inf for identical images, nan where the mask is empty.
    """
    error = (image.astype(np.float64) - clean) ** 2
    if mask is not None:
        if not mask.any():
            return math.nan
        error = error[mask]
    mse = float(error.mean())
    return -10 * math.log10(mse) if mse > 0 else math.inf


def ssim(image: Image, clean: Image, mask: Mask | None = None) -> float:
    """Structural similarity (Wang et al., 2004, doi:10.1109/TIP.2003.819861), Gaussian window, mean over channels.

    Args:
        image, clean: (H, W, 3), [0, 1].
        mask: (H, W) bool; the similarity map is averaged over these pixels only.

    Returns:
        At most 1; nan where the mask is empty or a side is shorter than the window of 11 pixels.
    """
    if min(clean.shape[:2]) < SSIM_WINDOW or (mask is not None and not mask.any()):
        return math.nan
    mean, similarity = structural_similarity(
        image.astype(np.float32),
        clean.astype(np.float32),
        data_range=1.0,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return float(mean) if mask is None else float(similarity[mask].mean())


def noise_level(image: Image) -> float:
    """Estimated standard deviation of the noise on the 0..255 scale (Donoho & Johnstone, 1994, on wavelets).

    Args:
        image: (H, W, 3), [0, 1]. An image too small for a wavelet step gives 0.
    """
    if min(image.shape[:2]) < 2:
        return 0.0
    sigma = estimate_sigma(image, channel_axis=-1, average_sigmas=True)
    return 255 * float(sigma) if math.isfinite(sigma) else 0.0
