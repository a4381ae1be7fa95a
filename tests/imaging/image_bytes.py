"""Images and their files, made for tests."""

import io
from typing import Any

import numpy as np
import tifffile
from PIL import Image

RNG = np.random.default_rng(0)


def photo(mode: str, size: tuple[int, int] = (23, 17)) -> Image.Image:
    """Noise in every channel, alpha included."""
    if mode == "P":
        return photo("RGB", size).quantize(32)
    if mode == "I;16":
        return Image.fromarray(RNG.integers(0, 65536, size[::-1]).astype(np.uint16))
    if mode == "F":
        return Image.fromarray(RNG.random(size[::-1], np.float32))
    if mode == "1":
        return Image.fromarray(RNG.random(size[::-1]) > 0.5)
    channels = len(Image.new(mode, (1, 1)).getbands())
    samples = RNG.integers(0, 256, (size[1], size[0], channels)).astype(np.uint8)
    return Image.frombytes(mode, size, samples.tobytes())


def same_pixels(one: Image.Image, other: Image.Image) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


def encoded(format: str, size: tuple[int, int] = (64, 64), **options: Any) -> bytes:
    file = io.BytesIO()
    photo("RGB", size).save(file, format, **options)
    return file.getvalue()


def tiff(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()
