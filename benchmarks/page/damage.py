"""Seeded damage to picture files."""

import struct
from collections.abc import Callable

import numpy as np

from benchmarks.page.forged import png_chunk

Mutation = Callable[[bytes, np.random.Generator], bytes]


def flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    """One to nineteen bits anywhere."""
    changed = bytearray(content)
    for place in rng.integers(0, len(changed) * 8, rng.integers(1, 20)):
        changed[place // 8] ^= 1 << (place % 8)
    return bytes(changed)


def flip_bits_of_head(content: bytes, rng: np.random.Generator) -> bytes:
    """Where most headers are."""
    return flip_bits(content[:200], rng) + content[200:]


def flip_bits_of_tail(content: bytes, rng: np.random.Generator) -> bytes:
    """Where most TIFFs keep their tags."""
    return content[:-300] + flip_bits(content[-300:], rng)


def splice(content: bytes, rng: np.random.Generator) -> bytes:
    """A piece repeated, moved or left out."""
    start, stop, place = (int(value) for value in rng.integers(0, len(content), 3))
    start, stop = sorted((start, stop))
    piece = content[start:stop][:2000]
    return [content[:place] + piece + content[place:], content[:start] + content[stop:]][int(rng.integers(2))]


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    """The end is missing."""
    return content[: int(rng.integers(len(content)))]


def set_number(content: bytes, rng: np.random.Generator) -> bytes:
    """Two or four bytes, in the head or the tail as a rule, become a number that lengths and counts break on."""
    values = (0, 1, 2, 7, 8, 16, 64, 65, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        size, order = int(rng.choice([2, 4])), str(rng.choice(["little", "big"]))
        region = rng.integers(3)
        last = max(len(changed) - size, 1)
        place = int(rng.integers(0, last) if region == 0 else rng.integers(0, min(last, 120)))
        place = max(last - place, 0) if region == 2 else place
        changed[place : place + size] = (int(rng.choice(values)) % 2 ** (8 * size)).to_bytes(size, order)
    return bytes(changed)


def set_size(content: bytes, rng: np.random.Generator) -> bytes:
    """Other dimensions in the header of a PNG, with a checksum that fits, JPEG, GIF or BMP; else as `set_number`."""
    width, height = (int(value) for value in rng.choice([0, 1, 63, 65, 128, 1000, 16383, 65535, 100_000, 2**31 - 1], 2))
    changed = bytearray(content)
    if content[:4] == b"\x89PNG":
        body = struct.pack(">II", width, height) + content[24:29]
        if rng.integers(2):
            body = body[:8] + bytes([int(rng.choice([1, 2, 4, 8, 16])), int(rng.choice([0, 2, 3, 4, 6]))]) + body[10:12]
            body += bytes([int(rng.integers(2))])
        changed[8:33] = png_chunk(b"IHDR", body)
    elif content[:2] == b"\xff\xd8":
        at = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2")) + 5
        changed[at : at + 4] = struct.pack(">HH", height % 65536, width % 65536)
    elif content[:3] == b"GIF":
        changed[6:10] = struct.pack("<HH", width % 65536, height % 65536)
    elif content[:2] == b"BM":
        changed[18:26] = struct.pack("<ii", width, height if rng.integers(2) else -height)
    else:
        return set_number(content, rng)
    return bytes(changed)


def set_chunk(content: bytes, rng: np.random.Generator) -> bytes:
    """A damaged chunk of a PNG with a checksum that fits, so that it is not refused for that; else as `splice`."""
    if content[:4] != b"\x89PNG":
        return splice(content, rng)
    chunks, place = [], 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    if not chunks:
        return content
    chosen = int(rng.integers(len(chunks)))
    kind, body = chunks[chosen]
    action = rng.integers(5)
    if action == 0 and body:
        chunks[chosen] = kind, flip_bits(body, rng)
    elif action == 1 and body:
        chunks[chosen] = kind, cut(body, rng)
    elif action == 2:
        chunks.insert(int(rng.integers(len(chunks))), (kind, body))
    elif action == 3:
        del chunks[chosen]
    else:
        name = str(
            rng.choice(["PLTE", "tRNS", "iCCP", "eXIf", "gAMA", "sBIT", "acTL", "fcTL", "zTXt", "cICP"])
        ).encode()
        chunks.insert(int(rng.integers(len(chunks))), (name, rng.bytes(int(rng.integers(1, 300)))))
    return content[:8] + b"".join(png_chunk(kind, body) for kind, body in chunks)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    flip_bits_of_head,
    flip_bits_of_tail,
    splice,
    cut,
    set_number,
    set_size,
    set_chunk,
)


def damaged(content: bytes, seed: int) -> tuple[str, bytes]:
    """One mutation of a file, and its name; the same for the same seed."""
    rng = np.random.default_rng(seed)
    mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
    return mutation.__name__, mutation(content, rng)
