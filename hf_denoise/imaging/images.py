"""Image files and Pillow images, decoded to pictures."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from hf_denoise.arrays import check_floats, full_scale
from hf_denoise.errors import UserError
from hf_denoise.imaging import deep_images, deep_png, deep_pnm, heif
from hf_denoise.imaging.bit_depth import with_white
from hf_denoise.imaging.extra_samples import ExtraSamples
from hf_denoise.imaging.file_checks import check_pixels
from hf_denoise.imaging.formats import DEEP_GREY, FORMATS, MODES, Header
from hf_denoise.imaging.metadata import encoding_of, pillow_metadata, png_metadata
from hf_denoise.imaging.picture import Picture
from hf_denoise.imaging.pillow_limit import without_pillow_limit

MAX_PIXELS = 250_000_000
"""Larger images are refused by their header, before they can fill the memory."""
MAX_SIDE = 300_000
"""The network sees at least 32 pixels across: a line of 250 megapixels would take it as long as 8 gigapixels."""


def read_header(source: str | os.PathLike[str] | BinaryIO) -> Header:
    """Read what an image file says about itself: fast, without its pixels. Raises as `read_image` does."""
    with _opened(source) as (file, name), _damage_named(name):
        return _inspect(file, name, MAX_PIXELS)[0]


def read_image(
    source: str | os.PathLike[str] | BinaryIO, max_pixels: int = MAX_PIXELS, white_level: float | None = None
) -> Picture:
    """Decode a PNG, JPEG, WebP, AVIF, HEIC, BMP, TIFF, GIF or PPM.

    Args:
        source: a path, or a binary file that can seek.
        max_pixels: larger images are refused by their header, before anything is decoded.
        white_level: the value of white; None is 1 in floats and the largest value in integers, but for 10, 12 or 14
            bits in samples of 16, which are found by what the file says or by its values, see `bit_depth`.

    Raises:
        UserError: missing, a folder, empty, no image, damaged, too large, several pages or frames, a layout that is
            not supported, or floats that are NaN, infinite, or not on the scale of 0 to 1.
    """
    with _opened(source) as (file, name):
        with _damage_named(name):
            header, image, compressed = _inspect(file, name, max_pixels)
            tags: dict[str, Any] = {}
            if header.format == "TIFF" and (exif := deep_images.read_tiff_exif(file)):
                tags["exif"] = exif
            if image is not None and header.dtype == np.uint8:
                with without_pillow_limit():
                    image.load()
                    picture = replace(from_pil(image), header=header)
                metadata = {**pillow_metadata(image), **tags}
                if header.format == "TIFF":
                    picture = _in_stored_order(picture, metadata)
            elif image is not None and header.format in ("HEIF", "AVIF"):
                metadata, depth = pillow_metadata(image), heif.depth_of(image, file)
                picture = _from_array(header, heif.read_deep(file, header.format, depth), None)
            elif image is not None:
                metadata = pillow_metadata(image)
                picture = _from_array(header, deep_png.read_deep_png(file), image.info.get("transparency"))
            elif header.format == "PPM":
                metadata = {"max_sample_value": float(deep_pnm.largest_of(file))}
                picture = _from_array(header, deep_pnm.read_deep_pnm(file), None)
            else:
                pixels, metadata = deep_images.read_tiff(file)
                metadata |= tags
                picture = _from_tiff(header, pixels)
            encoding = encoding_of(header, image, file, compressed)
            if any(plane.shape[1::-1] != header.size for plane in picture.planes):
                raise ValueError("its header gives another size than its pixels")
        if header.format == "PNG":
            metadata.pop("xmp", None)
            metadata |= png_metadata(file)
        picture = with_white(replace(picture, metadata=metadata, encoding=encoding), white_level, name)
        for plane in picture.planes:
            check_floats(plane, f"'{name}'")
        return picture


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """A decoder that meets damaged data raises any of a dozen types; each means the same to the reader."""
    try:
        yield
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"'{name}' does not fit in memory; cut it into pieces") from error
    except Exception as error:
        reason = " ".join(str(error).split())
        # What is no sentence ("40965", "unpack requires a buffer of 8 bytes") tells the reader nothing.
        shown = isinstance(error, OSError | ValueError) and " " in reason and len(reason) < 100 and "/" not in reason
        raise UserError(
            f"'{name}' is damaged or cut short{f' ({reason})' if shown else ''}; get a whole copy of it"
        ) from error


def from_pil(image: Image.Image) -> Picture:
    """A Pillow image as a `Picture`, its pixels in stored order.

    Raises:
        UserError: a mode other than 1, L, LA, P, RGB, RGBA, CMYK, I;16, I (of 16-bit values) and F.
    """
    header = _pillow_header(image, "the image")
    if image.mode == "P":
        palette = np.zeros((256, 4), np.uint8)
        colors = np.frombuffer(bytes(image.getpalette("RGB") or []), np.uint8).reshape(-1, 3)
        palette[: len(colors), :3] = colors
        palette[:, 3] = 255
        opacity = image.info.get("transparency", b"")
        if isinstance(opacity, int):
            palette[opacity, 3] = 0
        else:
            palette[: len(opacity), 3] = np.frombuffer(opacity, np.uint8)
        entries = _samples(image)
        alpha = palette[:, 3][entries] if header.transparent else None
        # The number of entries decides how many bits an index has in the file.
        return Picture(header, (palette[:, :3][entries],), alpha, palette[: max(len(colors), 1)])
    if image.mode == "I":
        samples = np.asarray(image)
        if samples.min(initial=0) < 0 or samples.max(initial=0) > 65535:
            raise UserError("the image has mode I with values outside 0 to 65535; scale it to 16 bits")
        return _from_array(header, samples.astype(np.uint16), None)
    pixels = _samples(image.convert("L") if image.mode == "1" else image)
    picture = _from_array(
        header, pixels.astype(pixels.dtype.newbyteorder("="), copy=False), image.info.get("transparency")
    )
    check_floats(picture.planes[0], "the image")
    return picture


def _samples(image: Image.Image) -> np.ndarray:
    """The samples of a Pillow image, copied strip by strip: all at once takes twice the memory on the way."""
    height, strip = image.height, 1024
    samples = np.empty((0,))
    for top in range(0, height, strip):
        rows = np.asarray(image.crop((0, top, image.width, min(top + strip, height))))
        if top == 0:
            samples = np.empty((height, *rows.shape[1:]), rows.dtype)
        samples[top : top + strip] = rows
    return samples


def _in_stored_order(picture: Picture, metadata: dict[str, Any]) -> Picture:
    """Turn back what Pillow has turned upright: it does so for TIFF, and for no other format."""
    exif = Image.Exif()
    exif.load(metadata.get("exif", b""))
    orientation: int = exif.get(ExifTags.Base.Orientation, 1)
    return picture.turned({6: 8, 8: 6}.get(orientation, orientation))


def _from_array(header: Header, pixels: np.ndarray, color_key: int | tuple[int, ...] | None) -> Picture:
    """Split decoded samples, (H, W) or (H, W, C), into planes and alpha."""
    if header.layout == "CMYK":
        inverted = np.ascontiguousarray(full_scale(pixels.dtype) - pixels[..., :3])
        return Picture(header, (inverted, np.ascontiguousarray(pixels[..., 3])))
    if header.layout in ("LA", "RGBA"):
        color = pixels[..., 0] if header.layout == "LA" else pixels[..., :3]
        return Picture(header, (np.ascontiguousarray(color),), np.ascontiguousarray(pixels[..., -1]))
    if color_key is None:
        return Picture(header, (pixels,))
    key = color_key if isinstance(color_key, tuple) else (color_key,)
    opaque = (np.atleast_3d(pixels) != np.array(key, pixels.dtype)).any(axis=2)
    return Picture(header, (pixels,), opaque.astype(pixels.dtype) * full_scale(pixels.dtype), color_key=key)


def _from_tiff(header: Header, pixels: np.ndarray) -> Picture:
    """Split the samples of a TIFF that Pillow cannot hold into planes, alpha and what there is beside."""
    if not header.extra:
        return _from_array(header, pixels, None)
    colour, alpha, extra = ExtraSamples.split(pixels, header.extra, header.layout)
    if header.layout in ("LA", "RGBA"):
        return Picture(header, (colour,), alpha, extra=extra)
    return replace(_from_array(header, colour, None), extra=extra)


def _pillow_header(image: Image.Image, name: str) -> Header:
    transparent = "transparency" in image.info and image.mode not in ("LA", "RGBA")
    if image.mode not in MODES or (transparent and image.mode in ("1", "CMYK", "F")):
        raise UserError(f"{name} has pixels of Pillow's mode {image.mode}, which is not supported; convert it to RGB")
    dtype = np.dtype({"F": "float32"}.get(image.mode, "uint16" if image.mode in DEEP_GREY else "uint8"))
    return Header(image.format, image.mode, dtype, image.size, transparent)


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


def _inspect(file: BinaryIO, name: str, max_pixels: int) -> tuple[Header, Image.Image | None, bool]:
    """The header; the Pillow image, not decoded, unless tifffile has to read it; and whether a TIFF is compressed."""
    try:
        head = file.read(32)
        file.seek(0)
    except OSError as error:
        raise UserError(f"'{name}' cannot be read ({error.strerror})") from error
    if not head:
        raise UserError(f"'{name}' is empty (0 bytes); get a whole copy of it")
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        if head[12:16] != b"IHDR":
            raise ValueError("it does not begin with its header")
        _check_size(int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"), name, max_pixels)
    compressed, size = False, None
    if deep_images.is_tiff(head):
        tiff = deep_images.read_tiff_header(file, name)
        _check_size(tiff.width, tiff.height, name, max_pixels)
        if tiff.mode is not None and tiff.dtype is not None:
            mode = tiff.mode
            if mode == "L" and tiff.dtype != np.uint8:
                mode = "F" if tiff.dtype.kind == "f" else "I;16"
            header = Header("TIFF", mode, tiff.dtype, (tiff.width, tiff.height), extra=tiff.extra)
            return header, None, tiff.compressed
        compressed, size = tiff.compressed, (tiff.width, tiff.height)  # Pillow swaps them where orientation says so
        file.seek(0)
    if pnm := deep_pnm.read_pnm_header(file):
        _check_size(pnm.width, pnm.height, name, max_pixels)
        mode = "RGB" if pnm.channels == 3 else "I;16"
        return Header("PPM", mode, np.dtype("uint16"), (pnm.width, pnm.height)), None, False
    image = _open_by_pillow(file, head, name)
    _check_size(*image.size, name, max_pixels)
    # Phones put a preview or a gain map behind the photograph, in the same JPEG: the photograph is the first.
    # Only whether there is a second frame is asked: to count those of a GIF takes as long as it has frames.
    if getattr(image, "is_animated", False) and image.format not in ("MPO", "TIFF"):
        what = "holds several pictures" if image.format == "HEIF" else "is an animation"
        raise UserError(f"'{name}' {what}; extract the one to denoise into a file of its own")
    header = _pillow_header(image, f"'{name}'")
    header = replace(header, format="JPEG" if image.format == "MPO" else image.format)
    check_pixels(image, file)
    deep = deep_png.deep_png_mode(head)
    if image.format in ("HEIF", "AVIF") and heif.depth_of(image, file) > 8:
        deep = "I;16" if image.mode == "L" else image.mode
    if deep:
        header = replace(header, mode=deep, dtype=np.dtype("uint16"))
    if size:
        header = replace(header, size=size)
    return header, image, compressed


def _open_by_pillow(file: BinaryIO, head: bytes, name: str) -> Image.Image:
    """The Pillow image of a file that begins with `head`, not decoded."""
    boxed = heif.format_of(head)
    if boxed:
        heif.check_usable(boxed, f"read '{name}'")
    formats = [boxed] if boxed else [format for format in FORMATS.values() if format not in ("HEIF", "AVIF")]
    try:
        with without_pillow_limit():
            return Image.open(file, formats=tuple(dict.fromkeys(formats)))
    except UnidentifiedImageError as error:
        if boxed:
            raise ValueError("its boxes hold no picture") from error
        known = "PNG, JPEG, WebP, AVIF, HEIC, BMP, TIFF, GIF or PPM"
        raise UserError(f"'{name}' is not a {known} image; convert it to one") from error


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    said = f"'{name}' says it has {width} x {height} pixels, above the limit of"
    if width * height > max_pixels:
        raise UserError(f"{said} {max_pixels // 10**6} megapixels; cut it into pieces")
    if max(width, height) > MAX_SIDE:
        raise UserError(f"{said} {MAX_SIDE} pixels a side; cut it into pieces")
