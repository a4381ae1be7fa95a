"""Denoisers of other packages, as functions of (noisy picture, sigma). All of them are told sigma."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

Picture = NDArray[np.floating]
# (H, W, 3) in [0, 1] with noise outside, and sigma on the 0..255 scale -> (H, W, 3).
Run = Callable[[Picture, float], Picture]


@dataclass(frozen=True)
class Method:
    """A denoiser with what a table says about it; `slow` ones are measured on fewer images."""

    name: str
    run: Run
    told_sigma: bool = True
    slow: bool = False


# The settings below that depend on sigma gave the highest PSNR on crops of BSDS500 validation photographs (five to
# eight, none of them in CBSD68) at sigma 15, 25 and 50, out of four to six values of each.


def nl_means(noisy: Picture, sigma: float) -> Picture:
    """Non-local means of scikit-image (Buades et al., 2005; Darbon et al., 2008)."""
    return denoise_nl_means(
        noisy,
        patch_size=3 if sigma < 40 else 5,
        patch_distance=6,
        h=0.5 * sigma / 255,
        sigma=sigma / 255,
        fast_mode=True,
        channel_axis=-1,
    )


def wavelet(noisy: Picture, sigma: float) -> Picture:
    """Soft BayesShrink thresholds on wavelets in YCbCr (Chang et al., 2000)."""
    return denoise_wavelet(
        noisy, sigma=sigma / 255, method="BayesShrink", mode="soft", convert2ycbcr=True, channel_axis=-1
    )


def total_variation(noisy: Picture, sigma: float) -> Picture:
    """Total variation (Chambolle, 2004)."""
    return denoise_tv_chambolle(noisy, weight=(0.5 + 0.0075 * sigma) * sigma / 255, channel_axis=-1)


def opencv_nl_means() -> Run:
    """Non-local means of OpenCV, on 8 bits since it takes no others."""
    import cv2

    def run(noisy: Picture, sigma: float) -> Picture:
        pixels = (noisy.clip(0, 1) * 255).round().astype(np.uint8)
        clean = cv2.fastNlMeansDenoisingColored(
            pixels, None, h=0.6 * sigma, hColor=0.7 * sigma, templateWindowSize=3, searchWindowSize=21
        )
        return clean.astype(np.float32) / np.float32(255)

    return run


def bm3d() -> Run:
    """BM3D of its authors (Mäkinen et al., 2020)."""
    from bm3d import bm3d_rgb

    # Above 40 the profile for very noisy images, as in the authors' CBM3D (Dabov et al., 2007).
    return lambda noisy, sigma: bm3d_rgb(noisy, sigma / 255, "np" if sigma <= 40 else "vn")


def methods(missing: list[str]) -> list[Method]:
    """All peers that are installed; for each of the others a sentence is added to `missing`."""
    found = []
    optional: tuple[tuple[str, str, Callable[[], Run], bool], ...] = (
        ("BM3D", "bm3d", bm3d, True),
        ("OpenCV non-local means", "opencv-python-headless", opencv_nl_means, False),
    )
    for name, package, load, slow in optional:
        try:
            found.append(Method(name, load(), slow=slow))
        except (ImportError, OSError):  # OSError: the package is there and its compiled library does not load
            missing.append(f"{name} is left out, as it cannot be imported; install it with: pip install {package}")
    return [
        *found,
        Method("scikit-image non-local means", nl_means),
        Method("scikit-image wavelets", wavelet),
        Method("scikit-image total variation", total_variation),
    ]
