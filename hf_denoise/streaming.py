"""Training samples from shards that are read as they come: the data set is never all here, in memory or on disk."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from hf_denoise.decoded import Triplet, read_row
from hf_denoise.errors import UserError
from hf_denoise.loader import Sample, SampleMaker, collate, ignore_interrupt
from hf_denoise.triplets import IMAGE_COLUMNS

if TYPE_CHECKING:
    import datasets

SHUFFLED_ROWS = 256  # encoded rows in memory per reader, out of which the next one is drawn

_logger = logging.getLogger(__name__)


class ShardStream:
    """Endless training batches of the shards of one process, which remember how far they have come.

    Process and worker make a reader; the readers share out the shards. Each goes through its own in a new order every
    epoch and mixes the rows within a shard. A batch carries the position of its reader, so that a resume starts behind
    the last batch that was trained on, and reads no more than the begun shards again.

    Args:
        table: a split from `open_stream`.
        make_sample: makes samples of rows.
        batch: samples per batch.
        workers: processes that read and prepare; 0 does it in this one.
        process, processes: number of this training process, and how many there are.
        seed: of the order and of all that is random in samples.
        side: batches are padded to this height and width.
        skip_bad: leave out, with a logged warning, rows that cannot be used, instead of stopping.

    Raises:
        UserError: there are fewer shards than readers, or while iterating, a row that cannot be used.
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
    ):
        self.readers = max(workers, 1)
        if table.num_shards < processes * self.readers:
            raise UserError(
                f"the data have {table.num_shards} shards for {processes} processes with {self.readers} readers each; "
                "lower --workers, or write more shards (push_to_hub(num_shards=...))"
            )
        self.table, self.make_sample, self.seed, self.skip_bad = table, make_sample, seed, skip_bad
        self.batch, self.workers, self.side = batch, workers, side
        self.first_reader, self.all_readers = process * self.readers, processes * self.readers
        self.next = 0  # the reader whose batch is next
        self.positions = [(0, 0, 0)] * self.readers  # epoch, place in the order of the shards, rows read there

    def __iter__(self) -> Iterator[Sample]:
        loader: DataLoader[Sample] = DataLoader(
            _Rows(self),
            self.batch,
            collate_fn=self._collate,
            num_workers=self.workers,
            worker_init_fn=ignore_interrupt,
            pin_memory=torch.cuda.is_available(),
        )
        try:
            for batch in loader:  # the workers take turns
                self.positions[self.next] = batch.pop("position")
                self.next = (self.next + 1) % self.readers
                yield batch
        except UserError as error:
            # That of a worker has a traceback before the sentence.
            raise UserError(str(error).strip().splitlines()[-1].split("UserError: ")[-1]) from None

    def state_dict(self) -> dict[str, Any]:
        return {"next": self.next, "positions": self.positions, "readers": self.all_readers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue there.

        Raises:
            UserError: the number of readers was another.
        """
        if state["readers"] != self.all_readers:
            raise UserError(
                f"this run streams with {state['readers']} readers in all and --resume with {self.all_readers}; "
                "take the same number of processes and --workers"
            )
        self.next, self.positions = state["next"], [tuple(position) for position in state["positions"]]

    def rows(self, reader: int) -> Iterator[tuple[Triplet, np.random.Generator, tuple[int, int, int]]]:
        """Triplets of one reader from its position on, each with its source of randomness and the position after."""
        own = np.arange(self.table.num_shards)[self.first_reader + reader :: self.all_readers]
        epoch, place, row = self.positions[reader]
        while True:
            usable = row > 0 or place > 0
            for turn, number in enumerate(np.random.default_rng([self.seed, epoch]).permutation(own)):
                if turn < place:
                    continue
                shard = self.table.shard(self.table.num_shards, int(number))
                shard = shard.shuffle(self.seed + epoch, buffer_size=SHUFFLED_ROWS)
                for cells in shard.skip(row):
                    row += 1
                    triplet = self._read(cells, f"row {row} of shard {number}")
                    if triplet is not None:
                        usable = True
                        yield triplet, np.random.default_rng([self.seed, epoch, number, row]), (epoch, turn, row)
                row = 0
            if not usable:
                raise UserError("the data have shards without a usable row; write them anew")
            epoch, place = epoch + 1, 0

    def _read(self, cells: dict[str, Any], where: str) -> Triplet | None:
        where = str(cells.get("name") or where)
        try:
            return decode(cells, where)
        except UserError as error:
            if not self.skip_bad:
                raise
            _logger.warning("left out: %s", error)
            return None

    def _collate(self, samples: list[Sample]) -> Sample:
        return {**collate(samples, self.side), "position": samples[-1]["position"]}


class _Rows(IterableDataset[Sample]):
    """What one worker reads."""

    def __init__(self, stream: ShardStream):
        self.stream = stream

    def __iter__(self) -> Iterator[Sample]:
        info = get_worker_info()
        turn = info.id if info else 0
        reader = (self.stream.next + turn) % self.stream.readers  # the loader asks worker 0 first
        for triplet, rng, position in self.stream.rows(reader):
            yield {**self.stream.make_sample(triplet, rng), "position": position}


def decode(cells: dict[str, Any], where: str) -> Triplet:
    """The encoded images of one row, decoded.

    Raises:
        UserError: an image is missing or damaged, or the sizes differ; `where` names the row.
    """
    import datasets

    row: dict[str, Any] = {"name": where}
    for column in IMAGE_COLUMNS:
        cell = cells.get(column)
        if cell is None and (column == "clean" or (column == "degraded" and column in cells)):
            raise UserError(f"{column} of {where} is missing; leave such rows out with --skip-bad")
        try:
            row[column] = None if cell is None else datasets.Image().decode_example(cell)
        except Exception as error:  # decoders raise whatever a damaged file leads them to
            raise UserError(
                f"{column} of {where} cannot be decoded ({error}); leave such rows out with --skip-bad"
            ) from error
    sizes = {picture.size for picture in row.values() if hasattr(picture, "size")}
    if len(sizes) > 1:
        raise UserError(f"the images of {where} differ in size; leave such rows out with --skip-bad")
    return read_row(row)


def first_triplets(table: datasets.IterableDataset, count: int, skip_bad: bool) -> list[Triplet]:
    """The first triplets of a stream, decoded, in memory."""
    triplets = []
    for number, cells in enumerate(itertools.islice(table, count)):
        try:
            triplets.append(decode(cells, str(cells.get("name") or f"row {number + 1}")))
        except UserError:
            if not skip_bad:
                raise
    return triplets
