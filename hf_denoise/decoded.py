"""Triplets as arrays: decoded from their files, or from a memory-mapped copy of the decoded pixels.

A JPEG must be decoded whole for a patch of it, which takes longer than all else that a sample needs. The copy in the
cache of `datasets` is read where the patch lies, and all processes of a machine share its pages.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hf_denoise.errors import UserError

if TYPE_CHECKING:
    import datasets

Pixels = NDArray[np.uint8] | NDArray[np.uint16]

FORMAT = 1  # of the copies; another one makes them anew
ROWS_AT_ONCE = 8  # decoded images in memory while a copy is written


@dataclass(frozen=True)
class Triplet:
    """One triplet as it was stored.

    Attributes:
        name: as in the data set.
        clean: (H, W, 3) uint8, or where the file has no colour (H, W, 1) uint8 or uint16.
        degraded: the same kinds, of the same height and width; None where it is to be made.
        mask: (H, W) bool, True inside defects; None where there is none.
    """

    name: str
    clean: Pixels
    degraded: Pixels | None = None
    mask: NDArray[np.bool_] | None = None

    @cached_property
    def defect_pixels(self) -> NDArray[np.int32]:
        """Flat indices of the pixels inside defects."""
        return np.flatnonzero(self.mask).astype(np.int32) if self.mask is not None else np.empty(0, np.int32)


def pixels(picture: Image.Image) -> Pixels:
    """Pillow image of any mode -> (H, W, 3) uint8, or without colour (H, W, 1), where 16 bits stay 16."""
    if picture.mode.startswith("I"):
        return np.asarray(picture).clip(0, 65535).astype(np.uint16)[..., None]
    if Image.getmodebase(picture.mode) == "L" and picture.mode != "F":
        return np.asarray(picture.convert("L"))[..., None]
    return np.asarray(picture.convert("RGB"))


def to_float(stored: Pixels) -> NDArray[np.float32]:
    """(H, W, 1 or 3) integers -> (H, W, 3) float32 in [0, 1]."""
    unit = stored.astype(np.float32, order="C")
    unit /= np.float32(np.iinfo(stored.dtype).max)
    return np.repeat(unit, 3, axis=2) if unit.shape[2] == 1 else unit


def read_row(row: dict[str, Any]) -> Triplet:
    """A row of `load_triplets`, decoded."""
    mask = row.get("mask")
    return Triplet(
        row.get("name", ""),
        pixels(row["clean"]),
        pixels(row["degraded"]) if row.get("degraded") is not None else None,
        np.asarray(mask.convert("L")) > 127 if mask is not None else None,
    )


class Triplets(Protocol):
    """A list of triplets, or what makes them when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Triplet: ...


class Decoded:
    """The triplets of a split of `load_triplets`, each decoded when it is asked for."""

    def __init__(self, table: Any):
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Triplet:
        return read_row(self.table[index])


class MemoryMapped:
    """Triplets whose decoded pixels lie in a file of the `datasets` cache; the arrays are views of it.

    Args:
        table: a split from `load_triplets`. Its copy is made here, with a progress bar, unless the cache has it.

    Raises:
        UserError: the copy cannot be written, or a file of the data set vanished meanwhile.
    """

    def __init__(self, table: datasets.Dataset):
        self.table = decoded_copy(table)
        size = self.table.with_format("numpy")
        self.heights, self.widths = (np.asarray(size[side]) for side in ("height", "width"))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Triplet:
        size = int(self.heights[index]), int(self.widths[index])
        clean, degraded, mask, defects = (
            self._buffer(column, index) for column in ("clean", "degraded", "mask", "defects")
        )
        triplet = Triplet(
            self.table.data.column("name")[index].as_py(),
            _shaped(clean, size),
            None if degraded is None else _shaped(degraded, size),
            None if mask is None else np.frombuffer(mask, bool).reshape(size),
        )
        # Known, so that no patch has to search a whole mask. A cached property is an entry of the instance's dict.
        triplet.__dict__["defect_pixels"] = np.frombuffer(defects or b"", np.int32)
        return triplet

    def _buffer(self, column: str, index: int) -> Any:
        return self.table.data.column(column)[index].as_buffer()  # no copy: what is not touched is not read

    @property
    def largest_side(self) -> int:
        """Of all images, pixels."""
        return int(max(self.heights.max(), self.widths.max()))


def _shaped(buffer: Any, size: tuple[int, int]) -> Pixels:
    """(H, W, C) view of a buffer: 1 byte a pixel is grey, 2 are 16-bit grey, 3 are RGB."""
    stored = np.frombuffer(buffer, np.uint8).reshape(*size, -1)
    return stored.view(np.uint16) if stored.shape[2] == 2 else stored


def decoded_copy(table: datasets.Dataset) -> datasets.Dataset:
    """The decoded pixels of a split as bytes, from the cache of `datasets` if they are there and nothing changed."""
    import datasets

    binary = datasets.Value("large_binary")
    features = datasets.Features(
        {
            "name": datasets.Value("string"),
            "height": datasets.Value("int32"),
            "width": datasets.Value("int32"),
            **dict.fromkeys(("clean", "degraded", "mask", "defects"), binary),
        }
    )
    stored = table
    for column in ("clean", "mask", "degraded"):
        if column in table.column_names:
            stored = stored.cast_column(column, datasets.Image(decode=False))
    try:
        return datasets.Dataset.from_generator(
            _decode_all,
            features=features,
            gen_kwargs={"table": table},
            fingerprint=_fingerprint(stored),
            writer_batch_size=ROWS_AT_ONCE,
        )
    except (OSError, datasets.exceptions.DatasetGenerationError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(
            f"the decoded copy of the images could not be written to '{datasets.config.HF_DATASETS_CACHE}' "
            f"({getattr(cause, 'strerror', None) or cause}); make room there, or set HF_DATASETS_CACHE to elsewhere"
        ) from error


def _decode_all(table: datasets.Dataset) -> Iterator[dict[str, Any]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside the interpreter's lock
        for start in range(0, len(table), ROWS_AT_ONCE):
            rows = range(start, min(start + ROWS_AT_ONCE, len(table)))
            yield from pool.map(lambda index: _stored(table, index), rows)


def _stored(table: datasets.Dataset, index: int) -> dict[str, Any]:
    try:
        triplet = read_row(table[index])
    except OSError as error:  # `load_triplets` could decode it
        raise _vanished(error) from error
    height, width = triplet.clean.shape[:2]
    return {
        "name": triplet.name,
        "height": height,
        "width": width,
        "clean": triplet.clean.tobytes(),
        "degraded": None if triplet.degraded is None else triplet.degraded.tobytes(),
        "mask": None if triplet.mask is None else triplet.mask.tobytes(),
        "defects": triplet.defect_pixels.tobytes(),
    }


def _fingerprint(table: datasets.Dataset) -> str:
    """Of the files by path, size and time, of images inside the table by their bytes."""
    digest = hashlib.blake2b(str(FORMAT).encode(), digest_size=16)
    for row in table:
        digest.update(row["name"].encode())
        for column in ("clean", "mask", "degraded"):
            cell = row.get(column)
            if cell is None:
                digest.update(b"none")
            elif cell["bytes"] is not None:
                digest.update(hashlib.blake2b(cell["bytes"], digest_size=16).digest())
            else:
                try:
                    status = Path(cell["path"]).stat()
                except OSError as error:
                    raise _vanished(error) from error
                digest.update(f"{cell['path']} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


def _vanished(error: OSError) -> UserError:
    return UserError(f"an image can no longer be read ({error}); put it back, or start again without it")
