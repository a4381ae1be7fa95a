"""Small files that were made to break a server, one for each that did, and thousands with seeded damage."""

import io
import resource
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from benchmarks.page.damage import damaged
from benchmarks.page.files import hostile_files, tiff_of_pages, whole_files
from benchmarks.page.forged import exif_of_shared_values, png_chunk
from hf_denoise.errors import UserError
from hf_denoise.imaging.file_checks import check_directories, sound_exif
from hf_denoise.imaging.images import open_image, read_header, read_image

GIB = 2**30
WHOLE, HOSTILE = whole_files(), hostile_files()
# What was wrong with them before: the process was killed for lack of memory, hung, or decoded what is not there.
REFUSED = {
    "PNG header of 15000 x 15000": "do not fit into 69 bytes",
    "PNG header of 15000 x 15000, 16 bits": "do not fit",
    "PNG bomb of 16000 x 16000": "250 megapixels",
    "PNG bomb of 200000000 x 1": "300000 pixels a side",
    "JPEG header of 15000 x 15000": "do not fit",
    "JPEG of 5000 scans": "5010 scans",
    "BMP of runs of nothing": "too many",
    "BMP of one run, 20000 x 10000": "do not fit",
    "GIF canvas of 15000 x 15000": "do not fit",
    "GIF of 20000 frames": "is an animation",
    "TIFF header of 15000 x 15000, 8 bits": "do not fit",
    "TIFF header of 15000 x 15000": "do not fit",
    "TIFF header of 15000 x 15000, deflate": "do not fit",
    "TIFF tile of 60000 x 60000 in 64 x 64": "tiles are 60000 x 60000",
    "TIFF of 20000 pages": "more than 1000 pages",
    "TIFF pages in a circle": "leads back",
    "TIFF strip that unpacks to 300 MB": "unpacks to more",
    "TIFF of LZW that unpacks to 100 MB": "unpacks to more",
    "TIFF with shared values": "overlap",
    "TIFF of compression 34712": "not supported .34712.; save it with LZW",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_lies_about_itself_is_refused_before_it_takes_memory_or_time(tmp_path: Path, kind: str) -> None:
    extension, content = HOSTILE[kind]
    path = tmp_path / f"picture{extension}"
    path.write_bytes(content)
    start, soft_hard = time.monotonic(), resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    # A reader that believes the file runs into this limit, and a MemoryError is another message than those above.
    resource.setrlimit(resource.RLIMIT_AS, (used + GIB // 4, soft_hard[1]))
    try:
        with pytest.raises(UserError, match=REFUSED[kind]) as error:
            read_image(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, soft_hard)
    assert time.monotonic() - start < 10
    assert "\n" not in str(error.value)


def test_the_other_hostile_files_are_refused_or_read_in_one_sentence(tmp_path: Path) -> None:
    for kind, (extension, content) in HOSTILE.items():
        path = tmp_path / f"picture{extension}"
        path.write_bytes(content)
        try:
            assert max(read_image(path, max_pixels=100_000_000).header.size) <= 10_000, kind  # as the page
        except UserError as error:
            assert 30 < len(str(error)) < 400, kind


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about damage
def test_thousands_of_damaged_files_give_a_picture_or_a_sentence(tmp_path: Path) -> None:
    kinds = list(WHOLE)
    counts = {"read": 0, "refused": 0}
    for seed in range(2000):
        extension, content = WHOLE[kinds[seed % len(kinds)]]
        change, content = damaged(content, seed)
        path = tmp_path / f"picture{extension}"
        path.write_bytes(content)
        try:
            with open_image(path, max_pixels=10**6) as image:
                for number in range(image.count):
                    picture = image.read(number)
                    picture.upright()
                    assert picture.planes[0].shape[1::-1] == picture.header.size
            counts["read"] += 1
        except UserError as error:
            assert str(error).startswith(f"'{path}'"), (seed, change)
            counts["refused"] += 1
    assert min(counts.values()) > 200


def test_whole_files_of_every_kind_are_read(tmp_path: Path) -> None:
    refused = set()
    for kind, (extension, content) in WHOLE.items():
        path = tmp_path / f"picture{extension}"
        path.write_bytes(content)
        try:
            read_image(path)
        except UserError:
            refused.add(kind)
    assert refused == {
        "PNG animated",
        "WebP animated",
        "GIF animated",
        "TIFF several pages",
        "TIFF Lab",
        "TIFF Lab, 16 bits",
        "TIFF float with NaN",
    }


def test_a_limit_of_pixels_of_the_callers_own(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(WHOLE["PNG RGB"][1])
    assert read_image(path, max_pixels=64 * 64).header.size == (64, 64)
    with pytest.raises(UserError, match="64 x 64 pixels, above the limit"):
        read_image(path, max_pixels=64 * 64 - 1)


def test_damaged_exif_is_left_out_and_the_picture_kept() -> None:
    picture = read_image(io.BytesIO(HOSTILE["JPEG with damaged EXIF"][1]))
    assert "exif" not in picture.metadata
    assert picture.upright().header.size == (64, 64)
    assert "exif" in read_image(io.BytesIO(WHOLE["JPEG, EXIF oriented"][1])).metadata


def test_exif_whose_values_share_their_bytes_is_not_read() -> None:
    assert not sound_exif(b"Exif\0\0" + exif_of_shared_values(300, 1000))
    assert sound_exif(b"Exif\0\0" + exif_of_shared_values(1, 1000))
    start = time.monotonic()
    picture = read_image(io.BytesIO(HOSTILE["PNG with EXIF of shared values"][1]))
    assert "exif" not in picture.metadata
    assert time.monotonic() - start < 5


def test_pages_up_to_the_limit_are_walked() -> None:
    check_directories(io.BytesIO(tiff_of_pages(1000)))
    with pytest.raises(ValueError, match="more than 1000 pages"):
        check_directories(io.BytesIO(tiff_of_pages(1001)))


def test_a_big_tiff_keeps_its_pixels_and_its_orientation(tmp_path: Path) -> None:
    samples = np.arange(5 * 7 * 3, dtype=np.uint16).reshape(5, 7, 3)
    tifffile.imwrite(tmp_path / "in.tif", samples, bigtiff=True, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    picture = read_image(tmp_path / "in.tif")
    assert np.array_equal(picture.planes[0], samples)
    assert picture.upright().header.size == (5, 7)


def test_a_wide_picture_is_not_taken_for_a_bomb(tmp_path: Path) -> None:
    limit, Image.MAX_IMAGE_PIXELS = (
        Image.MAX_IMAGE_PIXELS,
        1000,
    )  # Pillow's own limit, as if the picture had 200 megapixels
    try:
        for name in ("wide.png", "wide.tif"):
            Image.new("L", (3000, 2)).save(tmp_path / name)
            assert read_image(tmp_path / name).header.size == (3000, 2)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def test_the_header_of_a_png_comes_first(tmp_path: Path) -> None:
    content = WHOLE["PNG RGB"][1]
    before = content[:8] + png_chunk(b"gAMA", struct.pack(">I", 45455)) + content[8:]
    (tmp_path / "a.png").write_bytes(before)
    with pytest.raises(UserError, match="does not begin with its header"):
        read_header(tmp_path / "a.png")
