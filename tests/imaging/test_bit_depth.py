"""Fewer bits in samples of 16: white is found or given, and the values keep their scale."""

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from hf_denoise.errors import UserError
from hf_denoise.imaging.conversion import from_pil
from hf_denoise.imaging.images import read_image
from hf_denoise.imaging.png_chunks import chunk

RNG = np.random.default_rng(0)


def samples_below(top: int, channels: int = 3) -> np.ndarray:
    values = RNG.integers(0, top, (24, 31, channels)).astype(np.uint16)
    values[0, 0] = top - 1
    return values[..., 0] if channels == 1 else values


def as_tiff(path: Path, samples: np.ndarray, **options: Any) -> Path:
    kind = "rgb" if samples.ndim == 3 and samples.shape[2] > 2 else "minisblack"
    tifffile.imwrite(path, samples, photometric=kind, metadata=None, **options)
    return path


def as_png(path: Path, samples: np.ndarray, bits: int | None = None) -> Path:
    encoded = imagecodecs.png_encode(samples)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    said = b"" if bits is None else chunk(b"sBIT", bytes([bits]) * channels)
    path.write_bytes(encoded[:33] + said + encoded[33:])
    return path


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("extension", ["tif", "png"])
def test_bits_are_found_by_the_values_and_every_value_comes_back(
    tmp_path: Path, bits: int, channels: int, extension: str
) -> None:
    samples = samples_below(2**bits, channels)
    write = as_tiff if extension == "tif" else as_png
    picture = read_image(write(tmp_path / f"in.{extension}", samples))
    assert picture.white == 2**bits - 1
    assert picture.white_why and str(2**bits) in picture.white_why
    assert picture.rgb.max() == pytest.approx(1)
    for name in ("out.tif", "out.png", *(["out.pnm"] if channels < 4 else [])):
        picture.save(tmp_path / name)
        again = read_image(tmp_path / name, white_level=65535).planes[0]
        assert again.dtype == np.uint16
        assert np.array_equal(again, samples[..., :3] if channels == 4 else samples)


@pytest.mark.parametrize("tag", [281, 341])
def test_the_tag_of_a_tiff_says_it_and_stays(tmp_path: Path, tag: int) -> None:
    samples = samples_below(900)
    source = as_tiff(tmp_path / "in.tif", samples, extratags=[(tag, 3, 3, (4095,) * 3, True)])
    picture = read_image(source)
    assert picture.white == 4095
    assert picture.white_why and "MaxSampleValue" in picture.white_why
    picture.save(tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        page: Any = tiff.pages[0]
        assert page.tags[281].value == (4095,) * 3
        assert np.array_equal(page.asarray(), samples)


def test_a_tag_that_the_values_contradict_is_not_believed(tmp_path: Path) -> None:
    source = as_tiff(tmp_path / "in.tif", samples_below(60_000), extratags=[(281, 3, 3, (4095,) * 3, True)])
    assert read_image(source).white is None


@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6"])
@pytest.mark.parametrize("largest", [4095, 1000, 65535])
def test_the_header_of_a_pgm_or_ppm_says_it_and_stays(tmp_path: Path, kind: str, largest: int) -> None:
    samples = samples_below(largest + 1, 3 if kind in ("P3", "P6") else 1)
    head = f"{kind}\n# a comment\n31 24\n{largest}\n".encode()
    plain = " ".join(map(str, samples.ravel())).encode()
    (tmp_path / "in.pnm").write_bytes(head + (plain if kind in ("P2", "P3") else samples.astype(">u2").tobytes()))
    picture = read_image(tmp_path / "in.pnm")
    assert picture.white == (None if largest == 65535 else largest)
    assert picture.rgb.max() == pytest.approx(1)
    picture.save(tmp_path / "out.pnm")
    content = (tmp_path / "out.pnm").read_bytes()
    assert content.startswith(f"P{6 if samples.ndim == 3 else 5}\n31 24\n{largest}\n".encode())
    assert content.endswith(samples.astype(">u2").tobytes())


def test_significant_bits_of_a_png_say_it_and_stay(tmp_path: Path) -> None:
    samples = samples_below(900)
    picture = read_image(as_png(tmp_path / "in.png", samples, bits=12))
    assert picture.white == 4095
    picture.save(tmp_path / "out.png")
    assert struct.pack(">I", 3) + b"sBIT" + bytes([12] * 3) in (tmp_path / "out.png").read_bytes()
    assert np.array_equal(imagecodecs.png_decode((tmp_path / "out.png").read_bytes()), samples)


@pytest.mark.parametrize(
    "samples",
    [
        samples_below(2**16),
        samples_below(2**12) << 4,  # 12 bits, as the standard wants them
        samples_below(2**8) << 4,  # the same, in the dark
        samples_below(200),  # perhaps the numbers of regions
        np.zeros((8, 8, 3), np.uint16),
    ],
)
def test_16_bits_stay_16(tmp_path: Path, samples: np.ndarray) -> None:
    for bits in (None, 12):
        picture = read_image(as_png(tmp_path / "in.png", samples, bits if samples.max() > 4095 else None))
        assert picture.white is None
        assert picture.planes[0].dtype == np.uint16


def test_a_white_level_of_the_callers_own_and_values_beyond_it(tmp_path: Path) -> None:
    samples = samples_below(4096)
    source = as_tiff(tmp_path / "in.tif", samples)
    picture = read_image(source, white_level=3000)
    assert (picture.white, picture.white_why) == (3000, None)
    assert picture.planes[0].max() == pytest.approx(4095 / 3000)
    picture.save(tmp_path / "out.tif")
    assert np.array_equal(tifffile.imread(tmp_path / "out.tif"), samples)
    assert read_image(source, white_level=65535).white is None
    floats = (samples / 16).astype(np.float32)
    picture = read_image(as_tiff(tmp_path / "float.tif", floats), white_level=255)
    assert picture.rgb.max() == pytest.approx(1, abs=0.01)
    picture.save(tmp_path / "out.tif")
    assert np.allclose(tifffile.imread(tmp_path / "out.tif"), floats)


@pytest.mark.parametrize("level", [0, -1, float("nan"), 70_000])
def test_a_white_level_that_cannot_be_is_refused(tmp_path: Path, level: float) -> None:
    with pytest.raises(UserError, match="white"):
        read_image(as_tiff(tmp_path / "in.tif", samples_below(4096)), white_level=level)


def test_a_view_of_8_bits_spans_them(tmp_path: Path) -> None:
    picture = read_image(as_tiff(tmp_path / "in.tif", samples_below(4096)))
    assert np.asarray(picture.to_pil()).max() == 255
    grey = read_image(as_tiff(tmp_path / "grey.tif", samples_below(4096, 1))).to_pil()
    assert grey.mode == "I;16"
    assert np.asarray(grey).max() == 4095
    assert from_pil(grey).white is None  # an image in memory is what it says
