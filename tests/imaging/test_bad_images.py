"""Files that are damaged, too large or missing, and places that cannot be written."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from image_bytes import RNG, encoded, photo, same_pixels, tiff
from PIL import Image

from hf_denoise.errors import UserError
from hf_denoise.imaging.conversion import from_pil
from hf_denoise.imaging.formats import check_target
from hf_denoise.imaging.images import read_header, read_image
from hf_denoise.imaging.picture import Picture


def write(path: Path, content: bytes | bytearray) -> Path:
    path.write_bytes(content)
    return path


def huge_png(width: int, height: int, rest: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + head
        + struct.pack(">I", zlib.crc32(b"IHDR" + head))
        + rest
    )


def float_tiff(value: float) -> bytes:
    file = io.BytesIO()
    samples = np.full((5, 5), 0.5, np.float32)
    samples[2, 2] = value
    tifffile.imwrite(file, samples)
    return file.getvalue()


def animation(format: str) -> bytes:
    file = io.BytesIO()
    photo("RGB").save(file, format, save_all=True, append_images=[photo("RGB"), photo("RGB")])
    return file.getvalue()


DEEP = RNG.integers(0, 65536, (64, 64, 3)).astype(np.uint16)


BAD_FILES = {
    "truncated.jpg": (lambda: encoded("JPEG")[:-700], "cut short"),
    "truncated.png": (lambda: encoded("PNG")[:-700], "cut short"),
    "truncated.webp": (lambda: encoded("WEBP")[:-300], "cut short"),
    "truncated.tif": (lambda: encoded("TIFF")[:-700], "cut short|damaged"),
    "truncated-deep.png": (lambda: imagecodecs.png_encode(DEEP)[:-700], "cut short"),
    "truncated-deep.tif": (lambda: tiff(DEEP, photometric="rgb")[:-700], "cut short|damaged"),
    "text.png": (lambda: b"this is no picture\n", "not a PNG"),
    "text.tif": (lambda: b"II*\0 is no picture\n", "damaged"),
    "empty.png": (lambda: b"", "empty"),
    "huge.png": (lambda: huge_png(60_000, 60_000), "60000 x 60000.*250 megapixels"),
    "nan.tif": (lambda: float_tiff(np.nan), "NaN"),
    "inf.tif": (lambda: float_tiff(-np.inf), "infinite"),
    "scaled.tif": (lambda: float_tiff(200.0), "scale"),
    "pages.tif": (lambda: animation("TIFF"), "3 pages"),
    "deep-pages.tif": (lambda: tiff(np.zeros((3, 16, 16), np.uint16), photometric="minisblack"), "3 pages"),
    "animation.gif": (lambda: animation("GIF"), "is an animation"),
    "animation.png": (lambda: animation("PNG"), "is an animation"),
    "animation.webp": (lambda: animation("WEBP"), "is an animation"),
    "cut-deep.ppm": (lambda: b"P6 64 64 65535\n" + bytes(64 * 64 * 6 - 1), "do not fit"),
    "wrong-deep.pgm": (lambda: b"P2 2 2 4095\n1 2 3 x", "damaged"),
    "too-deep.pgm": (lambda: b"P5 2 2 65536\n" + bytes(8), "65536"),
    "integers.tif": (lambda: tiff(np.zeros((8, 8), np.int32)), "int32"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_named_in_one_sentence(tmp_path: Path, name: str) -> None:
    make, reason = BAD_FILES[name]
    path = write(tmp_path / name, make())
    with pytest.raises(UserError, match=reason) as error:
        read_image(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no\.png' does not exist"):
        read_image(tmp_path / "no.png")
    with pytest.raises(UserError, match="is a folder"):
        read_image(tmp_path)


def test_headers_up_to_the_limit_are_accepted_before_decoding(tmp_path: Path) -> None:
    limit, pixels = Image.MAX_IMAGE_PIXELS, struct.pack(">I", 10**6) + b"IDAT" + bytes(25_000)
    assert read_header(write(tmp_path / "100.png", huge_png(10_000, 10_000, pixels))).size == (10_000, 10_000)
    assert read_header(write(tmp_path / "200.png", huge_png(20_000, 10_000, pixels))).size == (20_000, 10_000)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_file_object_is_read_too() -> None:
    image = photo("RGB")
    file = io.BytesIO()
    image.save(file, "PNG")
    assert np.array_equal(read_image(file).planes[0], np.asarray(image))


@pytest.mark.parametrize(
    ("mode", "name", "reason"),
    [
        ("RGBA", "out.jpg", "JPEG has no transparency.*PNG"),
        ("LA", "out.bmp", "BMP has no transparency"),
        ("I;16", "out.jpg", "JPEG has no 16-bit"),
        ("I;16", "out.webp", "WEBP has no 16-bit"),
        ("F", "out.png", "PNG has no floating-point.*TIFF"),
        ("CMYK", "out.png", "PNG has no CMYK.*TIFF"),
        ("RGB", "out.gif", "GIF"),
        ("RGB", "out.pgm", "more than its name says"),
        ("L", "out.pbm", "more than its name says"),
        ("RGBA", "out.ppm", "PPM has no transparency"),
        ("RGB", "out.xyz", "must end in"),
        ("RGB", "out", "must end in"),
    ],
)
def test_a_format_that_cannot_hold_the_image_is_refused(tmp_path: Path, mode: str, name: str, reason: str) -> None:
    picture = from_pil(photo(mode))
    with pytest.raises(UserError, match=reason):
        check_target(picture.header, tmp_path / name)
    with pytest.raises(UserError, match=reason):
        picture.save(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("mode", "name", "wider"),
    [("1", "a.jpg", "L"), ("L", "a.webp", "RGB"), ("P", "a.jpg", "RGB"), ("LA", "a.webp", "RGBA")],
)
def test_a_wider_mode_is_taken_where_nothing_is_lost(tmp_path: Path, mode: str, name: str, wider: str) -> None:
    image = photo(mode)
    from_pil(image).save(tmp_path / name)
    after = Image.open(tmp_path / name)
    assert after.mode == wider
    if name.endswith("webp"):
        assert same_pixels(after, image.convert(wider))


def test_an_existing_file_is_replaced_whole_and_a_failure_leaves_it(tmp_path: Path) -> None:
    target = write(tmp_path / "a.png", b"old")
    picture = from_pil(photo("RGB"))
    broken = Picture(picture.header, (np.zeros((0, 0, 3), np.uint8),))
    with pytest.raises(UserError, match=r"a\.png"):
        broken.save(target)
    assert target.read_bytes() == b"old"
    picture.save(target)
    assert Image.open(target).size == (23, 17)
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    write(tmp_path / "file", b"")
    for target in (tmp_path / "file" / "a.png", tmp_path / "missing" / "a.png", Path("/proc/a.png")):
        with pytest.raises(UserError, match=r"could not write '.*a\.png'"):
            from_pil(photo("RGB")).save(target)


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from PIL import Image
from hf_denoise.errors import UserError
from hf_denoise.imaging.images import read_image
picture = read_image(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    picture.save(sys.argv[2])
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["jpg", "png", "bmp", "webp", "tif", "tif-compressed", "deep.png", "deep.tif"])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    extension = kind.split(".")[-1].split("-")[0]
    source, target = tmp_path / f"in.{extension}", tmp_path / f"out.{extension}"
    deep = RNG.integers(0, 65536, (128, 128, 3)).astype(np.uint16)
    if kind == "deep.png":
        write(source, imagecodecs.png_encode(deep))
    elif kind == "deep.tif":
        write(source, tiff(deep, photometric="rgb"))
    else:
        options: dict[str, dict[str, Any]] = {
            "jpg": {"quality": 95},
            "webp": {"lossless": True},
            "tif-compressed": {"compression": "tiff_lzw"},
        }
        photo("RGB", (200, 200)).save(source, **options.get(kind, {}))
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, source, target], capture_output=True, text=True, timeout=60
    )
    assert f"could not write '{target}'" in result.stdout, result.stderr
    assert "Traceback" not in result.stderr
    assert os.listdir(tmp_path) == [source.name]
