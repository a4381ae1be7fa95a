from __future__ import annotations

import logging
import os
import shutil
import struct
import sys
import zlib
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from hf_denoise.data.splitting import split_by_source
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError


def picture(seed: int, width: int = 20, height: int = 14) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, image: np.ndarray | int, **options) -> Path:
    """Write an array, or the random picture of that number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(image) if isinstance(image, int) else image).save(path, **options)
    return path


def write_mask(path: Path, width: int = 20, height: int = 14) -> Path:
    mask = np.zeros((height, width), np.uint8)
    mask[2:5, 3:7] = 255
    return write(path, mask)


def paired(root: Path, count: int = 10, names: tuple[str, str, str] = ("clean", "mask", "degraded")) -> Path:
    clean, mask, degraded = names
    for i in range(count):
        write(root / clean / f"{i:02d}.png", i)
        write_mask(root / mask / f"{i:02d}.png")
        write(root / degraded / f"{i:02d}.png", 1000 + i)
    return root


def huge_png(path: Path) -> Path:
    """A PNG of some bytes whose header declares 60000 x 60000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )
    return path


def sizes(data: datasets.DatasetDict) -> dict[str, int]:
    return {split: len(table) for split, table in data.items()}


def rows(data: datasets.DatasetDict) -> dict[str, dict]:
    return {row["name"]: row for table in data.values() for row in table}


def names(data: datasets.DatasetDict) -> dict[str, list[str]]:
    return {split: table["name"][:] for split, table in data.items()}


# --- layouts


