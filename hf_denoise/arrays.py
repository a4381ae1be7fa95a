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

# Beyond this no noise explains a floating-point value: the image is on another scale than 0 to 1.
_MAX_FLOAT = 8.0


def full_scale(dtype: np.dtype) -> int:
    """The value of white: 255, 65535, or 1 for floats."""
    return int(np.iinfo(dtype).max) if dtype.kind == "u" else 1


def to_8_bits(pixels: FloatImage) -> ByteImage:
    """Floats in [0, 1], what lies outside clipped, as uint8, rounded."""
    return np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)


def check_floats(pixels: np.ndarray, name: str) -> None:
    """Raise a `UserError` that names `name` where floats are NaN, infinite, or far from the range 0 to 1."""
    if pixels.dtype.kind != "f":
        return
    low, high = float(pixels.min(initial=0)), float(pixels.max(initial=0))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError(f"{name} holds NaN or infinite values; replace them before denoising")
    if max(-low, high) > _MAX_FLOAT:
        raise UserError(f"{name} holds values from {low:.4g} to {high:.4g}; scale floating-point images to 0 to 1")
