"""Every image of a data set is decoded once, so that training meets no bad file later."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image, UnidentifiedImageError
from tqdm import tqdm

from hf_denoise.data.decoded import unusable

if TYPE_CHECKING:
    import datasets

IMAGE_COLUMNS = ("clean", "mask", "degraded")
# `datasets` decodes through Pillow, which by default refuses images from 179 megapixels on.
PILLOW_MAX_PIXELS = 178_000_000
BAR_FROM = 200

Problem = tuple[str, str]
"""What keeps a triplet from being used: where that is, and why in words."""


class _UnusableError(Exception):
    """An image that cannot be decoded; the message is the reason."""


def check_triplets(
    tables: dict[str | None, datasets.Dataset], root: Path
) -> tuple[dict[str | None, datasets.Dataset], dict[str | None, list[str]], list[Problem]]:
    """Decode every image of the tables of some splits.

    Args:
        tables: with the columns `name` and those of IMAGE_COLUMNS that the data have.
        root: where the files lie; problems name them relative to it.

    Returns:
        The tables without the rows that cannot be used, an identifier of the source image of each row that is left,
        and what is wrong with the others.
    """
    import datasets

    raw = {}
    for split, table in tables.items():
        for column in IMAGE_COLUMNS:
            if column in table.column_names:
                table = table.cast_column(column, datasets.Image(decode=False))
        raw[split] = table
    jobs = [(split, row) for split, table in raw.items() for row in range(len(table))]
    problems: list[Problem] = []
    rows: dict[str | None, list[int]] = {split: [] for split in tables}
    digests: dict[str | None, list[tuple[str, str]]] = {split: [] for split in tables}
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # PILLOW_MAX_PIXELS is the limit here
        results = pool.map(lambda job: _check_row(raw[job[0]][job[1]], root), jobs)
        hidden = True if len(jobs) < BAR_FROM else None  # None: shown on a terminal
        for (split, row), (source, found) in zip(
            jobs, tqdm(results, "checking images", len(jobs), unit="triplet", disable=hidden), strict=True
        ):
            problems += found
            if not found:
                rows[split].append(row)
                digests[split].append(source)
    good = {s: table if len(rows[s]) == len(table) else table.select(rows[s]) for s, table in tables.items()}
    return good, {split: _sources(pairs) for split, pairs in digests.items()}, problems


def _sources(digests: list[tuple[str, str]]) -> list[str]:
    """Equal pixels are one source. It is called by its bytes: versions of a JPEG decoder differ in their pixels."""
    name: dict[str, str] = {}
    for pixels, content in digests:
        name[pixels] = min(content, name.get(pixels, content))
    return [name[pixels] for pixels, _ in digests]


def _check_row(row: dict[str, Any], root: Path) -> tuple[tuple[str, str], list[Problem]]:
    """Digests of the clean pixels and of the clean file's bytes, and what is wrong with the row."""
    source = ("", "")
    clean_size: tuple[int, int] | None = None
    problems: list[Problem] = []
    for column in IMAGE_COLUMNS:
        cell = row.get(column)
        if cell is None:
            if column == "clean":
                problems.append((f"{column} of {row['name']}", "is missing"))
            continue
        where = _where(cell, column, row["name"], root)
        try:
            content = _read(cell)
            image = _decode(content)
            if reason := unusable(image, column):
                raise _UnusableError(reason)
        except _UnusableError as error:
            problems.append((where, str(error)))
            continue
        # As `datasets` shows it: orientations from 5 on lie on their side.
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        size = image.size[::-1] if turned else image.size
        if column == "clean":
            clean_size, source = size, (_same_pixels(image), _digest(content))
        elif clean_size is not None and size != clean_size:
            sizes = f"is {size[0]} x {size[1]} pixels and its clean image {clean_size[0]} x {clean_size[1]}"
            problems.append((where, sizes))
    return source, problems


def _where(cell: dict[str, Any], column: str, name: str, root: Path) -> str:
    if cell["bytes"] is not None or not cell["path"]:
        return f"{column} of {name}"
    path = Path(cell["path"])
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _read(cell: dict[str, Any]) -> bytes:
    try:
        content: bytes = Path(cell["path"]).read_bytes() if cell["bytes"] is None else cell["bytes"]
    except FileNotFoundError as error:
        raise _UnusableError("does not exist") from error
    except OSError as error:
        raise _UnusableError(f"cannot be read ({error.strerror})") from error
    if not content:
        raise _UnusableError("is an empty file")
    return content


def _decode(content: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > PILLOW_MAX_PIXELS:
                raise Image.DecompressionBombError
            image.load()
            return image
    except Image.DecompressionBombError as error:
        raise _UnusableError(f"declares more than {PILLOW_MAX_PIXELS // 10**6} megapixels") from error
    except UnidentifiedImageError as error:
        raise _UnusableError("is not an image") from error
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise _UnusableError(f"is damaged ({str(error) or type(error).__name__})") from error


def _same_pixels(image: Image.Image) -> str:
    """A digest that another lossless encoding of the picture shares."""
    # An 8-bit picture is the same as grey, palette or RGB; a deeper one would clip.
    pixels = image.convert("RGB") if image.mode in ("1", "L", "LA", "P", "PA", "RGBA") else image
    return _digest(f"{pixels.mode} {pixels.size}".encode() + pixels.tobytes())


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
