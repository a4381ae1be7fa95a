"""Which picture goes to training, validation or test."""

from __future__ import annotations

import datasets
import pytest
from triplet_files import names, paired, sizes, write, write_mask

from hf_denoise.data.splitting import split_by_source
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError


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
