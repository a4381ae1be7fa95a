"""Image files, decoded to pictures."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

from hf_denoise.errors import UserError
from hf_denoise.imaging.formats import Header
from hf_denoise.imaging.image_file import MAX_PIXELS, ImageFile, damage_named
from hf_denoise.imaging.picture import Picture


def read_header(source: str | os.PathLike[str] | BinaryIO, page: int | None = None) -> Header:
    """Read what an image file says about itself: fast, without its pixels. Raises as `open_image` does.

    It is that of the page `page`, counted from 1, or of the first; `pages` says how many there are.
    """
    with open_image(source) as image:
        return image.header(0) if page is None else replace(image.header(image.place(page)), pages=1)


def read_image(
    source: str | os.PathLike[str] | BinaryIO,
    max_pixels: int = MAX_PIXELS,
    white_level: float | None = None,
    page: int | None = None,
) -> Picture:
    """Decode a PNG, JPEG, WebP, AVIF, HEIC, BMP, TIFF, GIF or PPM, or develop the raw file of a camera.

    Args:
        source: a path, or a binary file that can seek.
        max_pixels: larger images are refused by their header, before anything is decoded.
        white_level: the value of white; None is 1 in floats and the largest value in integers, but for 10, 12 or 14
            bits in samples of 16, which are found by what the file says or by its values, see `bit_depth`.
        page: which one of several pages or frames, from 1.

    Raises:
        UserError: missing, a folder, empty, no image, damaged, too large, several pages or frames of which none was
            chosen, a layout that is not supported, or floats that are NaN, infinite, or not on the scale of 0 to 1.
    """
    with open_image(source, max_pixels, counted=page is not None) as image:
        return image.read(image.place(page), white_level)


@contextmanager
def open_image(
    source: str | os.PathLike[str] | BinaryIO, max_pixels: int = MAX_PIXELS, counted: bool = True
) -> Iterator[ImageFile]:
    """Open an image file, to read its pictures one after another.

    Args:
        source: a path, or a binary file that can seek.
        max_pixels: of each picture; larger ones are refused by their header.
        counted: whether frames are counted.

    Raises:
        UserError: missing, a folder, empty, no image, damaged or too large.
    """
    with _opened(source) as (file, name):
        with damage_named(name):
            image = ImageFile(file, name, max_pixels, counted)
        yield image


@contextmanager
def _opened(source: str | os.PathLike[str] | BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
    """A binary file and the name that messages give it."""
    if not isinstance(source, str | os.PathLike):
        source.seek(0)
        yield source, str(getattr(source, "name", "the image"))
        return
    try:
        file = open(source, "rb")  # noqa: SIM115 - closed below, where reading errors are no opening errors
    except FileNotFoundError as error:
        raise UserError(f"'{source}' does not exist; check the path") from error
    except IsADirectoryError as error:
        raise UserError(f"'{source}' is a folder; give an image file") from error
    except (OSError, ValueError) as error:
        raise UserError(f"'{source}' cannot be opened ({getattr(error, 'strerror', error)})") from error
    with file:
        yield file, str(source)
