"""Samples of a TIFF beside its colour: premultiplied alpha is a colour again, and unknown bands come back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hf_denoise.errors import UserError
from hf_denoise.imaging.images import read_image

RNG = np.random.default_rng(0)
DTYPES = [np.uint8, np.uint16, np.float32]


def written(path: Path, samples: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, samples, **{"photometric": "rgb", "metadata": None, **options})
    return path


def samples_of(dtype: Any, channels: int) -> np.ndarray:
    if dtype is np.float32:
        return RNG.random((19, 21, channels), np.float32)
    return RNG.integers(0, np.iinfo(dtype).max + 1, (19, 21, channels)).astype(dtype)


def page_of(path: Path) -> tuple[np.ndarray, list[int]]:
    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages[0]
        return page.asarray(), [int(kind) for kind in page.extrasamples]


@pytest.mark.parametrize("dtype", DTYPES)
def test_premultiplied_colour_is_seen_as_the_colour_it_is_and_stays_premultiplied(tmp_path: Path, dtype: Any) -> None:
    full = 1 if dtype is np.float32 else np.iinfo(dtype).max
    samples = np.empty((20, 20, 4), dtype)
    samples[..., :3], samples[..., 3] = round(0.2 * full, 9), round(0.25 * full, 9)
    picture = read_image(written(tmp_path / "in.tif", samples, extrasamples=["assocalpha"]))
    assert picture.rgb[..., 0].mean() == pytest.approx(0.8, abs=0.01)
    brighter = (picture.planes[0] / 0.8).clip(0, full).astype(dtype)
    picture.with_planes((brighter,)).save(tmp_path / "out.tif")
    stored, kinds = page_of(tmp_path / "out.tif")
    assert kinds == [1]
    assert stored[..., :3].mean() / full == pytest.approx(0.25, abs=0.01)
    assert np.array_equal(stored[..., 3], samples[..., 3])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_any_premultiplied_samples_come_back(tmp_path: Path, dtype: Any, compression: str | None) -> None:
    """Also those that no colour has: light where the picture is transparent."""
    samples = samples_of(dtype, 4)
    samples[3, :, 3] = 0
    source = written(tmp_path / "in.tif", samples, extrasamples=["assocalpha"], compression=compression)
    read_image(source).save(tmp_path / "out.tif")
    stored, kinds = page_of(tmp_path / "out.tif")
    assert kinds == [1]
    assert (
        np.allclose(stored, samples, rtol=1e-6, atol=1e-6) if dtype is np.float32 else np.array_equal(stored, samples)
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("photometric", "kinds", "layout"),
    [
        ("rgb", [0], "RGB"),
        ("rgb", [0, 2], "RGBA"),
        ("rgb", [1, 0, 0], "RGBA"),
        ("minisblack", [0], "L"),
        ("minisblack", [0, 2], "LA"),
        ("separated", [0], "CMYK"),
        ("separated", [2], "CMYK"),
    ],
)
def test_bands_that_the_file_does_not_name_come_back(
    tmp_path: Path, dtype: Any, photometric: str, kinds: list[int], layout: str
) -> None:
    colours = {"rgb": 3, "minisblack": 1, "separated": 4}[photometric]
    samples = samples_of(dtype, colours + len(kinds))
    source = written(tmp_path / "in.tif", samples, photometric=photometric, extrasamples=kinds, planarconfig="contig")
    picture = read_image(source)
    assert picture.header.layout == layout
    assert picture.planes[0].ndim == (2 if photometric == "minisblack" else 3)
    picture.save(tmp_path / "out.tif")
    stored, after = page_of(tmp_path / "out.tif")
    assert after == kinds
    if dtype is np.float32:
        assert np.allclose(stored, samples, atol=1e-6)
    else:
        assert np.array_equal(stored, samples)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bands_turn_with_the_picture(tmp_path: Path, dtype: Any) -> None:
    samples = samples_of(dtype, 5)
    source = written(tmp_path / "in.tif", samples, extrasamples=[0, 2], extratags=[(274, 3, 1, 6, True)])
    upright = read_image(source).upright()
    upright.save(tmp_path / "out.tif")
    assert np.array_equal(page_of(tmp_path / "out.tif")[0], np.rot90(samples, -1))


def test_other_formats_have_no_room_for_bands(tmp_path: Path) -> None:
    picture = read_image(written(tmp_path / "in.tif", samples_of(np.uint8, 4), extrasamples=[0]))
    with pytest.raises(UserError, match=r"out\.png.*no bands beside colour.*TIFF"):
        picture.save(tmp_path / "out.png")
    picture = read_image(written(tmp_path / "in.tif", samples_of(np.uint8, 4), extrasamples=[1]))
    picture.save(tmp_path / "out.png")
    assert np.array_equal(read_image(tmp_path / "out.png").planes[0], picture.planes[0])


def test_a_spectrum_is_no_picture_in_grey(tmp_path: Path) -> None:
    source = written(tmp_path / "in.tif", samples_of(np.uint16, 6), photometric="minisblack", planarconfig="contig")
    with pytest.raises(UserError, match="6 x uint16"):
        read_image(source)
