"""The arrays that stand for pictures, in all of the package."""

import numpy as np
from numpy.typing import NDArray

from hf_denoise.errors import UserError

FloatImage = NDArray[np.floating]
"""(H, W, 3) or (H, W), RGB or grey; black is 0 and white 1, noise may lie outside."""
ByteImage = NDArray[np.uint8]
"""(H, W, 3) or (H, W), from 0 to 255."""
Mask = NDArray[np.bool_]
"""(H, W), True inside defects."""

# Six stops above white is more than what renderings and merged exposures are kept for. Pictures on another scale, such
# as 0 to 255, have values beyond that, or lie above white for the most part.
_BRIGHTEST, _USUAL = 64.0, 8.0
_DARKEST = -8.0  # beyond this, no noise explains a value


def full_scale(dtype: np.dtype) -> int:
    """The value of white: 255, 65535, or 1 for floats."""
    return int(np.iinfo(dtype).max) if dtype.kind == "u" else 1


def to_8_bits(pixels: FloatImage) -> ByteImage:
    """Floats in [0, 1], what lies outside clipped, as uint8, rounded."""
    return np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)


def check_floats(pixels: np.ndarray, name: str) -> None:
    """Raise a `UserError` that names `name` where floats are NaN, infinite, or where white cannot be 1."""
    if pixels.dtype.kind != "f":
        return
    low, high = float(pixels.min(initial=0)), float(pixels.max(initial=0))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError(f"{name} holds NaN or infinite values; replace them before denoising")
    usual = float(np.median(pixels[:: len(pixels) // 1024 + 1])) if high > _USUAL else 0.0
    if low < _DARKEST or high > _BRIGHTEST or usual > _USUAL:
        raise UserError(
            f"{name} holds values from {low:.4g} to {high:.4g}; scale floating-point images so that white is 1 "
            "(--white-level does that with files)"
        )
