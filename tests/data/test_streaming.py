"""Shards are shared out, every row comes once an epoch, and a resume goes on behind the last batch."""

import io
import json
from itertools import islice
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from hf_denoise.data.dataset_tables import open_stream
from hf_denoise.data.loader import SampleMaker
from hf_denoise.data.streaming import ShardStream, first_triplets
from hf_denoise.errors import UserError
from hf_denoise.noise.degradations import parse_degradation

SHARDS, ROWS = 6, 5


def png(value: int, size: int = 12) -> dict:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (value, 0, 0)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def write_shards(folder: Path, **damaged: dict) -> Path:
    """Parquet shards whose images tell their number; `damaged` replaces cells of row 7."""
    features = datasets.Features(
        {"name": datasets.Value("string"), "clean": datasets.Image(), "mask": datasets.Image()}
    )
    (folder / "data").mkdir(parents=True)
    for split, shards in (("train", SHARDS), ("validation", 1)):
        for shard in range(shards):
            numbers = range(ROWS * shard, ROWS * (shard + 1))
            rows = [{"name": str(number), "clean": png(number), "mask": None} for number in numbers]
            if damaged and split == "train" and shard == 1:
                rows[2].update(damaged)
            path = folder / "data" / f"{split}-{shard:05}-of-{shards:05}.parquet"
            datasets.Dataset.from_list(rows, features=features).to_parquet(path)
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards") / "data")


def stream(folder: Path, workers: int = 0, process: int = 0, processes: int = 1, **options) -> ShardStream:
    make = SampleMaker(parse_degradation("gaussian:25"), patch=8)
    settings = {"batch": 2, "seed": 3, "side": 8, **options}
    table = open_stream(folder)["train"]
    return ShardStream(table, make, workers=workers, process=process, processes=processes, **settings)


def test_processes_share_out_the_rows_and_mix_them(shards):
    first, second = (
        [
            int(name)
            for batch in islice(stream(shards, process=process, processes=2, batch=5), 6)
            for name in batch["name"]
        ]
        for process in range(2)
    )
    for epoch in (slice(0, 15), slice(15, 30)):
        assert sorted(first[epoch] + second[epoch]) == list(range(SHARDS * ROWS))
    assert first[:15] != first[15:] and first[:15] != sorted(first[:15])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_resume_goes_on_behind_the_last_batch(shards, workers):
    def following(reader: ShardStream, count: int) -> list:
        batches = list(islice(reader, count))
        return [(batch["name"], batch["degraded"].numpy()) for batch in batches]

    whole = following(stream(shards, workers), 28)
    for stop in (1, 8, 20):
        begun = stream(shards, workers)
        following(begun, stop)
        resumed = stream(shards, 2 - workers)  # their number is free to change
        resumed.load_state_dict(json.loads(json.dumps(begun.state_dict())))
        for ours, theirs in zip(following(resumed, 28 - stop), whole[stop:], strict=True):
            assert ours[0] == theirs[0] and np.array_equal(ours[1], theirs[1])


def test_as_many_rows_as_wanted_are_the_first_ones_of_the_shards(shards):
    readers = [stream(shards, process=process, processes=2, batch=1, rows=8) for process in range(2)]
    taken = {int(name) for reader in readers for batch in islice(reader, 8) for name in batch["name"]}
    assert taken == {0, 1, 5, 6, 10, 15, 20, 25}
    with pytest.raises(UserError, match="too few for 2 processes"):
        stream(shards, processes=2, rows=1)


def test_other_number_of_processes_is_one_sentence(shards):
    with pytest.raises(UserError, match="start fewer processes"):
        stream(shards, processes=SHARDS + 1)
    with pytest.raises(UserError, match="start as many"):
        stream(shards, processes=2).load_state_dict(stream(shards).state_dict())


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"clean": {"bytes": b"no image", "path": None}}, "clean of 7 is not a PNG"),
        ({"mask": png(0, size=5)}, "mask of 7 is 5 x 5 pixels and its clean image 12 x 12"),
        ({"clean": None}, "clean of 7 is missing"),
        ({"mask": png(200)}, "mask of 7 has no white pixel"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_rows_that_cannot_be_used_are_named_or_left_out(tmp_path, cells, reason, workers):
    folder = write_shards(tmp_path / "data", **cells)
    with pytest.raises(UserError, match=f"^{reason}.*--skip-bad"):
        list(islice(stream(folder, workers), 15))
    names = [name for batch in islice(stream(folder, workers, skip_bad=True), 15) for name in batch["name"]]
    assert "7" not in names and sorted(map(int, names)) == [number for number in range(SHARDS * ROWS) if number != 7]


def test_first_images_of_a_stream(shards):
    assert [triplet.name for triplet in first_triplets(open_stream(shards)["validation"], 3, False)] == ["0", "1", "2"]


def test_folder_in_another_layout_is_one_sentence(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="--streaming reads"):
        open_stream(tmp_path)
