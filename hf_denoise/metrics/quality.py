"""PSNR and SSIM, overall and inside defects, the contrast of defects, and a blind estimate of the noise level."""

import math
import warnings

import numpy as np
import pywt
from scipy.ndimage import distance_transform_edt, find_objects
from skimage.metrics import structural_similarity
from skimage.restoration import estimate_sigma

from hf_denoise.arrays import FloatImage, Mask

SSIM_WINDOW = 11  # side of the Gaussian window of Wang et al.: sigma 1.5, cut at 3.5 sigma

# The ring that a defect is compared with, in pixels from the mask. On the blowholes of the magnetic tiles (Huang et
# al., 2018) the contrast is 3 % below what it is with wider gaps, since edges are soft and masks are drawn by hand, and
# 8 % below without a gap. A wide ring has a steady mean; a narrow one does not run into other things.
RING_GAP = 2
RING_WIDTH = 5
NORMAL_QUARTILE = 0.6744897501960817  # half of what is normally distributed is nearer to the mean, in deviations
MIN_CONTRAST = 2 / 255  # below, the ratio of two contrasts is mostly noise and rounding


def psnr(image: FloatImage, clean: FloatImage, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB over all channels.

    Args:
        image, clean: (H, W, 3), [0, 1].
        mask: (H, W) bool; only these pixels count.

    Returns:
        dB; inf for identical images, nan where the mask is empty or a pixel is NaN.
    """
    error = (image.astype(np.float64) - clean) ** 2
    if mask is not None:
        if not mask.any():
            return math.nan
        error = error[mask]
    mse = float(error.mean())
    return math.inf if mse == 0 else -10 * math.log10(mse)


def ssim(image: FloatImage, clean: FloatImage, mask: Mask | None = None) -> float:
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


def contrast(image: FloatImage, mask: Mask) -> float:
    """How much a defect stands out: its mean minus that of the ring around it, on the mean of the channels.

    The ring is the pixels more than 2 and up to 7 pixels away from the mask (`RING_GAP`, `RING_WIDTH`; Euclidean). The
    gap keeps soft edges out. All defects of a mask count together, pixel by pixel.

    Args:
        image: (H, W, 3), [0, 1].
        mask: (H, W) bool.

    Returns:
        -1 to 1, negative for a dark defect; nan where the mask is empty or leaves no ring.
    """
    if not mask.any():
        return math.nan
    # Only the surroundings of the mask matter: a distance for every pixel of a large image would take seconds.
    reach = RING_GAP + RING_WIDTH
    box = tuple(slice(max(side.start - reach, 0), side.stop + reach) for side in find_objects(mask.astype(np.uint8))[0])
    inside = mask[box]
    distance = distance_transform_edt(~inside)
    ring = (distance > RING_GAP) & (distance <= reach)
    if not ring.any():
        return math.nan
    grey = image[box].mean(axis=2, dtype=np.float64)
    return float(grey[inside].mean() - grey[ring].mean())


def contrast_kept(image: FloatImage, clean: FloatImage, mask: Mask) -> float:
    """Share of the contrast of a defect that is left in an image, see `contrast`.

    Args:
        image, clean: (H, W, 3), [0, 1].
        mask: (H, W) bool, the defect.

    Returns:
        1 = all of it, 0 = the defect is gone, negative = it is inverted; noise and overshoot take it beyond 1. nan
        where the mask is empty or leaves no ring, or the contrast of the clean image is under 2/255.
    """
    whole = contrast(clean, mask)
    return contrast(image, mask) / whole if abs(whole) >= MIN_CONTRAST else math.nan


def noise_level(image: FloatImage) -> float:
    """Estimated standard deviation of the noise on the 0..255 scale (Donoho & Johnstone, 1994, on wavelets).

    Args:
        image: (H, W, 3), [0, 1], or (N, H, W, 3), parts of one image. An image too small for a wavelet step gives 0,
            and a channel that is all black does not count.
    """
    if min(image.shape[-3:-1]) < 2:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a channel that is all black: it gives nan
        found = _sigmas_of_parts(image) if image.ndim == 4 else estimate_sigma(image, channel_axis=-1)
        sigmas = [sigma for sigma in found if math.isfinite(sigma)]
    return 255 * float(np.mean(sigmas)) if sigmas else 0.0


def _sigmas_of_parts(parts: FloatImage) -> list[float]:
    """As `estimate_sigma` for each channel of (N, H, W, C), without what the edges of the parts make up."""
    details = np.moveaxis(pywt.dwtn(parts, "db2", axes=(1, 2))["dd"][:, 1:-1, 1:-1], -1, 0)
    return [float(np.median(np.abs(channel[channel != 0])) / NORMAL_QUARTILE) for channel in details]
