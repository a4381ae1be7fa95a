"""Denoisers of other packages, as functions of (noisy picture, sigma), to measure a model beside."""

from collections.abc import Callable, Sequence
from functools import wraps

import numpy as np
from skimage.restoration import denoise_nl_means

from hf_denoise.arrays import FloatImage
from hf_denoise.errors import UserError

# (H, W, 3) in [0, 1] with noise outside, and sigma on the 0..255 scale -> (H, W, 3).
PeerDenoiser = Callable[[FloatImage, float], FloatImage]

SMALLEST = 16  # side in pixels up to which pictures are padded: BM3D refuses those smaller than its blocks


def grey_as_one_channel(run: PeerDenoiser) -> PeerDenoiser:
    """Give `run` one channel (H, W) of a picture whose channels are equal, and repeat what it gives.

    Three channels with the same noise are not what a method for colour expects, and take it three times as long.
    """

    @wraps(run)
    def wrapped(noisy: FloatImage, sigma: float) -> FloatImage:
        height, width = noisy.shape[:2]
        grey = bool((noisy == noisy[..., :1]).all())
        margins = (0, max(SMALLEST - height, 0)), (0, max(SMALLEST - width, 0)), (0, 0)
        padded = np.pad(noisy, margins, mode="symmetric")
        clean = np.asarray(run(padded[..., 0] if grey else padded, sigma))
        return (np.repeat(clean[..., None], 3, axis=2) if grey else clean)[:height, :width]

    return wrapped


# The settings below that depend on sigma gave the highest PSNR at sigma 15, 25 and 50 on crops of BSDS500 validation
# photographs (five to eight in colour, six in grey, none of them in CBSD68), out of four to seven values of each.


@grey_as_one_channel
def nl_means(noisy: FloatImage, sigma: float) -> FloatImage:
    """Non-local means of scikit-image (Buades et al., 2005; Darbon et al., 2008)."""
    colour = noisy.ndim == 3
    return denoise_nl_means(
        noisy,
        patch_size=3 if colour and sigma < 40 else 5,
        patch_distance=6,
        h=(0.5 if colour else 0.65) * sigma / 255,
        sigma=sigma / 255,
        fast_mode=True,
        channel_axis=-1 if colour else None,
    )


def load_nl_means() -> PeerDenoiser:
    """Non-local means; scikit-image is always there."""
    return nl_means


def load_bm3d() -> PeerDenoiser:
    """BM3D of its authors (Mäkinen et al., 2020); the package is optional, its licence is for non-commercial use.

    Raises:
        ImportError, OSError: it is not installed, or its compiled library does not load.
    """
    import bm3d

    @grey_as_one_channel
    def run(noisy: FloatImage, sigma: float) -> FloatImage:
        # Above 40 the profile for very noisy images, as in the authors' CBM3D (Dabov et al., 2007).
        profile = "np" if sigma <= 40 else "vn"
        return (bm3d.bm3d_rgb if noisy.ndim == 3 else bm3d.bm3d)(noisy, sigma / 255, profile)

    return run


PEERS: dict[str, Callable[[], PeerDenoiser]] = {"nl-means": load_nl_means, "bm3d": load_bm3d}


def load_peers(names: Sequence[str]) -> dict[str, PeerDenoiser]:
    """The peers of these names, among `PEERS`, in this order.

    Raises:
        UserError: an unknown name, or a package that is not installed.
    """
    peers = {}
    for name in names:
        if name not in PEERS:
            raise UserError(f"--peers: unknown '{name}'; choose from {', '.join(PEERS)}")
        try:
            peers[name] = PEERS[name]()
        except (ImportError, OSError) as error:
            raise UserError(
                f"--peers {name} needs a package that cannot be imported; install it with `pip install {name}` (mind "
                "its licence), or leave it out"
            ) from error
    return peers
