"""Luminance and colour noise taken away to different degrees, and fine grain left in, after the network has run.

A correction has a part that is alike in all channels, the luminance, and the rest, which is colour. Each is mixed in as
far as asked for. Beyond 1, what the network has left is smoothed as well, where it varies no more than the noise that
was there: by the guided filter of He, Sun and Tang, "Guided Image Filtering" (ECCV 2010), guided by the picture itself.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from hf_denoise.arrays import full_scale
from hf_denoise.errors import UserError

Plane = NDArray[np.generic]
Floats = NDArray[np.floating]

MOST = 1.5
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)  # as in JPEG
_FINE = 1.0  # pixels, standard deviation: what is finer is grain
_LEFT = np.float32(0.25)  # of the variance of what was removed: what varies more is no noise that was left
_WINDOW = 7  # pixels a side, of the guided filter
_STRIP, _MARGIN = 512, 16  # rows at a time, and those around them that the filters see


@dataclass(frozen=True)
class Balance:
    """How far each part of a correction is mixed in.

    Attributes:
        luminance: from 0, none of the luminance noise is removed, to 1.5; up to 1 a share of the correction.
        color: the same of colour noise. Without effect on grey pictures.
        grain: share, from 0 to 1, of the finest luminance noise, under about 2 pixels, that stays.

    Raises:
        UserError: one of them out of its range.
    """

    luminance: float = 1.0
    color: float = 1.0
    grain: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("luminance", MOST), ("color", MOST), ("grain", 1.0)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise UserError(f"{name} must be from 0 to {most:g}, got {value:g}")

    @property
    def is_plain(self) -> bool:
        """Whether the correction stays as it is."""
        return (self.luminance, self.color, self.grain) == (1, 1, 0)


PLAIN = Balance()
"""All of the correction, as it is."""


def rebalance(noisy: Plane, clean: Plane, balance: Balance) -> Plane:
    """Mix luminance and colour noise in anew.

    Args:
        noisy: (H, W) or (H, W, 3), uint8, uint16 or float.
        clean: what a denoiser made of it, of the same shape and dtype.
        balance: how far.

    Returns:
        The same shape and dtype; `clean` itself where the balance is plain.
    """
    if balance.is_plain:
        return clean
    full = full_scale(clean.dtype)
    top = max(full, float(clean.max(initial=0))) if clean.dtype.kind == "f" else full
    result = np.empty_like(clean)

    def fill(start: int) -> None:
        first = max(start - _MARGIN, 0)
        seen = slice(first, start + _STRIP + _MARGIN)
        before = noisy[seen].astype(np.float32).clip(0, top)  # what lies beyond is cut off, and that is no correction
        mixed = _mixed(before, clean[seen].astype(np.float32), balance)
        rows = mixed[start - first : start - first + _STRIP]
        result[start : start + _STRIP] = (np.rint(rows) if clean.dtype.kind == "u" else rows).clip(0, top)

    with ThreadPoolExecutor(2) as at_once:  # NumPy lets go of the interpreter
        list(at_once.map(fill, range(0, len(clean), _STRIP)))
    return result


def _mixed(noisy: Floats, clean: Floats, balance: Balance) -> Floats:
    correction = clean - noisy
    grey = correction if correction.ndim == 2 else correction @ _LUMA
    shade = min(balance.luminance, 1.0) * grey
    if balance.grain:
        shade = shade - balance.grain * (shade - gaussian_filter(shade, _FINE))
    if balance.luminance > 1:
        own = noisy if noisy.ndim == 2 else noisy @ _LUMA
        shade = shade + _further(own + shade, grey, balance.luminance)
    if correction.ndim == 2:
        return noisy + shade
    tint = correction - grey[..., None]
    mixed = noisy + shade[..., None] + min(balance.color, 1.0) * tint
    if balance.color > 1:
        colours = mixed - (mixed @ _LUMA)[..., None]
        further = [_further(colours[..., n], tint[..., n], balance.color) for n in range(3)]
        change = np.stack(further, axis=2)
        mixed += change - (change @ _LUMA)[..., None]
    return mixed


def _further(values: Floats, removed: Floats, amount: float) -> Floats:
    """What smoothing beyond the correction changes in one channel, at an amount from 1 to 1.5."""
    noise = _LEFT * np.float32(np.square(removed).mean())
    mean = uniform_filter(values, _WINDOW)
    variance = uniform_filter(np.square(values - mean), _WINDOW)
    kept = variance / (variance + noise + np.float32(1e-12))
    offset = uniform_filter(mean * (1 - kept), _WINDOW)
    smooth = uniform_filter(kept, _WINDOW) * values + offset
    return np.float32((amount - 1) / (MOST - 1)) * (smooth - values)
