"""Picture files put together byte by byte, whose headers need not be true."""

import struct
import zlib


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of_header(width: int, height: int, depth: int = 8, color: int = 2, data: bytes = b"") -> bytes:
    """A PNG whose header need not be true; `data` is the content of its IDAT chunk."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def png_bomb(width: int, height: int) -> bytes:
    """A whole black-and-white PNG, all black: about a thousandth of the bytes that it unpacks to."""
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    data = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    return png_of_header(width, height, 1, 0, data)


def exif_of_shared_values(tags: int, value: int) -> bytes:
    """An EXIF block of `tags` tags that all name the same `value` bytes: read one by one they fill the memory."""
    start = 8 + 2 + 12 * tags + 4
    entries = b"".join(struct.pack("<HHII", 40000 + tag, 7, value, start) for tag in range(tags))
    return b"II*\0" + struct.pack("<IH", 8, tags) + entries + struct.pack("<I", 0) + b"\0" * value


def tiff_of_tags(tags: dict[int, int], data: bytes) -> bytes:
    """A TIFF of one page whose tags, a number each, need not be true; `data` lies at offset 8."""
    data += b"\0" * (len(data) % 2)
    entries = b"".join(struct.pack("<HHII", code, 4, 1, tags[code]) for code in sorted(tags))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def tiff_of_header(
    width: int, height: int, bits: int = 16, compression: int = 1, tile: int = 0, data: bytes | None = None
) -> bytes:
    """A TIFF that says it has so many grey pixels, in one strip or in tiles of the side `tile`, whatever `data` is."""
    data = zlib.compress(b"\0" * 64) if data is None else data
    tags = {256: width, 257: height, 258: bits, 259: compression, 262: 1, 277: 1}
    places = {322: tile, 323: tile, 324: 8, 325: len(data)} if tile else {273: 8, 278: height, 279: len(data)}
    return tiff_of_tags({**tags, **places}, data)