def test_two_forms_of_one_name_are_one_name(tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"  # as most systems write it, and as macOS does
    for number, (clean, degraded, mask) in enumerate(
        [
            (composed, decomposed, decomposed),
            (decomposed, composed, composed + "_mask"),
            (composed, composed, decomposed),
        ]
    ):
        write(tmp_path / f"clean/{clean}{number}/{clean}.png", number)
        write(tmp_path / f"degraded/{degraded}{number}/{degraded}.png", 10 + number)
        write_mask(tmp_path / f"mask/{mask.removesuffix('_mask')}{number}/{mask}.png")
    triplets = load_triplets(tmp_path)
    assert sum(len(rows) for rows in triplets.values()) == 3
    assert {bool(row["mask"]) for rows in triplets.values() for row in rows} == {True}


def test_paired_folders_give_each_image_its_own_partners(tmp_path):
    data = load_triplets(paired(tmp_path))
    assert sizes(data) == {"train": 7, "validation": 2, "test": 1}
    assert data["train"].column_names == ["name", "clean", "mask", "degraded"]
    found = rows(data)
    assert sorted(found) == [f"{i:02d}" for i in range(10)]
    for name, row in found.items():
        np.testing.assert_array_equal(np.asarray(row["clean"]), picture(int(name)))
        np.testing.assert_array_equal(np.asarray(row["degraded"]), picture(1000 + int(name)))
        assert np.asarray(row["mask"]).sum() == 12 * 255


def test_images_stay_in_their_files(tmp_path):
    data = load_triplets(paired(tmp_path))
    cell = data["train"].cast_column("clean", datasets.Image(decode=False))[0]["clean"]
    assert cell["bytes"] is None
    assert Path(cell["path"]).is_absolute() and Path(cell["path"]).parent == tmp_path / "clean"


@pytest.mark.parametrize(
    "folders", [("Images", "Masks", "noisy"), ("gt", "mask", "INPUT"), ("clean_images", "masks", "degraded")]
)
def test_folder_names_people_use(tmp_path, folders):
    data = load_triplets(paired(tmp_path, names=folders))
    assert rows(data).keys() == {f"{i:02d}" for i in range(10)}
    assert data["test"].column_names == ["name", "clean", "mask", "degraded"]


def test_images_and_masks_in_folders_of_their_defect(tmp_path):
    for i, defect in enumerate(["crack", "crack", "fray", "fray", "free"]):
        write(tmp_path / "images" / defect / f"{i}.jpg", i)
        if defect != "free":  # no folder of masks at all for what has no defect
            write_mask(tmp_path / "masks" / defect / f"{i}.png")
    data = load_triplets(tmp_path)
    assert data["train"].column_names == ["name", "clean", "mask", "defect"]
    found = rows(data)
    assert {name: row["defect"] for name, row in found.items()} == {
        "crack/0": "crack", "crack/1": "crack", "fray/2": "fray", "fray/3": "fray", "free/4": "free"
    }  # fmt: skip
    assert found["free/4"]["mask"] is None
    assert found["crack/1"]["mask"].size == (20, 14)


def test_degraded_and_clean_alone_have_no_mask_column(tmp_path):
    for i in range(3):
        write(tmp_path / "target" / f"{i}.png", i)
        write(tmp_path / "input" / f"{i}.png", 100 + i)
    assert load_triplets(tmp_path)["train"].column_names == ["name", "clean", "degraded"]


def test_inspection_layout_pools_objects_and_keeps_train_and_val(tmp_path):
    for thing in ("cable", "screw"):
        for split, count in (("Train", 3), ("Val", 2)):
            for defect in ("scratch", "free"):
                for i in range(count):
                    folder = tmp_path / thing / split
                    write(folder / "GT_clean_image" / defect / f"{i}.png", i)
                    write(folder / "Degraded_image" / defect / f"{i}.png", i + 50)
                    if defect == "scratch":
                        write_mask(folder / "Defect_mask" / defect / (f"{i}_mask.png" if i else f"{i}.png"))
    data = load_triplets(tmp_path)
    assert sizes(data) == {"train": 12, "validation": 8}
    assert data["train"].column_names == ["name", "clean", "mask", "degraded", "defect"]
    found = rows(data)
    assert len(found) == 20
    row = found["screw/Val/scratch/1"]
    assert row["defect"] == "scratch" and row["mask"] is not None
    np.testing.assert_array_equal(np.asarray(row["degraded"]), picture(51))
    assert found["cable/Train/free/2"]["mask"] is None
    # one object by itself is the same layout
    assert sizes(load_triplets(tmp_path / "cable")) == {"train": 6, "validation": 4}


def mvtec(root: Path) -> Path:
    for o, thing in enumerate(("bottle", "hazelnut")):
        for i in range(4):
            write(root / thing / "train" / "good" / f"{i:03d}.png", 100 * o + i)
        for i in range(2):
            write(root / thing / "test" / "good" / f"{i:03d}.png", 100 * o + 10 + i)
        for i in range(3):
            write(root / thing / "test" / "crack" / f"{i:03d}.png", 100 * o + 20 + i)
            write_mask(root / thing / "ground_truth" / "crack" / f"{i:03d}_mask.png")
    (root / "license.txt").write_text("some terms")
    return root


def test_mvtec_is_pooled_so_that_training_sees_defects(tmp_path):
    data = load_triplets(mvtec(tmp_path))
    found = rows(data)
    assert len(found) == 18 and set(data) == {"train", "validation", "test"}
    assert data["train"].column_names == ["name", "clean", "mask", "defect"]
    assert "crack" in data["train"]["defect"]
    assert found["bottle/train/good/000"]["mask"] is None and found["bottle/test/good/001"]["mask"] is None
    row = found["hazelnut/test/crack/002"]
    assert row["defect"] == "crack" and np.asarray(row["mask"]).any()
    np.testing.assert_array_equal(np.asarray(row["clean"]), picture(122))


def test_mvtec_ground_truth_is_not_that_of_training_images(tmp_path):
    mvtec(tmp_path)
    for i in range(2):  # some data sets have (black) masks of good test images
        write_mask(tmp_path / "bottle/ground_truth/good" / f"{i:03d}.png")
    found = rows(load_triplets(tmp_path))
    assert found["bottle/train/good/001"]["mask"] is None and found["bottle/test/good/001"]["mask"] is not None


def test_mvtec_test_image_without_ground_truth_is_unmatched(tmp_path):
    mvtec(tmp_path)
    (tmp_path / "bottle/ground_truth/crack/001_mask.png").unlink()
    with pytest.raises(UserError, match=r"1 problem.*bottle/test/crack/001\.png has no mask"):
        load_triplets(tmp_path)


def test_folder_of_clean_images(tmp_path):
    for i in range(10):
        write(tmp_path / ("a" if i % 2 else "b") / f"{i}.JPG", i)
    write(tmp_path / "b" / "2.png", 77)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_text("not an image either")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "index.parquet").write_text("of another program")
    data = load_triplets(tmp_path)
    assert data["train"].column_names == ["name", "clean"]
    assert rows(data).keys() == {*(f"{'a' if i % 2 else 'b'}/{i}" for i in range(10)), "b/2.png"}


