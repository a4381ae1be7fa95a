"""Checks of what an image file says about itself, made before a decoder believes it.

Decoders take the lengths, counts and offsets in a file at their word: a megabyte that names its own bytes again and
again then fills the memory, and a list that leads back to its beginning never ends. None of these checks unpacks a
pixel. Each raises a `ValueError` whose text completes "the file is damaged or cut short (...)".
"""

import io
import math
import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO

from PIL import Image

MAX_PAGES = 1000
"""Of a stack, with thumbnails, masks and the like; read one by one, a million of them takes minutes."""
MAX_TAGS = 4096
_MOST_TAGS = 50_000  # of all pages
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_SUB_DIRECTORIES = (0x8769, 0x8825, 0xA005)  # EXIF, GPS, interoperability
_MAX_STRIPS = 1_000_000
_COUNTED = (273, 279, 324, 325)  # offsets and byte counts of strips and tiles
# Bytes that a byte unpacks to at most, by the TIFF tag: none; LZW, a code of 12 bits for 4096 bytes; deflate; PackBits.
_MOST_UNPACKED = {1: 1, 5: 2731, 8: 1032, 32946: 1032, 32773: 64}
# Pixels that a byte gives at most, by Pillow's name: PNG of 1 bit, deflated; JPEG, a bit for a block of 8 x 8; GIF, LZW
# as above; BMP, a run of 255 in two bytes; AVIF and HEIC, about twice what a flat picture was measured to have. WebP
# has no such bound.
_MOST_PIXELS = {"PNG": 8 * 1032, "JPEG": 8 * 64, "MPO": 8 * 64, "GIF": 2731, "BMP": 128, "AVIF": 2**16, "HEIF": 2**13}
_RUN_LENGTH = (1, 2)  # the decoder of such a BMP is written in Python
_MAX_SCANS = 256  # of a progressive JPEG: each goes over the whole picture; encoders write about 10


def check_directories(file: BinaryIO, whole: bool = False) -> None:
    """Walk the directories of a TIFF, or of an EXIF block, without reading a value.

    Args:
        file: the TIFF.
        whole: the list of pages must not lead out of the file: there more of them were once.

    Raises:
        ValueError: the list of pages does not end, is longer than 1000, or the values of a page overlap.
    """
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise ValueError("it has no TIFF header")
    big = head[2:4] in (b"+\0", b"\0+")
    if big and len(head) < 16:
        raise ValueError("it has no TIFF header")
    (place,) = struct.unpack(f"{order}Q" if big else f"{order}I", head[8:16] if big else head[4:8])
    seen: set[int] = set()
    tags = 0
    while place:
        if place in seen:
            raise ValueError("its list of pages leads back to its beginning")
        if len(seen) == MAX_PAGES:
            raise ValueError(f"it holds more than {MAX_PAGES} pages")
        if whole and place >= end:
            raise ValueError("the file ends before its list of pages does")
        seen.add(place)
        place, below, count = _check_directory(file, place, end, order, big)
        tags += count
        if tags > _MOST_TAGS:
            raise ValueError(f"its {len(seen)} pages have more than {_MOST_TAGS} tags")
        for sub in below:
            for inner in _check_directory(file, sub, end, order, big)[1]:
                _check_directory(file, inner, end, order, big)
    file.seek(0)


def _check_directory(file: BinaryIO, place: int, end: int, order: str, big: bool) -> tuple[int, list[int], int]:
    """Check one directory; the place of the next, 0 after the last, those of EXIF and GPS in it, and its tags."""
    count_format, entry_format = (f"{order}Q", f"{order}HHQQ") if big else (f"{order}H", f"{order}HHII")
    if place >= end:
        return 0, [], 0
    file.seek(place)
    try:
        (count,) = struct.unpack(count_format, file.read(struct.calcsize(count_format)))
    except struct.error:
        return 0, [], 0
    if count > MAX_TAGS:
        raise ValueError(f"it says it has {count} tags")
    step, inside = struct.calcsize(entry_format), 8 if big else 4
    entries = file.read(step * count)
    total, below = 0, []
    for start in range(0, len(entries) - step + 1, step):
        code, kind, number, value = struct.unpack(entry_format, entries[start : start + step])
        size = number * _TYPE_BYTES.get(kind, 0)
        if code in _COUNTED and number > _MAX_STRIPS:
            raise ValueError(f"it says it has {number} strips or tiles")
        if size > inside and value + size <= end:
            total += size
        if code in _SUB_DIRECTORIES and size in (4, 8):
            below.append(value >> 16 if kind == 3 and order == ">" else value)
    if total > end:
        raise ValueError("the values of its tags overlap")
    following = file.read(8 if big else 4)
    (after,) = struct.unpack(f"{order}Q" if big else f"{order}I", following) if len(following) in (4, 8) else (0,)
    return after, below, count


