"""Pillow images and decoded samples as pictures."""

from dataclasses import replace

import numpy as np
from PIL import Image

from hf_denoise.arrays import check_floats, full_scale
from hf_denoise.errors import UserError
from hf_denoise.imaging.extra_samples import ExtraSamples
from hf_denoise.imaging.formats import DEEP_GREY, MODES, Header
from hf_denoise.imaging.picture import Picture


def from_pil(image: Image.Image) -> Picture:
    """A Pillow image as a `Picture`, its pixels in stored order.

    Raises:
        UserError: a mode other than 1, L, LA, P, RGB, RGBA, CMYK, I;16, I (of 16-bit values) and F.
    """
    header = pillow_header(image, "the image")
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
        return from_samples(header, samples.astype(np.uint16), None)
    pixels = _samples(image.convert("L") if image.mode == "1" else image)
    picture = from_samples(
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


def from_samples(header: Header, pixels: np.ndarray, color_key: int | tuple[int, ...] | None) -> Picture:
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


def from_tiff_samples(header: Header, pixels: np.ndarray) -> Picture:
    """Split the samples of a TIFF that Pillow cannot hold into planes, alpha and what there is beside."""
    if not header.extra:
        return from_samples(header, pixels, None)
    colour, alpha, extra = ExtraSamples.split(pixels, header.extra, header.layout)
    if header.layout in ("LA", "RGBA"):
        return Picture(header, (colour,), alpha, extra=extra)
    return replace(from_samples(header, colour, None), extra=extra)


def pillow_header(image: Image.Image, name: str) -> Header:
    """What a Pillow image says about itself, decoded or not; `name` is for messages.

    Raises:
        UserError: a mode that is not supported.
    """
    transparent = "transparency" in image.info and image.mode not in ("LA", "RGBA")
    if image.mode not in MODES or (transparent and image.mode in ("1", "CMYK", "F")):
        raise UserError(f"{name} has pixels of Pillow's mode {image.mode}, which is not supported; convert it to RGB")
    dtype = np.dtype({"F": "float32"}.get(image.mode, "uint16" if image.mode in DEEP_GREY else "uint8"))
    return Header(image.format, image.mode, dtype, image.size, transparent)
