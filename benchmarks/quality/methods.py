"""The denoisers that are compared, as functions of (noisy picture, sigma on the 0..255 scale)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.restoration import denoise_wavelet, estimate_sigma

from hf_denoise import Denoiser
from hf_denoise.evaluation.peers import grey_as_one_channel, load_bm3d, nl_means

OURS = "hf_denoise"
ALONE = "hf_denoise, network alone"
Pixels = NDArray[np.floating]
Run = Callable[[Pixels, float], Pixels]


@dataclass(frozen=True)
class Method:
    """A denoiser with what a table says about it; `slow` ones are measured on fewer pictures."""

    name: str
    run: Run
    told_sigma: bool = True
    slow: bool = False


def our_methods(model: str | None) -> tuple[list[Method], str]:
    """`Denoiser` as it comes, its network alone, and its self-ensemble; and the precision that it chose."""
    denoiser = Denoiser.from_pretrained(model, device="cpu")
    ensemble = Denoiser.from_pretrained(model, device="cpu", self_ensemble=True)
    methods = [
        Method(OURS, lambda noisy, sigma: denoiser(noisy), told_sigma=False),
        Method(ALONE, lambda noisy, sigma: network_alone(denoiser, noisy), told_sigma=False),
        Method("hf_denoise, self-ensemble", lambda noisy, sigma: ensemble(noisy), told_sigma=False),
    ]
    return methods, denoiser.precision


@torch.inference_mode()
def network_alone(denoiser: Denoiser, noisy: Pixels) -> Pixels:
    """What the network makes of a picture without tiles and without what `Denoiser` does around it."""
    batch = torch.from_numpy(noisy).permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=denoiser.precision == "bfloat16"):
        output = denoiser.model(batch)[0]
    return output.float().clamp(0, 1).permute(1, 2, 0).numpy()


@grey_as_one_channel
def wavelets(noisy: Pixels, sigma: float) -> Pixels:
    """Soft BayesShrink thresholds on wavelets, colour in YCbCr (Chang et al., 2000)."""
    colour = noisy.ndim == 3
    return denoise_wavelet(
        noisy,
        sigma=sigma / 255,
        method="BayesShrink",
        mode="soft",
        convert2ycbcr=colour,
        channel_axis=-1 if colour else None,
    )


def other_methods(missing: list[str]) -> list[Method]:
    """The other denoisers; for one that is not installed a sentence is added to `missing`."""
    found = [
        Method("non-local means", nl_means),
        Method("wavelets", wavelets),
    ]
    try:
        found.insert(0, Method("BM3D", load_bm3d(), slow=True))
    except (ImportError, OSError):  # OSError: the package is there and its compiled library does not load
        missing.append("BM3D is left out; install it with `pip install bm3d` (for non-commercial use).")
    return found


def estimated_sigma(noisy: Pixels) -> float:
    """The noise of a picture as its wavelets tell (Donoho and Johnstone, 1994), on the 0..255 scale, at least 0.5."""
    return max(255 * float(estimate_sigma(noisy, channel_axis=-1, average_sigmas=True)), 0.5)
