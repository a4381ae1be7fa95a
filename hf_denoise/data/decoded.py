"""Triplets as arrays: decoded from their files, or from a memory-mapped copy of the decoded pixels.

A JPEG must be decoded whole for a patch of it, which takes longer than all else that a sample needs. The copy in the
cache of `datasets` is read where the patch lies, and all processes of a machine share its pages.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hf_denoise.data.reading import Pixels, Triplet, read_row
from hf_denoise.data.roles import ROLES
from hf_denoise.data.table_columns import encoded
from hf_denoise.data.triplet_checks import BAR_FROM
from hf_denoise.errors import UserError

if TYPE_CHECKING:
    import datasets
    import pyarrow

FORMAT = 2  # of the copies; another one makes them anew
_TYPES: dict[int, type[np.generic]] = {  # by the bytes of a pixel, grey or RGB
    **{1: np.uint8, 3: np.uint8},
    **{2: np.uint16, 6: np.uint16},
    **{4: np.float32, 12: np.float32},
}
ROWS_AT_ONCE = 8  # decoded images in memory while a copy is written


class Triplets(Protocol):
    """A list of triplets, or what makes them when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Triplet: ...


class Decoded:
    """The triplets of a split of `load_triplets`, each decoded when it is asked for.

    Raises:
        UserError: on indexing, a file of the data set has vanished meanwhile.
    """

    def __init__(self, table: datasets.Dataset):
        self.table = encoded(table)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Triplet:
        triplet, problems = read_row(self.table[index])
        if triplet is None:  # `load_triplets` could decode it
            raise _vanished(problems[0])
        return triplet

    def __iter__(self) -> Iterator[Triplet]:
        return (self[index] for index in range(len(self)))


class MemoryMapped:
    """Triplets whose decoded pixels lie in a file of the `datasets` cache; the arrays are views of it.

    Args:
        table: a split from `load_triplets`. Its copy is made here, with a progress bar, unless the cache has it.

    Raises:
        UserError: the copy cannot be written, or a file of the data set vanished meanwhile.
    """

    def __init__(self, table: datasets.Dataset):
        self._open(decoded_copy(table))

    def _open(self, table: datasets.Dataset) -> None:
        self.table = table
        column = table.data.column
        self.names, self.heights, self.widths = (column(name).to_pylist() for name in ("name", "height", "width"))
        self.cells = {name: _Cells(column(name)) for name in ("clean", "degraded", "mask", "defects")}

    def __getstate__(self) -> datasets.Dataset:
        return self.table  # pickled, it is the name of its file

    def __setstate__(self, table: datasets.Dataset) -> None:
        self._open(table)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Triplet:
        size = self.heights[index], self.widths[index]
        clean, degraded, mask, defects = (cells[index] for cells in self.cells.values())
        assert clean is not None
        triplet = Triplet(
            self.names[index],
            _shaped(clean, size),
            None if degraded is None else _shaped(degraded, size),
            None if mask is None else mask.view(bool).reshape(size),
        )
        # Known, so that no patch has to search a whole mask. A cached property is an entry of the instance's dict.
        triplet.__dict__["defect_pixels"] = np.empty(0, np.int32) if defects is None else defects.view(np.int32)
        return triplet

    @property
    def degraded_count(self) -> int:
        """How many rows bring a degraded image of their own."""
        return sum(place is not None for place in self.cells["degraded"].places)

    @property
    def defect_count(self) -> int:
        """How many rows have a mask that is not empty."""
        return sum(place is not None and place[2] > place[1] for place in self.cells["defects"].places)

    @property
    def largest_side(self) -> int:
        """Of all images, pixels."""
        return max(*self.heights, *self.widths)


class _Cells:
    """The cells of a binary Arrow column as views of its memory: what is not touched is not read.

    Arrow's own way to a cell, through a scalar and a buffer, takes as long as all else that a patch needs.
    """

    def __init__(self, column: pyarrow.ChunkedArray):
        self.chunks: list[NDArray[np.uint8]] = []
        self.places: list[tuple[int, int, int] | None] = []  # of each cell: chunk, start, end
        for number, chunk in enumerate(column.chunks):
            _, offsets, values = chunk.buffers()
            self.chunks.append(np.frombuffer(values or b"", np.uint8))
            ends = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
            spans = zip(ends[:-1], ends[1:], chunk.is_valid().to_pylist(), strict=True)
            self.places += [(number, start, end) if there else None for start, end, there in spans]

    def __getitem__(self, index: int) -> NDArray[np.uint8] | None:
        place = self.places[index]
        return None if place is None else self.chunks[place[0]][place[1] : place[2]]


def _shaped(cell: NDArray[np.uint8], size: tuple[int, int]) -> Pixels:
    """(H, W, C) view of a cell: the bytes of a pixel tell its type."""
    stored = cell.reshape(*size, -1)
    pixels: Pixels = stored.view(_TYPES[stored.shape[2]])
    return pixels


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
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()  # which would call every split "train"
    try:
        return datasets.Dataset.from_generator(
            _decode_all,
            features=features,
            gen_kwargs={"table": table},
            fingerprint=_fingerprint(encoded(table)),
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
    finally:
        if shown:
            datasets.enable_progress_bars()


def _decode_all(table: datasets.Dataset) -> Iterator[dict[str, Any]]:
    triplets = Decoded(table)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside the interpreter's lock
        hidden = True if len(table) < BAR_FROM else None  # None: shown on a terminal
        starts = range(0, len(table), ROWS_AT_ONCE)
        for start in tqdm(starts, "decoding images", unit="batch", disable=hidden):
            rows = range(start, min(start + ROWS_AT_ONCE, len(table)))
            yield from pool.map(lambda index: _stored(triplets[index]), rows)


def _stored(triplet: Triplet) -> dict[str, Any]:
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
        for column in ROLES:
            cell = row.get(column)
            if cell is None:
                digest.update(b"none")
            elif cell["bytes"] is not None:
                digest.update(hashlib.blake2b(cell["bytes"], digest_size=16).digest())
            else:
                try:
                    status = Path(cell["path"]).stat()
                except OSError as error:
                    raise _vanished(str(error)) from error
                digest.update(f"{cell['path']} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


def _vanished(reason: str) -> UserError:
    return UserError(f"an image can no longer be read ({reason}); put it back, or start again without it")
