"""Triplets in folders: the layouts that people have."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
from triplet_files import paired, picture, rows, sizes, write, write_mask

from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError


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
