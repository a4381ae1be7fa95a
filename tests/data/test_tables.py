"""Triplets in tables: datasets saved to disk, Parquet, image folders, the Hub."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image
from triplet_files import names, paired, picture, rows, sizes, write, write_mask

from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError


def check_table(data: datasets.DatasetDict) -> None:
    assert data["train"].column_names == ["name", "clean", "mask", "degraded", "defect"]
    found = rows(data)
    assert sorted(found) == [f"{i:06d}" for i in range(10)]
    assert found["000003"]["mask"] is None and found["000003"]["defect"] == "fray"
    np.testing.assert_array_equal(np.asarray(found["000004"]["clean"]), picture(4))
    np.testing.assert_array_equal(np.asarray(found["000004"]["degraded"]), picture(1004))


def test_dataset_saved_to_disk(tmp_path, table):
    table.save_to_disk(tmp_path / "saved")
    data = load_triplets(tmp_path / "saved")
    assert sizes(data) == {"train": 7, "validation": 2, "test": 1}
    check_table(data)


def test_dataset_dict_saved_to_disk_keeps_splits_and_names(tmp_path, table):
    named = table.add_column("name", [f"n{i}" for i in range(10)])
    parts = {"train": named.select(range(6)), "val": named.select(range(6, 10))}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    data = load_triplets(str(tmp_path / "saved"))
    assert names(data) == {"train": [f"n{i}" for i in range(6)], "validation": [f"n{i}" for i in range(6, 10)]}


def test_parquet_shards(tmp_path, table):
    (tmp_path / "shards" / "data").mkdir(parents=True)
    table.to_parquet(tmp_path / "shards" / "data" / "train-00000-of-00001.parquet")
    check_table(load_triplets(tmp_path / "shards"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are Unicode")
def test_another_file_beside_parquet_may_have_any_name(tmp_path, table):
    (tmp_path / "shards").mkdir()
    table.to_parquet(tmp_path / "shards" / "train-00000-of-00001.parquet")
    (tmp_path / "shards" / os.fsdecode(b"caf\xe9.txt")).write_text("notes")
    check_table(load_triplets(tmp_path / "shards"))


def test_image_folder_with_metadata(tmp_path):
    for split, count in (("train", 4), ("test", 2)):
        lines = ["clean_file_name,mask_file_name,degraded_file_name"]
        for i in range(count):
            write(tmp_path / split / f"a{i}.png", i)
            write_mask(tmp_path / split / f"b{i}.png")
            write(tmp_path / split / f"c{i}.png", 50 + i)
            lines.append(f"a{i}.png,b{i}.png,c{i}.png")
        (tmp_path / split / "metadata.csv").write_text("\n".join(lines) + "\n")
    data = load_triplets(tmp_path)
    assert sizes(data) == {"train": 4, "test": 2}
    np.testing.assert_array_equal(np.asarray(data["test"][1]["degraded"]), picture(51))


def test_dataset_without_clean_names_what_it_has(tmp_path, table):
    table.rename_column("clean", "sharp").save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match=r"columns sharp, mask, degraded, camera, defect: expected .* clean"):
        load_triplets(tmp_path / "saved")


def test_column_that_holds_no_images(tmp_path):
    datasets.Dataset.from_dict({"clean": [1, 2, 3]}).save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match=r"column clean .* not images"):
        load_triplets(tmp_path / "saved")


def test_bad_images_inside_a_dataset_are_named_by_row(tmp_path):
    good = write(tmp_path / "x.png", 1).read_bytes()
    other_size = write(tmp_path / "y.png", picture(2, 9, 9)).read_bytes()
    columns = {"clean": [good, b"text", None, good], "mask": [None, None, None, other_size]}
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(dict.fromkeys(columns, datasets.Image())))
    table.save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError) as error:
        load_triplets(tmp_path / "saved")
    assert "3 problems" in str(error.value)
    assert "clean of 000001 is not a PNG" in str(error.value)
    assert "clean of 000002 is missing" in str(error.value)
    assert "mask of 000003 is 9 x 9 pixels and its clean image 20 x 14" in str(error.value)


def test_dataset_with_unknown_splits(tmp_path, table):
    datasets.DatasetDict({"train": table, "bonus": table}).save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match="'bonus'"):
        load_triplets(tmp_path / "saved")


def hosted(hub, tmp_path: Path, repo_id: str, clean: str = "clean") -> None:
    for split, count in (("train", 4), ("test", 2)):
        images = [write(tmp_path / f"{i}.png", i).read_bytes() for i in range(count)]
        columns = {clean: images, "degraded": images[::-1]}
        table = datasets.Dataset.from_dict(
            columns, features=datasets.Features(dict.fromkeys(columns, datasets.Image()))
        )
        table.to_parquet(tmp_path / f"{split}.parquet")
    files = {f"data/{split}-00000-of-00001.parquet": f"{split}.parquet" for split in ("train", "test")}
    hub.host(repo_id, {path: (tmp_path / file).read_bytes() for path, file in files.items()}, kind="datasets")


def test_dataset_on_the_hub(hub, tmp_path):
    hosted(hub, tmp_path, "ada/tiles")
    data = load_triplets("ada/tiles")
    assert sizes(data) == {"train": 4, "test": 2}
    assert data["train"].column_names == ["name", "clean", "degraded"]
    np.testing.assert_array_equal(np.asarray(rows(data)["train/000001"]["clean"]), picture(1))
    np.testing.assert_array_equal(np.asarray(rows(data)["train/000001"]["degraded"]), picture(2))


def test_dataset_on_the_hub_without_clean(hub, tmp_path):
    hosted(hub, tmp_path, "ada/photos", clean="front")
    with pytest.raises(UserError, match=r"ada/photos has the columns front, degraded: expected .* clean.*--columns"):
        load_triplets("ada/photos")
    found = load_triplets("ada/photos", columns={"clean": "front"})
    assert found["train"].column_names == ["name", "clean", "degraded"]
    np.testing.assert_array_equal(np.asarray(rows(found)["train/000001"]["clean"]), picture(1))


def test_revision_and_configuration_of_a_dataset_on_the_hub(hub, tmp_path, table):
    """The older revision has one configuration; the newer one is private and has two, of which one must be chosen."""
    hosted(hub, tmp_path, "ada/tiles")
    first = hub.repos["datasets", "ada/tiles"].resolve("main")
    shard = (tmp_path / "test.parquet").read_bytes()
    listed = "".join(f"- config_name: {name}\n  data_files: {name}/*.parquet\n" for name in ("wood", "steel"))
    card = f"---\nconfigs:\n{listed}---\n".encode()
    files = {"README.md": card, "wood/train.parquet": shard, "steel/a.parquet": shard}
    hub.host("ada/tiles", files, kind="datasets").private = True
    with pytest.raises(UserError, match="ada/tiles is neither a folder here nor a dataset on the Hub that you may"):
        load_triplets("ada/tiles", config="steel")
    assert sizes(load_triplets("ada/tiles", revision=first, token="hf_ada")) == {"train": 4, "test": 2}
    steel = load_triplets("ada/tiles", config="steel", token="hf_ada", splits=(0, 0, 1))
    assert sizes(steel) == {"test": 2}
    for config in (None, "glass"):
        with pytest.raises(UserError, match="has the configurations wood, steel: choose one with --dataset-config"):
            load_triplets("ada/tiles", config=config, token="hf_ada")
    with pytest.raises(UserError, match="ada/tiles has no revision 'v9' on the Hub: correct --dataset-revision"):
        load_triplets("ada/tiles", revision="v9", token="hf_ada")
    datasets.DatasetDict({"train": table}).save_to_disk(tmp_path / "saved")
    for folder in (tmp_path / "saved", paired(tmp_path / "pairs")):
        for version in ("revision", "config"):
            options: dict = {version: "v1"}
            with pytest.raises(UserError, match=r"is a folder here, which has no --dataset-\w+ '\w+': leave that out"):
                load_triplets(folder, **options)


def test_missing_dataset_on_the_hub(hub):
    with pytest.raises(UserError, match="ada/some-tiles is neither a folder here nor a dataset on the Hub"):
        load_triplets("ada/some-tiles")
    assert any("ada/some-tiles" in request for request in hub.requests)


def test_hub_without_network(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="someone/some-tiles is not a folder here, and the Hub could not be reached"):
        load_triplets("someone/some-tiles")


@pytest.mark.parametrize("listed", [False, True])
def test_datasets_folder_written_anew_is_read_anew(tmp_path, listed):
    """Also where its README.md lists the files, for which `datasets` alone would give the old images."""
    (tmp_path / "data").mkdir()
    if listed:
        files = "  data_files:\n  - split: train\n    path: data/train-*\n"
        (tmp_path / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n{files}---\n")
    for grey in (10, 200):
        images = [Image.new("RGB", (16, 16), (grey, grey, number)) for number in range(10)]
        table = datasets.Dataset.from_dict({"clean": images}, datasets.Features({"clean": datasets.Image()}))
        table.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
        assert load_triplets(tmp_path)["train"][0]["clean"].getpixel((0, 0))[0] == grey