def sound_exif(block: bytes) -> bool:
    """Whether an EXIF block can be read, and written again."""
    try:
        check_directories(io.BytesIO(block.removeprefix(b"Exif\0\0")))
        exif = Image.Exif()
        exif.load(block)
        for tag in _SUB_DIRECTORIES[:2]:
            exif.get_ifd(tag)
        exif.tobytes()
    except Exception:  # Pillow raises any of a dozen types here
        return False
    return True


def check_pixels(image: Image.Image, file: BinaryIO) -> None:
    """Whether a file can hold the picture that its header announces: decoders make up what is missing.

    Args:
        image: as Pillow opened it, not decoded.
        file: the same.

    Raises:
        ValueError: it has far more pixels than its bytes can hold, or so many more bytes, or scans, than its pixels
            need that to decode it takes minutes.
    """
    pixels, size = image.width * image.height, file.seek(0, 2)
    if pixels > size * _MOST_PIXELS.get(image.format or "", math.inf):
        raise ValueError(f"{image.width} x {image.height} pixels do not fit into {size} bytes")
    if image.format == "BMP" and image.info.get("compression") in _RUN_LENGTH and size > 4 * pixels + 8192:
        raise ValueError(f"{size} bytes are too many for {image.width} x {image.height} pixels")
    if image.format in ("JPEG", "MPO") and image.info.get("progressive"):
        file.seek(0)
        scans, last = 0, b""
        while block := file.read(2**20):
            scans += (last + block).count(b"\xff\xda")
            last = block[-1:]
        if scans > _MAX_SCANS:
            raise ValueError(f"it has {scans} scans")


def check_tiff_size(size: int, file: BinaryIO, compression: int) -> None:
    """Raise a `ValueError` where the file is too short for `size` bytes of pixels, however well it is compressed."""
    end = file.seek(0, 2)
    if size > end * _MOST_UNPACKED.get(compression, math.inf):
        raise ValueError(f"its pixels do not fit into {end} bytes")


def check_segments(segments: Sequence[tuple[int, int]], file: BinaryIO, compression: int, each: int, all: int) -> None:
    """Check that the strips or tiles of a TIFF unpack to no more than they should hold, without holding it.

    Args:
        segments: (offset, bytes) of each.
        file: the TIFF.
        compression: its tag: 1 none, 5 LZW, 8 and 32946 deflate, 32773 PackBits.
        each: bytes that a strip or tile of this picture holds.
        all: bytes that the picture holds.

    Raises:
        ValueError: one or all of them unpack to far more, they overlap, or one lies outside the file.
    """
    end = file.seek(0, 2)
    if any(offset + count > end for offset, count in segments):
        raise ValueError("the file ends before its pixels do")  # tifffile would return zeros
    if sum(count for _, count in segments) > end:
        raise ValueError("its strips or tiles overlap")
    if compression not in (5, 8, 32946):
        return
    each, all = 2 * each + 65536, 4 * all + 2**20  # the last may be filled up to the size of the others
    for offset, count in segments:
        file.seek(offset)
        unpacked = _unpacked_bytes(file.read(count), compression, each)
        all -= unpacked
        if unpacked > each or all < 0:
            raise ValueError("a part of it unpacks to more than it should hold")


def _unpacked_bytes(packed: bytes, compression: int, limit: int) -> int:
    """What a compressed strip or tile unpacks to, counted up to just beyond `limit`."""
    if compression == 5:
        import imagecodecs

        try:
            return len(imagecodecs.lzw_decode(packed, out=limit + 1))
        except imagecodecs.LzwError:
            return 0  # whoever decodes it says what is wrong
    unpacker, done = zlib.decompressobj(), 0
    try:
        while packed and not unpacker.eof and done <= limit:
            done += len(unpacker.decompress(packed, 2**20))
            packed = unpacker.unconsumed_tail
    except zlib.error:
        pass
    return done
