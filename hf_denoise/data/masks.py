"""Masks as they are stored: 255 in defects and 0 outside. What says anything else is refused, never guessed at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from hf_denoise.arrays import Mask, full_scale, to_8_bits
from hf_denoise.imaging.picture import Picture

WAY_OUT = "save masks as 255 in defects, 0 outside"

LOSSY = {"JPEG", "WEBP", "AVIF", "HEIF"}
_FEW_LEVELS = 16  # more of them are the fringes of a lossy format, or of a scaled mask
_LOW, _HIGH = 16, 239  # what lies beyond is black or white with the ripples of a lossy format
_WHITE = 192
_REACH = 17  # pixels: a block of JPEG to every side
_FLAT, _SPREAD = 5, 16  # pixels, levels: no fringe is as wide and as flat
_SPECKS = 3  # pixels


def levels_of(picture: Picture) -> NDArray[np.uint8]:
    """(H, W) brightness of a mask, 0..255; samples of 16 bits that end at 255 are taken for those of 8."""
    stored = picture.stored
    plane = stored.planes[0]
    if plane.dtype == np.uint8 and plane.ndim == 2:
        return plane
    if plane.dtype == np.uint16 and int(plane.max(initial=0)) <= 255:
        stored = stored.with_planes(tuple(plane.astype(np.uint8) for plane in stored.planes))
    return to_8_bits(stored.rgb @ np.array([0.299, 0.587, 0.114], np.float32))


def transparent(picture: Picture) -> str | None:
    """Why a mask that is not opaque cannot be used; None where it is opaque."""
    if picture.alpha is None or (picture.alpha == full_scale(picture.alpha.dtype)).all():
        return None
    return f"is a mask with transparency, which does not say what is a defect; {WAY_OUT}, without alpha"


def unusable_mask(picture: Picture) -> str | None:
    """What keeps a picture from being a mask, in words; None where it is one."""
    if reason := transparent(picture):
        return reason
    levels = levels_of(picture)
    counts = np.bincount(levels.ravel(), minlength=256)
    found = np.flatnonzero(counts)
    brightest = int(found[-1]) if len(found) else 0
    if 0 < brightest <= 127:
        return f"has no white pixel, the brightest is {brightest} of 255; {WAY_OUT}"
    if len(found) < 3 and (0 in found or brightest == 255):
        return None
    lossy = picture.header.format in LOSSY or len(found) > _FEW_LEVELS
    between = _between_lossy(levels) if lossy else _between(levels)
    if np.count_nonzero(between) <= _SPECKS:
        return None
    level = int(np.bincount(levels[between]).argmax())
    return f"is a mask with the level {level} between 0 and 255, which may be a defect or not; {WAY_OUT}"


def _between(levels: NDArray[np.uint8]) -> Mask:
    """Pixels that are neither black nor white, nor on the way from one to the other."""
    grey = (levels > 0) & (levels < 255)
    way = (minimum_filter(levels, 3) < levels) & (maximum_filter(levels, 3) > levels)
    return np.asarray(grey & ~way)


def _between_lossy(levels: NDArray[np.uint8]) -> Mask:
    """The same where lossy compression has left ripples, or scaling ramps: areas, and what has no white around it."""
    alone = (levels > _LOW) & (maximum_filter(levels, _REACH) < _WHITE)
    highest, lowest = maximum_filter(levels, _FLAT), minimum_filter(levels, _FLAT)
    flat = (highest - lowest <= _SPREAD) & (lowest > _LOW) & (highest < _HIGH)
    return np.asarray(alone | flat)
