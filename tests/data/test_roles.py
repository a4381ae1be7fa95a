"""Triplets whose folders, files and columns are called otherwise; what is not understood is refused, never guessed."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from hf_denoise.data.dataset_tables import open_stream
from hf_denoise.data.decoded import Decoded
from hf_denoise.data.roles import parse_columns
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError

CLEAN, NOISY = 60, 61  # what pictures of a role begin with


def image(role: str, number: int) -> Image.Image:
    """A picture whose first pixel tells its role, its second its number."""
    if role == "mask":
        pixels = np.zeros((9, 12), np.uint8)
        pixels[2:5, 3:6] = 255
        return Image.fromarray(pixels)
    pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    pixels[0, 0], pixels[0, 1] = {"clean": CLEAN, "degraded": NOISY}[role], number
    return Image.fromarray(pixels)


def write(root: Path, count: int = 4, **names: str) -> Path:
    """Files of each role, `{}` in their names being the number."""
    for role, name in names.items():
        for number in range(count):
            path = root / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            image(role, number).save(path)
    return root


def found(data, **options) -> dict[str, tuple[int, int | None, int | None]]:
    """For each triplet: the number of its clean image, that of its degraded one, the pixels of its mask."""
    tables = load_triplets(data, splits=(0, 0, 1), **options)
    triplets = {}
    for table in tables.values():
        for triplet in Decoded(table):
            assert triplet.clean[0, 0, 0] == CLEAN
            noisy = triplet.degraded
            assert noisy is None or noisy[0, 0, 0] == NOISY
            mask = None if triplet.mask is None else int(triplet.mask.sum())
            triplets[triplet.name] = int(triplet.clean[0, 1, 0]), None if noisy is None else int(noisy[0, 1, 0]), mask
    return triplets


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


# --- what is not understood


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


# --- roles given by hand


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        ({"degraded": "LQ_x4/{}.png", "clean": "HR/{}.png"}, "degraded=LQ_x4 clean=HR"),
        ({"degraded": "a/LQ_x4/{}.png", "clean": "a/HR/{}.png"}, "degraded=lq_x4 clean=hr"),
        ({"degraded": "in/x/{}.png", "clean": "out/y/{}.png"}, "degraded=in/x clean=out/y"),
        ({"degraded": "{}_in.png", "clean": "{}_out.png"}, "degraded=*_in clean=*_out"),
        ({"degraded": "s{}/in.png", "clean": "s{}/out.png"}, "degraded=in* clean=out*"),
        ({"degraded": "{}.png", "clean": "{}_clean.png"}, "degraded=* clean=*_clean"),
    ],
)
def test_columns_name_folders_and_files(tmp_path, names, columns):
    write(tmp_path, **names)
    assert sorted(found(tmp_path, columns=parse_columns(columns.split())).values()) == [(n, n, None) for n in range(4)]


def test_columns_tell_files_apart_by_their_extensions(tmp_path):
    write(tmp_path, clean="{}.tif", mask="{}.png")
    assert {mask for _, _, mask in found(tmp_path, columns={"clean": "*.tif", "mask": "*.png"}).values()} == {9}


def test_columns_keep_own_splits(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / split, degraded="bad/{}.png", clean="fine/{}.png")
    data = load_triplets(tmp_path, columns={"degraded": "bad", "clean": "fine"})
    assert {split: len(table) for split, table in data.items()} == {"train": 4, "validation": 4}


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("clean", "give each role once and its name"),
        ("clean=a clean=b", "give each role once"),
        ("noisy=a clean=b", "the roles are clean, mask, degraded"),
        ("degraded=a clean=a", "one name to two roles"),
        ("degraded=noisy", "does not say which images are clean"),
        ("degraded=nosy clean=clean", "nosy names nothing in .*, which holds clean, noisy"),
        ("degraded=noisy clean=*_a", "give folders, or names of files"),
    ],
)
def test_columns_that_name_nothing_are_one_sentence(tmp_path, columns, reason):
    write(tmp_path, degraded="noisy/{}.png", clean="clean/{}.png")
    with pytest.raises(UserError, match=f"--columns.*{reason}"):
        load_triplets(tmp_path, columns=parse_columns(columns.split()))


# --- tables


def table(**columns: str) -> datasets.Dataset:
    """A table of four rows: the role of each column by its name."""

    def cell(role: str, number: int) -> dict[str, bytes]:
        encoded = io.BytesIO()
        image(role, number).save(encoded, "PNG")
        return {"bytes": encoded.getvalue()}

    cells = {name: [cell(role, number) for number in range(4)] for name, role in columns.items()}
    return datasets.Dataset.from_dict(cells, datasets.Features(dict.fromkeys(columns, datasets.Image())))


@pytest.mark.parametrize(
    ("columns", "given"),
    [
        ({"GT": "clean", "LQ": "degraded", "mask": "mask"}, None),
        ({"LQ_x4": "degraded", "HR": "clean", "mask": "mask"}, {"clean": "HR", "degraded": "LQ_x4"}),
        ({"clean": "degraded", "other": "clean", "m": "mask"}, {"clean": "other", "degraded": "clean", "mask": "m"}),
        ({"clean": "clean", "degraded": "mask", "LQ": "degraded"}, {"degraded": "LQ", "mask": "degraded"}),
    ],
)
def test_columns_of_tables(tmp_path, columns, given):
    table(**columns).save_to_disk(tmp_path / "saved")
    assert sorted(found(tmp_path / "saved", columns=given).values()) == [(n, n, 9) for n in range(4)]
    stream = open_stream(tmp_path / "saved", columns=given)["train"]
    assert {"clean", "degraded", "mask"} <= set(stream.column_names or [])
    shown = Image.open(io.BytesIO(next(iter(stream))["clean"]["bytes"]))
    assert np.asarray(shown)[0, 0, 0] == CLEAN


def test_columns_of_tables_that_are_not_understood_are_refused(tmp_path):
    table(clean="clean", noisy15="degraded").save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match=r"image columns clean, noisy15, and which .*--columns"):
        load_triplets(tmp_path / "saved")
    with pytest.raises(UserError, match="has no column noisy, but clean, noisy15"):
        load_triplets(tmp_path / "saved", columns={"degraded": "noisy"})


def test_degraded_images_can_be_left_out(tmp_path):
    write(tmp_path, degraded="LQ/{}.png", clean="GT/{}.png")
    assert {noisy for _, noisy, _ in found(tmp_path, make_degraded=True).values()} == {None}
