"""What is missing, unmatched, damaged or of another size."""

from __future__ import annotations

import logging
import os
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from triplet_files import paired, picture, rows, write, write_mask

from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError


def huge_png(path: Path) -> Path:
    """A PNG of some bytes whose header declares 60000 x 60000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )
    return path


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