def test_links_to_folders_are_followed_and_never_in_circles(tmp_path):
    for name in ("photos/a", "photos/deep/b", "elsewhere/c", "beside/d"):
        write(tmp_path / f"{name}.png", ord(name[-1]))
    (tmp_path / "photos/linked").symlink_to(tmp_path / "elsewhere")
    for name, target in (("photos/top", "photos"), ("photos/deep/above", "."), ("elsewhere/back", "photos")):
        (tmp_path / name).symlink_to((tmp_path / target).resolve())
    assert rows(load_triplets(tmp_path / "photos")).keys() == {"a", "deep/b", "linked/c"}


def test_one_folder_of_clean_images_may_be_linked_for_two_of_degraded_ones(tmp_path):
    for i in range(3):
        write(tmp_path / "clean/weak" / f"{i}.png", i)
        write(tmp_path / "degraded/weak" / f"{i}.png", 10 + i)
        write(tmp_path / "degraded/strong" / f"{i}.png", 20 + i)
    (tmp_path / "clean/strong").symlink_to("weak")
    (tmp_path / "again").symlink_to(".")
    assert rows(load_triplets(tmp_path)).keys() == {f"{noise}/{i}" for noise in ("weak", "strong") for i in range(3)}


def test_a_folder_called_train_among_others_is_a_folder_of_photographs(tmp_path):
    for folder in ("train", "boats"):
        for i in range(3):
            write(tmp_path / folder / f"{i}.png", i + ord(folder[0]))
    assert sum(sizes(load_triplets(tmp_path)).values()) == 6


# --- layout 1


@pytest.fixture
def table(tmp_path) -> datasets.Dataset:
    root = paired(tmp_path / "files")
    columns: dict[str, list[str | None]] = {
        role: [str(root / role / f"{i:02d}.png") for i in range(10)] for role in ("clean", "mask", "degraded")
    }
    columns["mask"][3] = None
    features = datasets.Features(dict.fromkeys(columns, datasets.Image()))
    table = datasets.Dataset.from_dict(columns, features=features)
    table = table.add_column("camera", ["x"] * 10)
    return table.add_column("defect", [i % 2 for i in range(10)], feature=datasets.ClassLabel(names=["crack", "fray"]))


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


# --- the Hub


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


# --- splits


def test_own_splits_of_plain_folders_are_kept(tmp_path):
    for split, count in (("train", 5), ("valid", 2), ("Test", 1)):
        for i in range(count):
            write(tmp_path / split / f"{i}.png", i)
    data = load_triplets(tmp_path, splits=(0, 0, 1))
    assert names(data) == {
        "train": [f"train/{i}" for i in range(5)], "validation": ["valid/0", "valid/1"], "test": ["Test/0"]
    }  # fmt: skip


