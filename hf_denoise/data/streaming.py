"""Training samples from shards that are read as they come: the data set is never all here, in memory or on disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from hf_denoise.data.loader import Sample, SampleMaker, already_collated, stop_with_parent
from hf_denoise.data.reading import Triplet, read_row
from hf_denoise.errors import UserError

if TYPE_CHECKING:
    import datasets

MIXED_ROWS = 64  # encoded rows that are read at once and mixed

Item = TypeVar("Item")

_logger = logging.getLogger(__name__)


Position = tuple[int, int, int]  # epoch, place in the order of the shards, rows used of that shard


class ShardStream:
    """Endless training batches from the shards of one process, which remember how far they have come.

    The processes share out the shards. Each goes through its own in a new order every epoch, reads blocks of rows ahead
    and mixes them; the workers get encoded rows and decode, crop and degrade them. A resume starts behind the last
    batch that was trained on, and reads no more than a part of one shard again.

    Args:
        table: a split from `open_stream`.
        make_sample: makes samples of triplets.
        batch: samples per batch; fewer where rows are left out.
        workers: processes that prepare samples; 0 does it in this one.
        process, processes: number of this training process, and how many there are.
        seed: of the order and of all that is random in samples.
        side: batches are padded to this height and width.
        skip_bad: leave out, with a logged warning, rows that cannot be used, instead of stopping.
        rows: take at most so many, the first ones of each shard, of which all have the same number or one less.

    Raises:
        UserError: there are fewer shards or rows than processes, or while iterating, a row that cannot be used.
    """

    def __init__(
        self,
        table: datasets.IterableDataset,
        make_sample: SampleMaker,
        *,
        batch: int,
        workers: int,
        process: int,
        processes: int,
        seed: int,
        side: int,
        skip_bad: bool = False,
        rows: int | None = None,
    ):
        if table.num_shards < processes:
            raise UserError(
                f"the data have {table.num_shards} shards for {processes} processes; start fewer processes, or write "
                "more shards (push_to_hub(num_shards=...))"
            )
        if rows is not None and rows < processes:
            raise UserError(f"{rows} training samples are too few for {processes} processes; take more of them")
        self.table, self.seed, self.limit = table, seed, rows
        self.process, self.processes = process, processes
        self.position: Position = (0, 0, 0)
        self.loader = DataLoader(
            _Rows(make_sample, side, skip_bad),
            batch,
            sampler=_Order(self),
            collate_fn=already_collated,
            num_workers=workers,
            worker_init_fn=stop_with_parent,
            pin_memory=torch.cuda.is_available(),
        )

    def __iter__(self) -> Iterator[Sample]:
        try:
            for batch in self.loader:
                self.position = batch.pop("position")
                if batch:
                    yield batch
        except UserError as error:
            # That of a worker has a traceback before the sentence.
            raise UserError(str(error).strip().splitlines()[-1].split("UserError: ")[-1]) from None

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "processes": self.processes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue there.

        Raises:
            UserError: the number of processes was another.
        """
        if state["processes"] != self.processes:
            raise UserError(
                f"this run streams in {state['processes']} processes and is resumed in {self.processes}; start as many"
            )
        epoch, place, row = state["position"]
        self.position = epoch, place, row

    def rows(self) -> Iterator[tuple[dict[str, Any], list[int], Position]]:
        """Encoded rows from the position on, each with the seed of its sample and the position behind it."""
        epoch, place, row = self.position
        own = range(self.process, self.table.num_shards, self.processes)
        while True:
            found = row > 0 or place > 0
            for turn, shard in enumerate(np.random.default_rng([self.seed, epoch]).permutation(own).tolist()):
                if turn < place:
                    continue
                done = row - row % MIXED_ROWS
                for block in _ahead(self._blocks(shard, done)):
                    mixed = np.random.default_rng([self.seed, epoch, shard, done]).permutation(len(block))
                    for index in mixed[row - done :]:
                        row += 1
                        yield block[index], [self.seed, epoch, shard, row], (epoch, turn, row)
                    done, found = row, True
                row = 0
            if not found:
                raise UserError("the data have shards without rows; write them anew")
            epoch, place = epoch + 1, 0

    def _blocks(self, shard: int, done: int) -> Iterator[list[dict[str, Any]]]:
        shards = self.table.num_shards
        left = None if self.limit is None else max((self.limit - shard - 1) // shards + 1 - done, 0)
        if left == 0:
            return
        rows = islice(self.table.shard(shards, shard).skip(done), left)
        while block := list(islice(rows, MIXED_ROWS)):
            yield block


class _Order(Sampler[Any]):
    """The rows of a stream as the keys that a loader hands to its workers: read here, decoded there."""

    def __init__(self, stream: ShardStream):
        self.stream = stream

    def __iter__(self) -> Iterator[Any]:
        return self.stream.rows()


class _Rows(Dataset[Sample]):
    """Batches of encoded rows."""

    def __init__(self, make_sample: SampleMaker, side: int, skip_bad: bool):
        self.make_sample, self.side, self.skip_bad = make_sample, side, skip_bad

    def __getitems__(self, keys: list[tuple[dict[str, Any], list[int], Position]]) -> Sample:
        """The batch of the rows that can be used, if any, and the position behind the last row."""
        triplets, rngs = [], []
        for cells, seed, position in keys:
            try:
                triplets.append(decode(cells, str(cells.get("name") or f"row {position[2]} of shard {seed[2]}")))
                rngs.append(np.random.default_rng(seed))
            except UserError as error:
                if not self.skip_bad:
                    raise
                _logger.warning("left out: %s", error)
        batch = self.make_sample.batch(triplets, rngs, self.side) if triplets else {}
        return {**batch, "position": keys[-1][2]}


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each fetched by a thread while the one before is in use."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def decode(cells: dict[str, Any], where: str) -> Triplet:
    """The encoded images of one row, decoded.

    Raises:
        UserError: an image is missing or cannot be used, or the sizes differ; `where` names the row.
    """
    triplet, problems = read_row({**cells, "name": where})
    if "degraded" in cells and cells["degraded"] is None:
        problems.append(f"degraded of {where} is missing")
    if triplet is None or problems:
        raise UserError(f"{problems[0]}, or leave such rows out with --skip-bad")
    return triplet


def first_triplets(table: datasets.IterableDataset, count: int, skip_bad: bool) -> list[Triplet]:
    """The first triplets of a stream, decoded, in memory."""
    triplets = []
    for number, cells in enumerate(islice(table, count)):
        try:
            triplets.append(decode(cells, str(cells.get("name") or f"row {number + 1}")))
        except UserError:
            if not skip_bad:
                raise
    return triplets
