"""Denoisers of other packages, as functions of (noisy picture, sigma). All of them are told sigma."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from skimage.restoration import denoise_tv_chambolle, denoise_wavelet

from hf_denoise.arrays import FloatImage
from hf_denoise.evaluation.peers import PeerDenoiser, load_bm3d, nl_means


@dataclass(frozen=True)
class Method:
    """A denoiser with what a table says about it; `slow` ones are measured on fewer images."""

    name: str
    run: PeerDenoiser
    told_sigma: bool = True
    slow: bool = False


# The settings below that depend on sigma gave the highest PSNR on crops of BSDS500 validation photographs (five to
# eight, none of them in CBSD68) at sigma 15, 25 and 50, out of four to six values of each.


def wavelet(noisy: FloatImage, sigma: float) -> FloatImage:
    """Soft BayesShrink thresholds on wavelets in YCbCr (Chang et al., 2000)."""
    return denoise_wavelet(
        noisy, sigma=sigma / 255, method="BayesShrink", mode="soft", convert2ycbcr=True, channel_axis=-1
    )


def total_variation(noisy: FloatImage, sigma: float) -> FloatImage:
    """Total variation (Chambolle, 2004)."""
    return denoise_tv_chambolle(noisy, weight=(0.5 + 0.0075 * sigma) * sigma / 255, channel_axis=-1)


def opencv_nl_means() -> PeerDenoiser:
    """Non-local means of OpenCV, on 8 bits since it takes no others."""
    import cv2

    def run(noisy: FloatImage, sigma: float) -> FloatImage:
        pixels = (noisy.clip(0, 1) * 255).round().astype(np.uint8)
        clean = cv2.fastNlMeansDenoisingColored(
            pixels, None, h=0.6 * sigma, hColor=0.7 * sigma, templateWindowSize=3, searchWindowSize=21
        )
        return clean.astype(np.float32) / np.float32(255)

    return run


def methods(missing: list[str]) -> list[Method]:
    """All peers that are installed; for each of the others a sentence is added to `missing`."""
    found = []
    optional: tuple[tuple[str, str, Callable[[], PeerDenoiser], bool], ...] = (
        ("BM3D", "bm3d", load_bm3d, True),
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
