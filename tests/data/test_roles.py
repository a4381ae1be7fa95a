"""Triplets whose folders, files and columns are called otherwise; what is not understood is refused, never guessed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from role_files import found, write

from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError

PAIRS = [
    ("LQ/{}.png", "GT/{}.png"),
    ("input/{}.png", "gt/{}.png"),
    ("noisy/{}.png", "clean/{}.png"),
    ("lq/{}.png", "hq/{}.png"),
    ("input/{}.png", "target/{}.png"),
    ("low/{}.png", "high/{}.png"),
    ("input/{}.png", "label/{}.png"),
    ("noisy/{}.png", "ground_truth/{}.png"),
    ("input/{}.png", "groundTruth/{}.png"),
    ("NOISY_SRGB/{}_NOISY.png", "GT_SRGB/{}_GT.png"),
    ("Noisy Images/{}.png", "Clean Images/{}.png"),
    ("{}_NOISY_SRGB_010.png", "{}_GT_SRGB_010.png"),
    ("scene{}/NOISY_SRGB_010.png", "scene{}/GT_SRGB_010.png"),
    ("{}_real.png", "{}_mean.png"),
    ("{}_lq.png", "{}_hq.png"),
    ("{}_noisy.png", "{}.png"),
]


@pytest.mark.parametrize(("degraded", "clean"), PAIRS)
def test_pairs_by_the_names_of_restoration_sets(tmp_path, degraded, clean):
    assert sorted(found(write(tmp_path, degraded=degraded, clean=clean)).values()) == [(n, n, None) for n in range(4)]


MASKED = [
    ("Part{}.jpg", "Part{}_label.bmp"),
    ("{}.png", "{}_GT.png"),
    ("{}.png", "{}_mask.png"),
    ("images/{}.png", "gt/{}.png"),
    ("image/{}.png", "label/{}.png"),
    ("images/{}.png", "ground_truth/{}_label.png"),
    ("clean/{}.png", "Annotations/{}.png"),
]


@pytest.mark.parametrize(("clean", "mask"), MASKED)
def test_masks_by_the_names_of_defect_sets(tmp_path, clean, mask):
    write(tmp_path, clean=clean.replace(".jpg", ".png"), mask=mask)
    assert sorted(found(tmp_path).values()) == [(n, None, 9) for n in range(4)]


def test_kolektor_keeps_its_splits_and_names_what_lacks_a_mask(tmp_path):
    for split in ("train", "test"):
        write(tmp_path / split, clean="1000{}.png", mask="1000{}_GT.png")
    assert found(tmp_path).keys() == {f"{split}/1000{n}" for split in ("train", "test") for n in range(4)}
    (tmp_path / "test/10002_GT.png").unlink()
    with pytest.raises(UserError, match=r"1 problem.*test/10002\.png has no mask"):
        load_triplets(tmp_path)


def test_three_roles_in_one_folder(tmp_path):
    write(tmp_path, clean="{}_gt.png", degraded="{}_noisy.png", mask="{}_mask.png")
    assert sorted(found(tmp_path).values()) == [(n, n, 9) for n in range(4)]


def test_visa_has_levels_for_kinds_of_defects_and_none_for_the_normal(tmp_path):
    write(tmp_path / "candle/Data/Images", clean="Normal/{}.JPG".replace("JPG", "png"))
    write(tmp_path / "candle/Data/Images", clean="Anomaly/{}.png")
    for number in range(4):
        levels = np.zeros((9, 12), np.uint8)
        levels[1, 1:4], levels[5, 5:7] = 1, 4
        path = tmp_path / f"candle/Data/Masks/Anomaly/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(path)
    masks = {name: mask for name, (_, _, mask) in found(tmp_path).items()}
    assert {mask for name, mask in masks.items() if "Anomaly" in name} == {5}
    assert {mask for name, mask in masks.items() if "Normal" in name} == {None}
    assert len(masks) == 8


def loco(root: Path) -> Path:
    write(root / "box", clean="train/good/{}.png")
    write(root / "box", clean="validation/good/{}.png")
    write(root / "box", clean="test/logical_anomalies/{}.png")
    for number in range(4):
        for part in range(2):
            levels = np.zeros((9, 12), np.uint8)
            levels[part : part + 3, 1:3] = 255 - 3 * part  # 6 pixels each, 4 of them in both
            path = root / f"box/ground_truth/logical_anomalies/{number}/00{part}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(levels).save(path)
    return root


def test_mvtec_loco_unites_the_masks_of_an_image(tmp_path):
    masks = {name: mask for name, (_, _, mask) in found(loco(tmp_path)).items()}
    assert masks["box/test/logical_anomalies/2"] == 8
    assert masks["box/train/good/1"] is None and masks["box/validation/good/1"] is None and len(masks) == 12


def test_a_mask_of_loco_that_cannot_be_read_is_named(tmp_path):
    (loco(tmp_path) / "box/ground_truth/logical_anomalies/1/001.png").write_text("text")
    with pytest.raises(UserError, match=r"1 problem.*logical_anomalies/1/001\.png is not a PNG"):
        load_triplets(tmp_path)
    assert len(found(tmp_path, skip_bad=True)) == 11


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        ({"degraded": "LQ_x4/{}.png", "clean": "HR/{}.png"}, "HR, LQ_x4"),
        ({"degraded": "noisy15/{}.png", "clean": "original/{}.png"}, "noisy15, original"),
        ({"degraded": "dirty/{}.png", "clean": "clean/{}.png"}, "clean, dirty"),
        ({"degraded": "before/{}.png", "clean": "images/{}.png"}, "before, images"),
        ({"mask": "seg_v2/{}.png", "clean": "photos/{}.png"}, "photos, seg_v2"),
        ({"degraded": "{}.png", "clean": "{}_clean.png"}, "0.png, 0_clean.png"),
        ({"degraded": "{}_in.png", "clean": "{}_gt.png"}, "4 of 8 images are called as clean images"),
        ({"degraded": "{}_noisy.png"}, "4 of 4 images are called as degraded images"),
        ({"mask": "{}_label.png"}, "4 of 4 images are called as masks"),
        ({"mask": "{}.png", "clean": "{}.jpg"}, "most images are there twice, such as 0.jpg, 0.png"),
    ],
)
def test_what_looks_like_roles_and_is_not_understood_is_refused_with_a_way_out(tmp_path, names, listed):
    write(tmp_path, **names)
    with pytest.raises(UserError) as error:
        load_triplets(tmp_path)
    assert listed in str(error.value) and "--columns" in str(error.value)
    given = load_triplets(tmp_path, columns={"clean": "*"}, splits=(0, 0, 1))
    assert sum(len(table) for table in given.values()) == 4 * len(names)


@pytest.mark.parametrize(
    ("name", "kind"), [("mask", "masks"), ("LQ", "degraded images"), ("Noisy_images", "degraded"), ("labels", "masks")]
)
def test_a_folder_that_is_called_as_another_role_is_refused(tmp_path, name, kind):
    write(tmp_path, clean=f"{name}/{{}}.png")
    with pytest.raises(UserError, match=rf"{name} is called as a folder of {kind}.*--columns"):
        load_triplets(tmp_path / name)
    assert len(found(tmp_path / name, columns={"clean": "*"})) == 4


def test_a_part_of_a_pair_is_refused_and_its_partner_is_named(tmp_path):
    write(tmp_path, degraded="low/train/{}.png", clean="high/train/{}.png")
    for part in ("low", "low/train"):
        with pytest.raises(UserError, match="low is called as a folder of degraded images, and high beside it"):
            load_triplets(tmp_path / part)
    assert len(found(tmp_path / "high")) == 4


def test_a_folder_beside_the_roles_that_looks_like_one_is_refused(tmp_path):
    write(tmp_path, clean="clean/{}.png", degraded="noisy/{}.png", mask="noisy_strong/{}.png")
    with pytest.raises(UserError, match=r"holds clean, noisy and also noisy_strong.*--columns, such as clean=clean"):
        load_triplets(tmp_path)
    assert len(found(tmp_path, columns={"clean": "clean", "degraded": "noisy"})) == 4


def test_images_without_a_place_are_counted(tmp_path, caplog):
    write(tmp_path, clean="clean/{}.png", mask="mask/{}.png")
    write(tmp_path, 2, clean="docs/figure{}.png")
    with caplog.at_level(logging.WARNING):
        assert len(found(tmp_path)) == 4
    assert "2 images are no part of a triplet, such as docs/figure0.png" in caplog.text


@pytest.mark.parametrize("names", ["clean_desk{}.png", "gt_car{}.png", "{}_low.png", "boats/{}.png", "target/{}.png"])
def test_photographs_may_have_any_name(tmp_path, names):
    assert len(found(write(tmp_path, clean=names))) == 4


def test_some_photographs_may_have_names_that_tell_a_role_elsewhere(tmp_path):
    write(tmp_path, 9, clean="photo{}.png")
    write(tmp_path, 1, clean="clean_desk{}.png")
    write(tmp_path, 1, clean="masks_of_venice{}.png")
    write(tmp_path, 2, clean="tide{}.png")
    write(tmp_path, 2, clean="tide{}_low.png")
    assert len(found(tmp_path)) == 15
