"""Strength: a blend of the input and the denoised image."""

import numpy as np

from hf_denoise.errors import UserError
from hf_denoise.imaging.picture import Picture


def check_strength(strength: float) -> None:
    """Raise a `UserError` unless `strength` is a number from 0 to 1."""
    if not 0 <= strength <= 1:
        raise UserError(f"strength must be from 0 (the input) to 1 (fully denoised), got {strength}")


def blend(noisy: np.ndarray, clean: np.ndarray, strength: float) -> np.ndarray:
    """`noisy + strength * (clean - noisy)`, so that another strength needs no second run of the network.

    Args:
        noisy: the input, uint8, uint16 or float, of any shape.
        clean: the output of `Denoiser` at strength 1: same shape and dtype.
        strength: 0 gives `noisy`, 1 gives `clean`.

    Raises:
        UserError: strength outside 0 to 1.
    """
    check_strength(strength)
    mixed = np.empty_like(noisy)
    for row in range(len(noisy)):  # by row: a float copy of a 100-megapixel image is 1.2 GB
        mixed[row] = mix(noisy[row], clean[row], np.float32(strength))
    return mixed


def mix(before: np.ndarray, after: np.ndarray, share: np.ndarray | np.float32) -> np.ndarray:
    """`before + share * (after - before)` as float32, whole numbers where the arrays hold whole numbers."""
    start = before.astype(np.float32)
    value = start + share * (after.astype(np.float32) - start)
    return np.rint(value) if before.dtype.kind == "u" else value


def blend_pictures(noisy: Picture, clean: Picture, strength: float) -> Picture:
    """`blend` for a decoded file and what `Denoiser.picture` made of it at strength 1."""
    planes = zip(noisy.planes, clean.planes, strict=True)
    return noisy.with_planes(tuple(blend(before, after, strength) for before, after in planes))
