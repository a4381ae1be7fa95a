"""What people give to be denoised, as planes (H, W) or (H, W, 3), and the result as the same kind of thing."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hf_denoise.arrays import Mask, check_floats
from hf_denoise.errors import UserError
from hf_denoise.imaging.conversion import from_pil
from hf_denoise.imaging.hidden import fill_hidden, visible_mask
from hf_denoise.imaging.images import read_image
from hf_denoise.imaging.picture import Picture
from hf_denoise.inference.planes import Planes
from hf_denoise.inference.protection import Protection, Treatment
from hf_denoise.inference.tensors import arrays_of, like_tensor
from hf_denoise.probing.responses import Progress

Plane = NDArray[Any]
RunOne = Callable[[Any, Treatment, Progress | None], Any]


class RunPlanes(Protocol):
    """Denoises the planes of one picture, see `hf_denoise.inference.planes.denoise_planes`."""

    def __call__(
        self, planes: Planes, visible: Mask | None, options: Treatment, progress: Progress | None
    ) -> tuple[Planes, float, Protection | None]: ...


def denoise_given(run: RunPlanes, image: Any, options: Treatment, progress: Progress | None) -> Any:
    """Denoise whatever people give into the same kind of thing, see `Denoiser`."""
    if isinstance(image, list | tuple):
        return _each(partial(_denoise_one, run), image, options, progress)
    return _denoise_one(run, image, options, progress)


def denoise_picture(
    run: RunPlanes, picture: Picture, options: Treatment, progress: Progress | None
) -> tuple[Picture, float, Protection | None]:
    """Denoise a decoded file: the result, the strength that was taken, and what was protected."""
    planes, strength, protection = run(picture.planes, visible_mask(picture.alpha), options, progress)
    return picture.with_planes(planes), strength, protection


def _denoise_one(run: RunPlanes, image: Any, options: Treatment, progress: Progress | None) -> Any:
    if isinstance(image, torch.Tensor):
        on_array = partial(_denoise_array, run, name="the tensor")
        pictures = arrays_of(image)
        if image.ndim == 4:
            return like_tensor(_each(on_array, pictures, options, progress), image)
        return like_tensor([on_array(pictures[0], options, progress)], image)
    if isinstance(image, np.ndarray):
        return _denoise_array(run, image, options, progress)
    if isinstance(image, Image.Image):
        result = denoise_picture(run, from_pil(image), options, progress)[0].to_pil()
        result.info = {**image.info, **result.info}
        return result
    if isinstance(image, str | os.PathLike):
        return denoise_picture(run, read_image(image).upright(), options, progress)[0].to_pil()
    raise _no_image(image)


def _denoise_array(
    run: RunPlanes, image: NDArray[Any], options: Treatment, progress: Progress | None, name: str = "the array"
) -> Plane:
    plane, visible = plane_of_array(image, name), visible_mask(alpha_of_array(image))
    return like_array(run((plane,), visible, options, progress)[0][0], image)


def _each(run: RunOne, images: Sequence[Any], options: Treatment, progress: Progress | None) -> list[Any]:
    """Denoise one picture after the other, each as if it were alone; of the progress, each is an equal part."""
    results = []
    for number, (image, treatment) in enumerate(zip(images, options.for_each(len(images)), strict=True)):

        def advance(done: int, steps: int, before: int = number) -> None:
            if progress:
                progress(before * steps + done, steps * len(images))

        try:
            results.append(run(image, treatment, advance))
        except UserError as error:
            raise UserError(f"picture {number + 1} of {len(images)}: {error}") from error
    return results


def _no_image(image: Any) -> UserError:
    return UserError(
        f"cannot denoise a {type(image).__name__}; give a path, a Pillow image, a NumPy array, a PyTorch tensor, or a "
        "flat list of these"
    )


def plane_of(image: Any) -> tuple[Plane, Mask | None]:
    """The pixels of what is given or of a `Picture`, upright, hidden ones filled in, and which are visible.

    Raises:
        UserError: it cannot be read, or is of a kind that is not supported.
    """
    if isinstance(image, torch.Tensor):
        pictures = arrays_of(image)
        if len(pictures) > 1:
            raise UserError(f"a batch of {len(pictures)} pictures is too much for one probe; probe them one by one")
        image = pictures[0]
    if isinstance(image, np.ndarray):
        plane, visible = plane_of_array(image), visible_mask(alpha_of_array(image))
    else:
        if isinstance(image, Image.Image):
            image = from_pil(image)
        elif isinstance(image, str | os.PathLike):
            image = read_image(image).upright()
        elif not isinstance(image, Picture):
            raise _no_image(image)
        plane, visible = image.planes[0], visible_mask(image.alpha)
    return (plane if visible is None else fill_hidden(plane, visible)), visible


def alpha_of_array(image: NDArray[Any]) -> NDArray[Any] | None:
    """The fourth channel of an array, if it has one."""
    return image[..., 3] if image.ndim == 3 and image.shape[2] == 4 else None


def plane_of_array(image: NDArray[Any], name: str = "the array") -> Plane:
    """An array of uint8, uint16 or float as it is denoised: in native byte order, floats as float32, without alpha.

    Raises:
        UserError: a masked array, another dtype or shape, or floats that are NaN, infinite or far out of range.
    """
    if isinstance(image, np.ma.MaskedArray):
        raise UserError(
            "cannot denoise a masked array, whose masked pixels have no value; give them one with filled(), or make "
            "them transparent with a fourth channel that is 0 there"
        )
    image = np.asarray(image)
    image = image.astype(image.dtype.newbyteorder("="), copy=False)
    if image.dtype not in (np.uint8, np.uint16) and image.dtype.kind != "f":
        raise UserError(f"cannot denoise an array of {image.dtype}; convert it to uint8, uint16 or float32")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or 0 in image.shape:
        raise UserError(
            f"cannot denoise an array of shape {image.shape}; it must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
        )
    check_floats(image, name)
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