def test_own_splits_around_and_inside_paired_folders(tmp_path):
    for part, count in (("train", 4), ("val", 2)):
        paired(tmp_path / "around" / part, count)
        for i in range(count):
            write(tmp_path / "inside" / "clean" / part / "crack" / f"{i}.png", i)
            write_mask(tmp_path / "inside" / "mask" / part / "crack" / f"{i}.png")
    assert sizes(load_triplets(tmp_path / "around")) == {"train": 4, "validation": 2}
    inside = load_triplets(tmp_path / "inside")
    assert sizes(inside) == {"train": 4, "validation": 2}
    assert set(inside["train"]["defect"]) == {"crack"}


def test_a_lone_train_split_is_split(tmp_path):
    paired(tmp_path / "train")
    assert sizes(load_triplets(tmp_path)) == {"train": 7, "validation": 2, "test": 1}


def test_images_beside_own_splits_are_an_error(tmp_path):
    for folder in ("train", "test", "extra"):
        write(tmp_path / folder / "0.png", 1)
    with pytest.raises(UserError, match=r"own splits.*extra"):
        load_triplets(tmp_path)


@pytest.mark.parametrize(
    ("count", "expected"), [(3, (1, 1, 1)), (4, (2, 1, 1)), (9, (6, 2, 1)), (10, (7, 2, 1)), (200, (140, 40, 20))]
)
def test_split_counts(count, expected):
    parts = split_by_source([f"s{i}" for i in range(count)])
    assert tuple(len(part) for part in parts.values()) == expected
    assert sorted(row for part in parts.values() for row in part) == list(range(count))


def test_split_depends_on_sources_and_seed_and_not_on_their_order():
    sources = [f"s{i}" for i in range(50)]

    def sides(order: list[str], seed: int) -> dict[str, str]:
        return {order[row]: split for split, part in split_by_source(order, seed=seed).items() for row in part}

    assert sides(sources, 1) == sides(sources[::-1], 1)
    assert sides(sources, 1) != sides(sources, 2)


def test_loading_is_deterministic_by_seed(tmp_path):
    paired(tmp_path)
    assert names(load_triplets(tmp_path, seed=3)) == names(load_triplets(tmp_path, seed=3))
    assert len({str(names(load_triplets(tmp_path, seed=seed))) for seed in range(4)}) > 1


def test_split_depends_on_the_images_and_not_on_how_they_are_kept(tmp_path):
    one = load_triplets(paired(tmp_path / "one"))
    for i in range(10):
        write(tmp_path / "two" / f"renamed-{9 - i}.png", i)
    two = load_triplets(tmp_path / "two")
    for image in range(10):
        split = next(split for split, names_ in names(one).items() if f"{image:02d}" in names_)
        assert f"renamed-{9 - image}" in two[split]["name"]
    everything = datasets.concatenate_datasets(list(one.values()))
    everything.save_to_disk(tmp_path / "saved")  # as bytes inside
    saved = load_triplets(tmp_path / "saved")
    assert {split: set(part) for split, part in names(saved).items()} == {
        split: set(part) for split, part in names(one).items()
    }


def test_versions_of_one_picture_stay_on_one_side(tmp_path):
    for i in range(6):
        for version in range(3):  # other names, and encoded otherwise: the same pixels
            clean = tmp_path / "clean" / f"{version}_{i}.{'bmp' if version == 2 else 'png'}"
            write(clean, i, **({"compress_level": 1} if version == 1 else {}))
            write(tmp_path / "degraded" / f"{version}_{i}.png", 100 * version + i + 50)
    for seed in range(3):
        data = load_triplets(tmp_path, seed=seed)
        pictures = {split: {name.split("_")[1] for name in table["name"]} for split, table in data.items()}
        assert sizes(data) == {"train": 12, "validation": 3, "test": 3}
        assert sum(map(len, pictures.values())) == 6


