"""PNG of 16 bits, which Pillow cannot hold in colour, by imagecodecs."""

import struct
import zlib
from typing import Any, BinaryIO

import numpy as np

from hf_denoise.imaging.png_chunks import chunk, with_chunks


def deep_png_mode(head: bytes) -> str | None:
    """Pillow's mode for a file that begins with these bytes (26 at least) if it is a PNG of 16 bits, else None.

    Pillow itself says RGBA for grey with alpha.
    """
    if head[:8] != b"\x89PNG\r\n\x1a\n" or head[24:25] != b"\x10":
        return None
    return {0: "I;16", 2: "RGB", 4: "LA", 6: "RGBA"}.get(head[25])


def read_deep_png(file: BinaryIO) -> np.ndarray:
    """Decode a 16-bit PNG: (H, W) or (H, W, C) uint16, C = 2, 3 or 4."""
    import imagecodecs

    file.seek(0)
    return imagecodecs.png_decode(file.read())


def write_deep_png(file: BinaryIO, pixels: np.ndarray, metadata: dict[str, Any], color_key: tuple | None) -> None:
    """Encode (H, W) or (H, W, C) uint16 as PNG, with its metadata."""
    import imagecodecs

    more = b""
    if icc := metadata.get("icc_profile"):
        more += chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))
    if dpi := metadata.get("dpi"):
        more += chunk(b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1))
    if color_key:
        more += chunk(b"tRNS", struct.pack(f">{len(color_key)}H", *color_key))
    if exif := metadata.get("exif"):
        more += chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    encoded = memoryview(imagecodecs.png_encode(pixels))
    for piece in with_chunks(encoded, metadata, more):
        file.write(piece)
