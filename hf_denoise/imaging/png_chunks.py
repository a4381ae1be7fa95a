"""Chunks of a PNG that say what its colours mean, beside an ICC profile, and its XMP.

Without gAMA and cHRM, sRGB or cICP the same numbers are shown in other colours. Pillow keeps none of them.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

KEPT = (b"cICP", b"mDCV", b"cLLI", b"cHRM", b"gAMA", b"sRGB", b"sBIT")
"""By name: colour space, mastering display, light levels, primaries, gamma, sRGB, significant bits."""
_XMP = b"XML:com.adobe.xmp\0"
_LARGEST = 256  # bytes; the largest of those kept has 32
_LARGEST_XMP = 2**24
_MOST_CHUNKS = 100_000  # a picture of a gigabyte in pieces of 8192 bytes
_HEADER = 33  # signature and IHDR: all of these may follow
_SIGNIFICANT = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # bytes of sBIT, by the kind of colour

Chunks = tuple[tuple[bytes, bytes], ...]
Buffer = bytes | memoryview


def read_chunks(file: BinaryIO) -> tuple[Chunks, bytes | None]:
    """The kept chunks of a PNG, as (name, content), and its XMP, without what is damaged."""
    kept: dict[bytes, bytes] = {}
    xmp = None
    file.seek(8)
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            break
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        wanted = (name in KEPT and length <= _LARGEST) or (name == b"iTXt" and length <= _LARGEST_XMP)
        if not wanted:
            file.seek(length + 4, 1)
            continue
        content, check = file.read(length), file.read(4)
        if check != struct.pack(">I", zlib.crc32(name + content)):
            continue
        if name == b"iTXt":
            xmp = xmp or _xmp(content)
        else:
            kept.setdefault(name, content)
    return tuple(kept.items()), xmp


def _xmp(content: bytes) -> bytes | None:
    if not content.startswith(_XMP):
        return None
    compressed, rest = content[len(_XMP) : len(_XMP) + 2], content[len(_XMP) + 2 :]
    text = rest.split(b"\0", 2)[-1]  # behind the language and the translated keyword
    if compressed[:1] != b"\1":
        return text
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(text, _LARGEST_XMP)
    except zlib.error:
        return None
    return unpacked if unpacker.eof else None


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk as it stands in the file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunks(encoded: memoryview, metadata: dict[str, Any], more: bytes = b"") -> Iterator[Buffer]:
    """An encoded PNG with its meaning again, in pieces to be written one after the other.

    Args:
        encoded: the PNG.
        metadata: of the picture. Significant bits of another kind of colour are left out, as is sRGB beside a profile:
            a PNG has one of them.
        more: other chunks that must stand before the pixels.
    """
    yield encoded[:_HEADER]
    for name, content in metadata.get("chunks", ()):
        other_colour = name == b"sBIT" and len(content) != _SIGNIFICANT[encoded[25]]
        if not other_colour and not (name == b"sRGB" and metadata.get("icc_profile")):
            yield chunk(name, content)
    yield more
    if xmp := metadata.get("xmp"):
        yield chunk(b"iTXt", _XMP + b"\0\0\0\0" + xmp)
    yield encoded[_HEADER:]
