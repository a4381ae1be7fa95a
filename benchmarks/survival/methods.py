"""The denoisers whose survival curves are compared, as functions of (H, W) or (H, W, 3)."""

from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.quality.methods import other_methods
from hf_denoise import Denoiser
from hf_denoise.arrays import FloatImage
from hf_denoise.imaging.blending import mix
from hf_denoise.probing.responses import PlaneDenoiser

OURS, SLOW = "hf_denoise", "BM3D"
BLUR = 1.5  # pixels, of the deliberate blur: what nobody should call a denoiser
SHARES = (0.5, 0.8)  # strengths of ours beside the full one


def methods(denoiser: Denoiser, sigma: float, missing: list[str]) -> dict[str, PlaneDenoiser]:
    """All by name; the others are told sigma. For one that is not installed a sentence is added to `missing`."""
    found: dict[str, PlaneDenoiser] = {OURS: denoiser}
    for share in SHARES:
        found[f"{OURS}, strength {share:g}"] = partial(_weaker, denoiser, share)
    for method in other_methods(missing):
        found[method.name] = partial(_in_colour, method.run, sigma)
    found["Gaussian blur"] = lambda part: gaussian_filter(part, (BLUR, BLUR, 0)[: part.ndim])
    return found


def _weaker(denoiser: Denoiser, share: float, part: FloatImage) -> FloatImage:
    return mix(part, denoiser(part), np.float32(share))


def _in_colour(run: object, sigma: float, part: FloatImage) -> FloatImage:
    """The other methods take three channels, and see themselves where these are equal."""
    assert callable(run)
    picture = part if part.ndim == 3 else np.repeat(part[..., None], 3, axis=2)
    clean = np.asarray(run(picture, sigma), np.float32).clip(0, 1)
    return clean if part.ndim == 3 else clean[..., 0]