def test_all_into_test_needs_no_minimum(tmp_path):
    paired(tmp_path, 1)
    assert sizes(load_triplets(tmp_path, splits=(0, 0, 1))) == {"test": 1}


def test_too_few_sources(tmp_path):
    for i in range(4):
        write(tmp_path / f"{i}.png", i % 2)  # four files of two pictures
    with pytest.raises(UserError, match="at least 3 different clean images and there are 2"):
        load_triplets(tmp_path)


def test_shares_that_do_not_sum_to_one(tmp_path):
    with pytest.raises(UserError, match="sum to 1"):
        load_triplets(tmp_path, splits=(0.7, 0.2, 0.2))


# --- errors


def test_empty_and_missing_folders(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="holds no images; known layouts: "):
        load_triplets(tmp_path)
    with pytest.raises(UserError, match="nowhere/at/all' does not exist"):
        load_triplets(tmp_path / "nowhere/at/all")
    with pytest.raises(UserError, match="is a file: give the folder"):
        load_triplets(write(tmp_path / "one.png", 1))


def test_layouts_that_are_not_recognised(tmp_path):
    write(tmp_path / "a" / "pristine" / "0.png", 1)
    write_mask(tmp_path / "a" / "masks" / "0.png")
    with pytest.raises(UserError, match=r"/a holds masks, pristine, which look like roles .*--columns"):
        load_triplets(tmp_path / "a")
    paired(tmp_path / "c")
    write(tmp_path / "c" / "gt" / "0.png", 1)
    with pytest.raises(UserError, match="both clean and gt could hold the clean images"):
        load_triplets(tmp_path / "c")


def test_unmatched_files_are_listed_once_for_the_whole_data(tmp_path):
    paired(tmp_path)
    (tmp_path / "mask" / "01.png").unlink()
    (tmp_path / "clean" / "02.png").unlink()
    with pytest.raises(UserError) as error:
        load_triplets(tmp_path)
    message = str(error.value)
    assert "3 problems" in message and "--skip-bad" in message
    assert "clean/01.png has no mask" in message
    assert "mask/02.png is a mask without a clean image" in message
    assert "degraded/02.png is a degraded image without a clean one" in message


def test_a_mask_missing_from_a_class_that_has_masks_is_unmatched(tmp_path):
    for i in range(4):
        write(tmp_path / "images" / "free" / f"{i}.png", i)
    for i in range(3):
        write_mask(tmp_path / "masks" / "free" / f"{i}.png")
    with pytest.raises(UserError, match=r"free/3\.png has no mask"):
        load_triplets(tmp_path)


def make_bad(root: Path, kind: str) -> tuple[str, str]:
    """Spoil one file of a paired data set: the path and the reason that must be named."""
    path = root / "degraded" / "04.png"
    if kind == "truncated":
        path.unlink()
        path = path.with_suffix(".jpg")
        write(path, picture(4, 20, 14), quality=95)
        path.write_bytes(path.read_bytes()[:-200])
        with Image.open(path) as image:  # its header is in order: only decoding finds it
            assert image.size == (20, 14)
        return "degraded/04.jpg", "is damaged"
    if kind == "text":
        path.write_text("hello")
        return "degraded/04.png", "is not a PNG, JPEG, WebP, AVIF, HEIC, BMP, TIFF, GIF or PPM image"
    if kind == "empty":
        path.write_bytes(b"")
        return "degraded/04.png", "is empty (0 bytes)"
    if kind == "bomb":
        huge_png(path)
        return "degraded/04.png", "says it has 60000 x 60000 pixels, above the limit of 250 megapixels"
    if kind == "float":
        path.unlink()
        Image.fromarray(np.full((14, 20), 1000, np.float32)).save(path.with_suffix(".tif"))
        return "degraded/04.tif", "holds values from 0 to 1000; scale floating-point images"
    if kind == "labels":
        write(root / "mask" / "04.png", np.eye(14, 20, dtype=np.uint8))
        return "mask/04.png", "has no white pixel, the brightest is 1 of 255"
    write_mask(root / "mask" / "04.png", 14, 20)
    return "mask/04.png", "is 14 x 20 pixels and its clean image 20 x 14"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are Unicode")
