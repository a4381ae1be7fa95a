"""Denoisers and pictures for tests."""

from functools import cache
from typing import Any

import numpy as np
from skimage import data

from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.model.unet import DenoisingUNet

SMALL: dict[str, Any] = {"encoder": "resnet10t", "decoder_channels": (32, 16, 8)}


@cache
def identity() -> Denoiser:
    """A fresh residual model changes nothing: what differs was changed by the code around it."""
    return Denoiser(DenoisingUNet(**SMALL), device="cpu", tile=64)


@cache
def packaged() -> Denoiser:
    return Denoiser.from_pretrained(device="cpu", precision="float32")


def astronaut(rng: np.random.Generator, sigma: float = 25, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """(clean, noisy), (size, size, 3) float32; the noise is not clipped."""
    clean = data.astronaut()[20 : 20 + size, 160 : 160 + size].astype(np.float32) / 255
    return clean, (clean + rng.normal(0, sigma / 255, clean.shape)).astype(np.float32)
