"""Every image of a data set is decoded once, so that training meets no bad file later."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from hf_denoise.data.reading import content_of, digests_of, read_row
from hf_denoise.data.table_columns import encoded

if TYPE_CHECKING:
    import datasets

BAR_FROM = 200


def check_triplets(
    tables: dict[str | None, datasets.Dataset], root: Path
) -> tuple[dict[str | None, datasets.Dataset], dict[str | None, list[str]], list[str]]:
    """Decode every image of the tables of some splits.

    Args:
        tables: with the columns `name` and those of `ROLES` that the data have.
        root: where the files lie; problems name them relative to it.

    Returns:
        The tables without the rows that cannot be used, an identifier of the source image of each row that is left,
        and what is wrong with the others.
    """
    raw = {split: encoded(table) for split, table in tables.items()}
    jobs = [(split, row) for split, table in raw.items() for row in range(len(table))]
    problems: list[str] = []
    rows: dict[str | None, list[int]] = {split: [] for split in tables}
    digests: dict[str | None, list[tuple[str, str]]] = {split: [] for split in tables}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
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


def _check_row(row: dict[str, Any], root: Path) -> tuple[tuple[str, str], list[str]]:
    """Digests of the clean pixels and of the clean file's bytes, and what is wrong with the row."""
    triplet, problems = read_row(row, root)
    if triplet is None:
        return ("", ""), problems
    return digests_of(triplet.clean, content_of(row["clean"], row["name"])), []
