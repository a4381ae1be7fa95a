"""Roles given by hand, and those of tables."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from role_files import CLEAN, found, table, write

from hf_denoise.data.dataset_tables import open_stream
from hf_denoise.data.roles import parse_columns
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError


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
