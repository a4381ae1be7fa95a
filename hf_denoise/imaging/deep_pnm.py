"""PGM and PPM of more than 8 bits, which Pillow cuts down to 8 where they have colour."""

import re
from typing import BinaryIO

import numpy as np

_HEAD = 2**16  # bytes: comments may be long
_FIELD = rb"(?:\s|#[^\n\r]*[\n\r])+(\d{1,9})"
_HEADER = re.compile(rb"P([2356])" + _FIELD * 3 + rb"(?:[ \t]*#[^\n\r]*)?\s")


class PnmHeader:
    """What a PGM or PPM says about itself."""

    def __init__(self, kind: int, width: int, height: int, largest: int, start: int):
        self.width, self.height, self.largest, self.start = width, height, largest, start
        self.channels = 3 if kind in (3, 6) else 1
        self.plain = kind in (2, 3)  # numbers in letters


def read_pnm_header(file: BinaryIO) -> PnmHeader | None:
    """The header of a PGM or PPM of more than 8 bits; None for all other files.

    Raises:
        ValueError: it is damaged, or the file is too short for its pixels.
    """
    file.seek(0)
    head = file.read(_HEAD)
    found = _HEADER.match(head)
    if found is None:
        return None
    kind, width, height, largest = map(int, found.groups())
    if largest < 256:
        return None
    if largest > 65535 or not width or not height:
        raise ValueError(f"its size or its largest value, {largest}, cannot be")
    header = PnmHeader(kind, width, height, largest, found.end())
    least = width * height * header.channels * 2 - header.plain  # a digit and a space, or two bytes
    if file.seek(0, 2) - header.start < least:
        raise ValueError(f"{width} x {height} pixels do not fit into it")
    return header


def largest_of(file: BinaryIO) -> int:
    """The value of white."""
    header = read_pnm_header(file)
    assert header is not None
    return header.largest


def read_deep_pnm(file: BinaryIO) -> np.ndarray:
    """Decode it: (H, W) or (H, W, 3) uint16."""
    header = read_pnm_header(file)
    assert header is not None
    count = header.width * header.height * header.channels
    file.seek(header.start)
    if header.plain:
        words = re.sub(rb"#[^\n\r]*", b"", file.read()).split()[:count]
        samples = np.array(words, dtype=np.uint32) if len(words) == count else np.empty(0, np.uint32)
        if samples.size != count or samples.max() > 65535:
            raise ValueError("its numbers do not fit its header")
    else:
        samples = np.frombuffer(file.read(2 * count), ">u2")
    shape = (header.height, header.width, header.channels)[: 2 + (header.channels > 1)]
    return samples.astype(np.uint16).reshape(shape)


def write_deep_pnm(file: BinaryIO, pixels: np.ndarray, largest: float | None) -> None:
    """Encode (H, W) or (H, W, 3) uint16; `largest` is the value of white, where that is known."""
    top = int(largest) if largest and int(pixels.max(initial=0)) <= largest < 65536 else 65535
    height, width = pixels.shape[:2]
    file.write(b"P%d\n%d %d\n%d\n" % (5 if pixels.ndim == 2 else 6, width, height, max(top, 256)))
    file.write(np.ascontiguousarray(pixels, ">u2").data)
