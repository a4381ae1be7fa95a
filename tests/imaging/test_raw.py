"""Raw files: developed in proportion to light, denoised as they are seen, written as TIFF."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from skimage import data

from benchmarks.page.raw_files import dng
from hf_denoise.errors import UserError
from hf_denoise.imaging.images import read_header, read_image
from hf_denoise.imaging.linear_light import linear_from_srgb, linear_profile, srgb_from_linear
from hf_denoise.inference.denoiser import Denoiser

pytest.importorskip("rawpy")

LIGHT = linear_from_srgb(data.astronaut()[:256, :320] / 255) * 0.5
INNER = (slice(8, -8), slice(8, -8))  # a demosaicking knows less at the border


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_the_curve_goes_there_and_back() -> None:
    values = np.linspace(0, 1.5, 1000, dtype=np.float32).reshape(1, -1, 1)
    assert linear_from_srgb(srgb_from_linear(values)) == pytest.approx(values, abs=1e-6)
    assert srgb_from_linear(np.full((1, 1, 1), 0.2158605)) == pytest.approx(0.5019608, abs=1e-5)  # 128 of 255


def test_colours_and_brightness_are_those_of_the_scene(tmp_path: Path) -> None:
    path = write(tmp_path / "in.dng", dng(LIGHT))
    assert read_header(path).size == (320, 256)
    picture = read_image(path)
    linear = picture.stored.planes[0] / 65535
    assert linear[INNER].mean(axis=(0, 1)) == pytest.approx(LIGHT[INNER].mean(axis=(0, 1)), abs=0.002)
    assert np.abs(picture.rgb - srgb_from_linear(LIGHT))[INNER].mean() < 0.02


def test_a_raw_file_becomes_a_linear_tiff_with_its_exif(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 1, LIGHT.shape) * np.sqrt(0.001 * LIGHT + 1e-5)
    path = write(tmp_path / "in.dng", dng((LIGHT + noise).clip(0, 1), model="Box"))
    before = read_image(path).rgb
    Denoiser.from_pretrained().file(path, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        page: object = tiff.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        linear = page.asarray() / 65535
        assert (page.dtype, page.tags[271].value, page.tags[272].value) == (np.uint16, "HF", "Box")
        profile = page.tags[34675].value
    assert linear.mean(axis=(0, 1)) == pytest.approx(LIGHT.mean(axis=(0, 1)), abs=0.004)
    clean = srgb_from_linear(LIGHT)
    off = [np.sqrt(np.square(seen - clean)[INNER].mean()) for seen in (before, srgb_from_linear(linear))]
    assert off[1] < 0.8 * off[0]
    # Who knows profiles shows it as it was.
    shown = ImageCms.profileToProfile(
        Image.fromarray((255 * linear).round().astype(np.uint8)),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
    )
    assert np.abs(np.asarray(shown) / 255 - srgb_from_linear(linear)).mean() < 0.01


def test_turned_pictures_keep_their_tag(tmp_path: Path) -> None:
    picture = read_image(write(tmp_path / "in.dng", dng(LIGHT, orientation=6)))
    assert picture.header.size == (320, 256)
    assert picture.orientation == 6
    assert picture.upright().header.size == (256, 320)


def test_for_eyes_there_are_eight_bits_without_the_profile(tmp_path: Path) -> None:
    image = read_image(write(tmp_path / "in.dng", dng(LIGHT))).to_pil()
    assert (image.mode, image.size) == ("RGB", (320, 256))
    assert "icc_profile" not in image.info
    assert np.asarray(image).mean() / 255 == pytest.approx(srgb_from_linear(LIGHT).mean(), abs=0.01)


def test_damaged_and_false_files_are_named(tmp_path: Path) -> None:
    whole = dng(LIGHT)
    for name, content in {
        "cut.dng": whole[:-2000],
        "text.nef": b"no picture",
        "png.cr2": b"\x89PNG\r\n\x1a\n" + bytes(99),
    }.items():
        with pytest.raises(UserError, match=rf"{name}' is damaged or cut short"):
            read_image(write(tmp_path / name, content))
    with pytest.raises(UserError, match=r"the name must end in"):
        read_image(write(tmp_path / "in.dng", whole)).save(tmp_path / "out.dng")


def test_without_rawpy_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(UserError, match=r"in\.dng': raw files need rawpy; pip install 'hf_denoise\[raw\]'"):
        read_header(write(tmp_path / "in.dng", dng(LIGHT)))


def test_the_profile_is_one_that_lcms_reads() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(linear_profile()))
    assert ImageCms.getProfileDescription(profile).strip() == "Linear sRGB"