def test_names_that_are_not_utf8_are_an_error_or_left_out(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)  # such a name cannot be sent from a worker of xdist to the report
    root, odd = paired(tmp_path / "data"), os.fsdecode(b"caf\xe9")
    for role in ("clean", "mask", "degraded"):
        shutil.copy(root / role / "00.png", root / role / f"{odd}.png")
    with pytest.raises(UserError) as error:
        load_triplets(root)
    assert "3 problems" in str(error.value)
    assert f"mask/{odd}.png has a name that is not UTF-8 (rename it)" in str(error.value)
    assert len(rows(load_triplets(root, skip_bad=True))) == 10
    plain = root / "clean"
    assert len(rows(load_triplets(plain, skip_bad=True))) == 10
    plain.rename(tmp_path / odd)
    with pytest.raises(UserError, match="path that is not UTF-8: rename the folder"):
        load_triplets(tmp_path / odd)


@pytest.mark.parametrize("kind", ["truncated", "text", "empty", "bomb", "float", "labels", "other size"])
def test_bad_images_are_an_error_or_left_out(tmp_path, caplog, kind):
    where, reason = make_bad(paired(tmp_path), kind)
    with pytest.raises(UserError) as error:
        load_triplets(tmp_path)
    assert f"1 problem, to be put right or left out with --skip-bad: {where} {reason}" in str(error.value)
    with caplog.at_level(logging.WARNING):
        data = load_triplets(tmp_path, skip_bad=True)
    assert rows(data).keys() == {f"{i:02d}" for i in range(10) if i != 4}
    assert "1 problem" in caplog.text and where in caplog.text


def test_the_limit_of_pixels_is_not_only_pillows(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    make_bad(paired(tmp_path), "bomb")
    with pytest.raises(UserError, match=r"degraded/04\.png says it has 60000 x 60000 pixels"):
        load_triplets(tmp_path)


def test_unmatched_files_are_left_out(tmp_path):
    paired(tmp_path)
    (tmp_path / "mask" / "01.png").unlink()
    (tmp_path / "clean" / "02.png").unlink()
    data = load_triplets(tmp_path, skip_bad=True)
    assert rows(data).keys() == {f"{i:02d}" for i in range(10) if i not in (1, 2)}


def test_only_the_first_problems_are_shown(tmp_path):
    paired(tmp_path)
    for i in range(5):
        (tmp_path / "clean" / f"{i:02d}.png").write_text("text")
    with pytest.raises(UserError) as error:
        load_triplets(tmp_path)
    assert "5 problems" in str(error.value) and str(error.value).count("is not a PNG") == 3


def test_nothing_left_is_an_error_even_when_skipping(tmp_path):
    paired(tmp_path / "unmatched", 3)
    for file in (tmp_path / "unmatched" / "mask").iterdir():
        file.rename(file.with_name(f"x{file.name}"))
    with pytest.raises(UserError, match="no usable triplet is left"):
        load_triplets(tmp_path / "unmatched", skip_bad=True)
    for split in ("train", "val"):
        write(tmp_path / "unreadable" / split / "0.png", 1)
    (tmp_path / "unreadable" / "val" / "0.png").write_text("text")
    with pytest.raises(UserError, match="left in validation"):
        load_triplets(tmp_path / "unreadable", skip_bad=True)


def test_sizes_are_compared_as_displayed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    for i in range(3):
        write(tmp_path / "clean" / f"{i}.jpg", i, exif=exif)
        write_mask(tmp_path / "mask" / f"{i}.png", 14, 20)
    row = load_triplets(tmp_path)["train"][0]
    assert row["clean"].size == row["mask"].size == (14, 20)


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
