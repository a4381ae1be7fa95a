"""What people give to be denoised, as the arrays that are denoised: (H, W) or (H, W, 3)."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hf_denoise.arrays import Mask, check_floats
from hf_denoise.errors import UserError
from hf_denoise.imaging.conversion import from_pil
from hf_denoise.imaging.hidden import fill_hidden, visible_mask
from hf_denoise.imaging.images import read_image
from hf_denoise.imaging.picture import Picture

Plane = NDArray[Any]


def plane_of(image: Any) -> tuple[Plane, Mask | None]:
    """The pixels of a path (upright), Pillow image, array or `Picture`, hidden ones filled in, and which are visible.

    Raises:
        UserError: it cannot be read, or is of a kind that is not supported.
    """
    if isinstance(image, np.ndarray):
        plane, visible = plane_of_array(image), visible_mask(alpha_of_array(image))
    else:
        if isinstance(image, Image.Image):
            image = from_pil(image)
        elif isinstance(image, str | os.PathLike):
            image = read_image(image).upright()
        elif not isinstance(image, Picture):
            raise UserError(f"cannot denoise a {type(image).__name__}; give a path, a Pillow image or a NumPy array")
        plane, visible = image.planes[0], visible_mask(image.alpha)
    return (plane if visible is None else fill_hidden(plane, visible)), visible


def alpha_of_array(image: NDArray[Any]) -> NDArray[Any] | None:
    """The fourth channel of an array, if it has one."""
    return image[..., 3] if image.ndim == 3 and image.shape[2] == 4 else None


def plane_of_array(image: NDArray[Any]) -> Plane:
    """An array of uint8, uint16 or float as it is denoised: floats as float32, without alpha.

    Raises:
        UserError: another dtype or shape, or floats that are NaN, infinite or far out of range.
    """
    if image.dtype not in (np.uint8, np.uint16) and image.dtype.kind != "f":
        raise UserError(f"cannot denoise an array of {image.dtype}; convert it to uint8, uint16 or float32")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or 0 in image.shape:
        raise UserError(
            f"cannot denoise an array of shape {image.shape}; it must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
        )
    check_floats(image, "the array")
    if image.dtype.kind == "f":
        image = image.astype(np.float32, copy=False)
    if image.ndim == 2:
        return image
    return image[..., 0] if image.shape[2] == 1 else image[..., :3]


def like_array(plane: Plane, image: NDArray[Any]) -> Plane:
    """`plane`, what came of an array, in the shape of that array; alpha is as it was."""
    if image.ndim == 2 or image.shape[2] == 3:
        return plane
    if image.shape[2] == 1:
        return plane[..., None]
    return np.dstack([plane, image[..., 3].astype(plane.dtype, copy=False)])
