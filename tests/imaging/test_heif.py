"""HEIC and AVIF: read and written with their colours, depth and metadata; without the extra, one sentence."""

import io
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, features

from hf_denoise.errors import UserError
from hf_denoise.imaging import heif
from hf_denoise.imaging.conversion import from_pil
from hf_denoise.imaging.formats import check_target
from hf_denoise.imaging.images import read_header, read_image

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta></x:xmpmeta>"
FORMATS = {"heic": "HEIF", "avif": "AVIF"}
pillow_heif.register_heif_opener()


def exif_block(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    return exif.tobytes()


def smooth(mode: str, size: tuple[int, int] = (96, 64)) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    small = np.random.default_rng(0).integers(0, 256, (8, 12, channels)).astype(np.uint8)
    image = Image.merge(mode, [Image.fromarray(small[..., number]) for number in range(channels)])
    return image.resize(size, Image.Resampling.BICUBIC)


def psnr(one: np.ndarray, other: np.ndarray, full: int = 255) -> float:
    return float(-10 * np.log10((((one.astype(float) - other) / full) ** 2).mean() + 1e-12))


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_they_come_back_as_they_were(tmp_path: Path, extension: str, mode: str) -> None:
    image = smooth(mode)
    image.save(tmp_path / f"in.{extension}", FORMATS[extension], exif=exif_block(), icc_profile=ICC, xmp=XMP)
    picture = read_image(tmp_path / f"in.{extension}")
    assert picture.header.format == FORMATS[extension]
    picture.save(tmp_path / f"out.{extension}")
    before, after = (Image.open(tmp_path / f"{name}.{extension}") for name in ("in", "out"))
    assert (after.format, after.mode, after.size) == (before.format, before.mode, before.size)
    assert after.info["icc_profile"] == ICC
    assert after.info["xmp"] == XMP
    assert after.getexif().get_ifd(0x8769)[0x9003] == "2026:01:02 03:04:05"
    assert psnr(np.asarray(after), np.asarray(before)) > 36
    assert (tmp_path / f"out.{extension}").stat().st_size < 5 * (tmp_path / f"in.{extension}").stat().st_size


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_it_is_shown_the_same_way_up(tmp_path: Path, extension: str, orientation: int) -> None:
    from PIL import ImageOps

    smooth("RGB").save(tmp_path / f"in.{extension}", FORMATS[extension], exif=exif_block(orientation))
    read_image(tmp_path / f"in.{extension}").save(tmp_path / f"out.{extension}")
    read_image(tmp_path / f"in.{extension}").save(tmp_path / "out.png")
    before, *after = (
        ImageOps.exif_transpose(Image.open(tmp_path / name))
        for name in (f"in.{extension}", f"out.{extension}", "out.png")
    )
    assert before.size == ((64, 96) if orientation >= 5 else (96, 64))
    for image in after:
        assert image.size == before.size
        assert psnr(np.asarray(image), np.asarray(before)) > 34


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize(("mode", "wider"), [("1", "L"), ("LA", "RGBA"), ("P", "RGB")])
def test_other_modes_are_widened(tmp_path: Path, extension: str, mode: str, wider: str) -> None:
    from_pil(smooth("LA" if mode == "LA" else "RGB").convert(mode)).save(tmp_path / f"out.{extension}")
    assert Image.open(tmp_path / f"out.{extension}").mode == wider


@pytest.mark.parametrize("depth", [10, 12])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_more_bits_stay_in_heic(tmp_path: Path, depth: int, channels: int) -> None:
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    values = np.asarray(smooth(mode)).astype(np.uint16) << (depth - 8)
    image = pillow_heif.from_bytes(f"{mode};{depth}", (96, 64), values.tobytes())
    image.save(tmp_path / "in.heic", quality=95, chroma=444, exif=exif_block())
    picture = read_image(tmp_path / "in.heic")
    assert read_header(tmp_path / "in.heic").dtype == np.uint16
    assert psnr(picture.planes[0] >> 8, np.asarray(smooth(mode).convert("L" if channels == 1 else "RGB"))) > 34
    picture.save(tmp_path / "out.heic")
    again = read_image(tmp_path / "out.heic")
    assert again.encoding["depth"] == depth
    assert again.header.mode == picture.header.mode
    assert psnr(again.planes[0], picture.planes[0], 65535) > 38
    picture.save(tmp_path / "out.png")
    assert np.array_equal(read_image(tmp_path / "out.png").planes[0], picture.planes[0])


@pytest.mark.parametrize("depth", [10, 12])
def test_more_bits_of_an_avif_are_read_and_not_cut_off(tmp_path: Path, depth: int) -> None:
    values = np.asarray(smooth("RGB")).astype(np.uint16) << (depth - 8)
    encoded = imagecodecs.avif_encode(values, level=100, bitspersample=depth, pixelformat="444")
    (tmp_path / "in.avif").write_bytes(encoded)
    picture = read_image(tmp_path / "in.avif")
    assert np.array_equal(picture.planes[0] >> (16 - depth), values)
    picture.save(tmp_path / "out.tif")
    with pytest.raises(UserError, match=r"AVIF has no 16-bit.*PNG or TIFF"):
        picture.save(tmp_path / "out.avif")


def test_the_colours_of_an_avif_keep_their_meaning(tmp_path: Path) -> None:
    file = io.BytesIO()
    smooth("RGB").save(file, "AVIF")
    content = bytearray(file.getvalue())
    place = content.find(b"colrnclx")
    content[place + 8 : place + 12] = bytes([0, 9, 0, 16])  # BT.2020, PQ
    (tmp_path / "in.avif").write_bytes(content)
    read_image(tmp_path / "in.avif").save(tmp_path / "out.avif")
    after = (tmp_path / "out.avif").read_bytes()
    assert after[after.find(b"colrnclx") + 8 :][:4] == bytes([0, 9, 0, 16])


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("cut", [40, 300, -100])
def test_damage_is_one_sentence(tmp_path: Path, extension: str, cut: int) -> None:
    smooth("RGB").save(tmp_path / "whole", FORMATS[extension])
    (tmp_path / f"cut.{extension}").write_bytes((tmp_path / "whole").read_bytes()[:cut])
    with pytest.raises(UserError, match=rf"cut\.{extension}' is damaged"):
        read_image(tmp_path / f"cut.{extension}")


def test_several_pictures_are_refused(tmp_path: Path) -> None:
    smooth("RGB").save(tmp_path / "in.avif", save_all=True, append_images=[smooth("RGB").rotate(90)])
    with pytest.raises(UserError, match="animation"):
        read_image(tmp_path / "in.avif")
    smooth("RGB").save(tmp_path / "in.heic", "HEIF", save_all=True, append_images=[smooth("RGB").rotate(90)])
    with pytest.raises(UserError, match="several pictures"):
        read_image(tmp_path / "in.heic")


def test_without_the_extra_the_way_to_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smooth("RGB").save(tmp_path / "in.heic", "HEIF")
    smooth("RGB").save(tmp_path / "in.avif", "AVIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    checked: Any = features.check
    monkeypatch.setattr(features, "check", lambda name: name != "avif" and checked(name))
    for extension, command in (("heic", r"pip install 'hf_denoise\[heif\]'"), ("avif", "pip install -U pillow")):
        with pytest.raises(UserError, match=rf"read '.*in\.{extension}'.*{command}"):
            read_image(tmp_path / f"in.{extension}")
        with pytest.raises(UserError, match=rf"write '.*out\.{extension}'.*{command}"):
            check_target(from_pil(smooth("RGB")).header, tmp_path / f"out.{extension}")


def test_a_jpeg_by_its_other_names(tmp_path: Path) -> None:
    for name in ("in.jfif", "in.jpe"):
        smooth("RGB").save(tmp_path / name, "JPEG")
        read_image(tmp_path / name).save(tmp_path / f"out{Path(name).suffix}")
        assert Image.open(tmp_path / f"out{Path(name).suffix}").format == "JPEG"


@pytest.mark.parametrize("extension", FORMATS)
def test_more_pixels_than_a_file_can_hold_are_refused(tmp_path: Path, extension: str) -> None:
    smooth("RGB").save(tmp_path / "whole", FORMATS[extension])
    content = bytearray((tmp_path / "whole").read_bytes())
    place = content.find(b"ispe") + 8
    content[place : place + 8] = (15_500).to_bytes(4, "big") * 2
    (tmp_path / f"in.{extension}").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        read_image(tmp_path / f"in.{extension}")
    Image.new("RGB", (3000, 3000), (90, 120, 30)).save(tmp_path / f"flat.{extension}", quality=10)
    assert read_image(tmp_path / f"flat.{extension}").header.size == (3000, 3000)


def test_a_heic_that_no_decoder_would_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth("RGB").save(tmp_path / "in.heic", "HEIF")
    monkeypatch.setattr(heif, "_LARGEST_PART", 500)  # bytes
    with pytest.raises(UserError, match=r"out\.heic.*cannot be read again.*choose another format, such as PNG"):
        read_image(tmp_path / "in.heic").save(tmp_path / "out.heic")
    assert not (tmp_path / "out.heic").exists()
