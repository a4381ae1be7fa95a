"""A row of a table as a triplet of arrays: its images are read as `hf-denoise denoise` reads its files."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_denoise.arrays import full_scale
from hf_denoise.data.masks import levels_of, unusable_mask
from hf_denoise.data.roles import ROLES
from hf_denoise.errors import UserError
from hf_denoise.imaging.images import open_image
from hf_denoise.imaging.picture import Picture

Pixels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]

_MOST_OVERSHOOT = 0.1  # of a clean image in floats, beyond black and white: filters leave as much


@dataclass(frozen=True)
class Triplet:
    """One triplet as it was stored.

    Attributes:
        name: as in the data set.
        clean: (H, W, 3), or where the file has no colour (H, W, 1), uint8, uint16, or float32 with white at 1.
        degraded: the same kinds, of the same height and width; None where it is to be made.
        mask: (H, W) bool, True inside defects; None where there is none.
    """

    name: str
    clean: Pixels
    degraded: Pixels | None = None
    mask: NDArray[np.bool_] | None = None

    @cached_property
    def defect_pixels(self) -> NDArray[np.int32]:
        """Flat indices of the pixels inside defects."""
        return np.flatnonzero(self.mask).astype(np.int32) if self.mask is not None else np.empty(0, np.int32)


def to_float(stored: Pixels, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """(H, W, 1 or 3) -> (H, W, 3) float32, white at 1, `out` where that is given."""
    if out is None:
        out = np.empty((*stored.shape[:2], 3), np.float32)
    out[:] = stored
    out /= np.float32(full_scale(stored.dtype))
    return out


def read_row(row: dict[str, Any], root: Path | None = None) -> tuple[Triplet | None, list[str]]:
    """A row whose images are still encoded, decoded and upright.

    Args:
        row: `name` (it may lack), and for those of `ROLES` that there are a cell of `bytes` and `path`, or None.
        root: problems name files relative to it.

    Returns:
        The triplet, None where there are problems; and those, each a sentence that names the file.
    """
    name, problems = row.get("name", ""), list[str]()
    pictures: dict[str, Picture] = {}
    for role in ROLES:
        cell = row.get(role)
        if cell is None:
            if role == "clean":
                problems.append(f"clean of {name} is missing")
            continue
        where = _where(cell, role, name, root)
        try:
            picture = read_cell(cell, where)
        except UserError as error:
            problems.append(str(error))
            continue
        if reason := _unusable(picture, role, pictures.get("clean")):
            problems.append(f"{where} {reason}")
        pictures[role] = picture
    if problems:
        return None, problems
    images = {role: picture for role, picture in pictures.items() if role != "mask"}
    white = max((picture.white or 65535 for picture in images.values() if _is_deep(picture)), default=65535)
    mask = levels_of(pictures["mask"]) > 127 if "mask" in pictures else None
    return Triplet(name, mask=mask, **{role: _pixels(image, white) for role, image in images.items()}), []


def _is_deep(picture: Picture) -> bool:
    return picture.header.dtype == np.uint16


def _pixels(picture: Picture, white: float) -> Pixels:
    """(H, W, 3) or (H, W, 1), as in `Triplet`.

    `white` is that of all its images that have 16 bits: noise must not raise that of one.
    """
    if picture.header.layout == "CMYK":
        top = full_scale(picture.header.dtype)
        pixels = picture.rgb if top == 1 else np.rint(picture.rgb * top).astype(picture.header.dtype)
    else:
        pixels = picture.planes[0]
        if _is_deep(picture) and white != 65535:
            stored = picture.stored.planes[0].astype(np.float32) * np.float32(65535 / white)
            pixels = np.rint(stored).clip(0, 65535).astype(np.uint16)
        elif _is_deep(picture):
            pixels = picture.stored.planes[0]
        elif pixels.dtype.kind == "f":
            pixels = pixels.astype(np.float32)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _unusable(picture: Picture, role: str, clean: Picture | None) -> str | None:
    """What keeps a picture from its role, in words; None where nothing does."""
    if role == "mask" and (reason := unusable_mask(picture)):
        return reason
    if role == "clean" and picture.header.dtype.kind == "f":
        low, high = (float(bound(picture.planes[0])) for bound in (np.min, np.max))
        if low < -_MOST_OVERSHOOT or high > 1 + _MOST_OVERSHOOT:
            return f"has values from {low:.4g} to {high:.4g}; scale floating-point clean images to 0 to 1"
    if clean is not None and picture.header.size != clean.header.size:
        sizes = (f"{width} x {height}" for width, height in (picture.header.size, clean.header.size))
        return "is {} pixels and its clean image {}".format(*sizes)
    return None


def _where(cell: dict[str, Any], role: str, name: str, root: Path | None) -> str:
    if cell["bytes"] is not None or not cell["path"]:
        return f"{role} of {name}"
    path = Path(cell["path"])
    return str(path.relative_to(root) if root is not None and path.is_relative_to(root) else path)


class _Named(io.BytesIO):
    """A file in memory, with the name that messages give it."""

    def __init__(self, content: bytes, name: str):
        super().__init__(content)
        self.name = name


def read_cell(cell: dict[str, Any], where: str) -> Picture:
    """The image of a cell, upright.

    Raises:
        UserError: it cannot be read; the sentence is that of `hf-denoise denoise`, and names it as `where`.
    """
    try:
        with open_image(_Named(content_of(cell, where), where)) as image:
            if image.count > 1:
                raise UserError(
                    f"{where} holds {image.count} {image.what}; give each image of a triplet a file of its own"
                )
            return image.read(0).upright().as_srgb()
    except UserError as error:
        raise UserError(str(error).replace(f"'{where}'", where, 1)) from error


def content_of(cell: dict[str, Any], where: str) -> bytes:
    """The bytes of an encoded image.

    Raises:
        UserError: its file cannot be read.
    """
    try:
        content: bytes = Path(cell["path"]).read_bytes() if cell["bytes"] is None else cell["bytes"]
    except FileNotFoundError as error:
        raise UserError(f"{where} does not exist; check the path") from error
    except OSError as error:
        raise UserError(f"{where} cannot be opened ({error.strerror})") from error
    return content


def digests_of(clean: Pixels, content: bytes) -> tuple[str, str]:
    """Digests of pixels, which another lossless encoding of the picture shares, and of the file's bytes."""
    same = clean.repeat(3, axis=2) if clean.dtype == np.uint8 and clean.shape[2] == 1 else clean
    return digest(f"{same.dtype} {same.shape}".encode() + same.tobytes()), digest(content)


def digest(content: bytes) -> str:
    """16 bytes in hexadecimal that no other content has."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
