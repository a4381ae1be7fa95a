"""Image files: every kind comes back as it was, and what cannot be read or written is one clear sentence."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from image_bytes import RNG, photo, same_pixels
from PIL import Image, ImageCms

from hf_denoise.imaging.conversion import from_pil
from hf_denoise.imaging.images import read_image

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_block(orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    return exif.tobytes()


def exif_of(image: Image.Image) -> tuple[Any, Any, Any]:
    exif = image.getexif()
    return exif.get(0x010F), exif.get(0x0112), exif.get_ifd(0x8769).get(0x9003)


@pytest.mark.parametrize(
    ("mode", "extension"),
    [
        *((mode, "png") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *((mode, "tif") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F")),
        *((mode, "bmp") for mode in ("1", "L", "P", "RGB")),
        *((mode, "webp") for mode in ("RGB", "RGBA")),
        *((mode, "gif") for mode in ("L", "P")),
        *((mode, "pnm") for mode in ("1", "L", "RGB", "I;16")),
    ],
)
def test_lossless_files_come_back_exactly(tmp_path: Path, mode: str, extension: str) -> None:
    metadata: dict[str, Any] = {}
    if extension in ("png", "tif", "webp"):
        metadata |= {"icc_profile": ICC, "exif": exif_block()}
    if extension in ("png", "tif", "bmp"):
        metadata["dpi"] = (300, 300)
    options: dict[str, Any] = {"lossless": True, "exact": True} if extension == "webp" else {}
    source, target = tmp_path / f"in.{extension}", tmp_path / f"out.{extension}"
    photo(mode).save(source, **metadata, **options)

    picture = read_image(source)
    picture.save(target)

    before, after = Image.open(source), Image.open(target)
    tags = [exif_of(image) for image in (before, after)]  # now: Pillow drops the orientation of a TIFF as it loads
    assert (after.format, after.mode, after.size) == (before.format, before.mode, before.size)
    assert np.array_equal(np.asarray(after.convert(after.mode)), np.asarray(before)) or mode == "P"
    assert np.array_equal(np.asarray(after.convert("RGBA")), np.asarray(before.convert("RGBA")))
    assert after.info.get("icc_profile") == before.info.get("icc_profile")
    assert tags[0] == tags[1]
    if "exif" in metadata:
        assert tags[1] == ("Maker", 6, "2026:01:02 03:04:05")
    if "dpi" in metadata:
        assert after.info["dpi"] == pytest.approx((300, 300), rel=1e-3)
    assert sorted(os.listdir(tmp_path)) == [source.name, target.name]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("interesting", ["png", "tif", "tif-lzw", "tif-planar", "float.tif"])
def test_16_bit_and_float_files_come_back_exactly(tmp_path: Path, channels: int, interesting: str) -> None:
    extension = interesting.split(".")[-1].split("-")[0]
    shape = (19, 21) if channels == 1 else (19, 21, channels)
    samples = RNG.integers(0, 65536, shape).astype(np.uint16)
    source, target = tmp_path / f"in.{extension}", tmp_path / f"out.{extension}"
    if extension == "png":
        source.write_bytes(imagecodecs.png_encode(samples))
    else:
        if interesting.startswith("float"):
            samples = RNG.random(shape).astype(np.float32)
        planar = interesting.endswith("planar") and channels > 1
        tifffile.imwrite(
            source,
            np.moveaxis(samples, -1, 0) if planar else samples,
            photometric="rgb" if channels > 2 else "minisblack",
            planarconfig="separate" if planar else "contig" if channels > 1 else None,
            extrasamples=["unassalpha"] if channels in (2, 4) else None,
            compression="lzw" if interesting.endswith("lzw") else None,
            iccprofile=ICC,
            resolution=(300, 300),
            resolutionunit="INCH",
            metadata=None,
        )
    picture = read_image(source)
    assert picture.planes[0].dtype == samples.dtype
    assert (picture.alpha is not None) == (channels in (2, 4))
    picture.save(target)

    if extension == "png":
        assert np.array_equal(imagecodecs.png_decode(target.read_bytes()), samples)
        assert target.read_bytes()[24] == 16
    else:
        with tifffile.TiffFile(target) as tiff:
            page: Any = tiff.pages[0]
            assert np.array_equal(page.asarray(), samples)
            assert page.tags[34675].value == ICC
            assert page.get_resolution("INCH") == pytest.approx((300, 300))
            assert (page.compression != 1) == interesting.endswith("lzw")


def test_16_bit_colour_keeps_icc_exif_and_resolution_in_png_and_tiff(tmp_path: Path) -> None:
    samples = RNG.integers(0, 65536, (9, 8, 3)).astype(np.uint16)
    encoded = imagecodecs.png_encode(samples)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    chunks = chunk(b"iCCP", b"x\0\0" + zlib.compress(ICC)) + chunk(b"eXIf", exif_block(8).removeprefix(b"Exif\0\0"))
    (tmp_path / "in.png").write_bytes(
        encoded[:33] + chunks + chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1)) + encoded[33:]
    )

    read_image(tmp_path / "in.png").save(tmp_path / "out.png")
    read_image(tmp_path / "in.png").save(tmp_path / "out.tif")
    read_image(tmp_path / "out.tif").save(tmp_path / "again.png")

    for name in ("out.png", "again.png"):
        image = Image.open(tmp_path / name)
        assert image.info["icc_profile"] == ICC
        assert exif_of(image) == ("Maker", 8, "2026:01:02 03:04:05")
        assert image.info["dpi"] == pytest.approx((300, 300), rel=1e-3)
        assert np.array_equal(imagecodecs.png_decode((tmp_path / name).read_bytes()), samples)
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        tags: Any = tiff.pages[0].tags  # type: ignore[union-attr]
        assert tags[274].value == 8
        assert tags[34665].value["DateTimeOriginal"] == "2026:01:02 03:04:05"


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_keeps_its_quantisation_subsampling_and_metadata(tmp_path: Path, mode: str, progressive: bool) -> None:
    smooth = photo(mode, (8, 6)).resize((64, 48), Image.Resampling.BICUBIC)
    smooth.save(
        tmp_path / "in.jpg",
        quality=83,
        subsampling=1,
        progressive=progressive,
        exif=exif_block(),
        icc_profile=ICC,
        dpi=(300, 300),
    )
    read_image(tmp_path / "in.jpg").save(tmp_path / "out.jpg")
    before: Any = Image.open(tmp_path / "in.jpg")
    after: Any = Image.open(tmp_path / "out.jpg")
    assert (after.mode, after.size) == (before.mode, before.size)
    assert after.quantization == before.quantization
    if mode == "RGB":
        assert [layer[1:3] for layer in after.layer] == [layer[1:3] for layer in before.layer] != [(1, 1)] * 3
    assert bool(after.info.get("progressive")) == progressive
    assert after.info["exif"] == before.info["exif"]
    assert after.info["icc_profile"] == ICC
    assert after.info["dpi"] == (300, 300)
    difference = np.abs(np.asarray(after, np.int16) - np.asarray(before, np.int16))
    assert difference.mean() < 1.5  # the same tables: decoding and encoding again changes next to nothing


def test_cmyk_jpeg_of_adobe_is_not_inverted(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 0, 0, 0)).save(tmp_path / "white.jpg")
    assert b"Adobe" in (tmp_path / "white.jpg").read_bytes()
    picture = read_image(tmp_path / "white.jpg")
    assert picture.rgb.min() > 0.98
    picture.save(tmp_path / "out.jpg")
    assert np.asarray(Image.open(tmp_path / "out.jpg").convert("RGB")).min() > 250


def test_a_jpeg_from_another_format_has_all_its_chroma(tmp_path: Path) -> None:
    photo("RGB").save(tmp_path / "in.png")
    read_image(tmp_path / "in.png").save(tmp_path / "out.jpg")
    after: Any = Image.open(tmp_path / "out.jpg")
    reference = io.BytesIO()
    photo("RGB").save(reference, "JPEG", quality=95)
    assert after.quantization == Image.open(reference).quantization  # type: ignore[attr-defined]
    assert [layer[1:3] for layer in after.layer] == [(1, 1)] * 3


def test_the_photograph_of_a_phones_multi_picture_jpeg(tmp_path: Path) -> None:
    photo("RGB", (32, 24)).save(
        tmp_path / "in.jpg", "MPO", save_all=True, append_images=[photo("RGB", (8, 8))], quality=95
    )
    assert Image.open(tmp_path / "in.jpg").format == "MPO"
    read_image(tmp_path / "in.jpg").save(tmp_path / "out.jpg")
    after = Image.open(tmp_path / "out.jpg")
    assert (after.format, after.size) == ("JPEG", (32, 24))


def test_lossy_webp_stays_lossy_and_keeps_its_alpha(tmp_path: Path) -> None:
    photo("RGBA", (64, 64)).save(tmp_path / "in.webp", quality=70, icc_profile=ICC)
    read_image(tmp_path / "in.webp").save(tmp_path / "out.webp")
    content = (tmp_path / "out.webp").read_bytes()
    assert b"VP8 " in content
    assert b"VP8L" not in content
    before, after = (Image.open(tmp_path / name).getchannel("A") for name in ("in.webp", "out.webp"))
    assert same_pixels(before, after)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_how_the_file_is_shown(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    photo("RGBA").save(tmp_path / "in.png", exif=exif_block(orientation))
    shown = ImageOps.exif_transpose(Image.open(tmp_path / "in.png"))
    upright = read_image(tmp_path / "in.png").upright().to_pil()
    assert same_pixels(upright, shown)
    assert upright.getexif().get(0x0112, 1) == 1
    read_image(tmp_path / "in.png").save(tmp_path / "out.png")
    assert Image.open(tmp_path / "out.png").getexif()[0x0112] == orientation
    photo("RGB").save(tmp_path / "in.jpg", exif=exif_block(orientation))
    read_image(tmp_path / "in.jpg").save(tmp_path / "out.bmp")  # BMP has no tags: the pixels turn
    assert same_pixels(Image.open(tmp_path / "out.bmp"), ImageOps.exif_transpose(Image.open(tmp_path / "in.jpg")))


@pytest.mark.parametrize("name", ["in.tif", "in.png", "deep.png", "deep.tif"])
@pytest.mark.parametrize("extension", ["png", "tif"])
def test_text_that_is_not_ascii_stays(tmp_path: Path, name: str, extension: str) -> None:
    author = "© Jürgen".encode()
    exif = Image.Exif()
    exif[0x8298], exif[0x0112] = author, 6
    photo("I;16" if name.startswith("deep") else "RGB").save(tmp_path / "first.png", exif=exif.tobytes())
    read_image(tmp_path / "first.png").save(tmp_path / name)
    read_image(tmp_path / name).save(tmp_path / f"out.{extension}")
    image = Image.open(tmp_path / f"out.{extension}")
    assert image.getexif()[0x8298].encode("latin-1") == author
    upright = read_image(tmp_path / name).upright()
    upright.save(tmp_path / "upright.png")
    assert Image.open(tmp_path / "upright.png").getexif()[0x8298].encode("latin-1") == author


@pytest.mark.parametrize("mode", ["RGB", "I;16"])
def test_a_resolution_of_nothing_is_left_out(tmp_path: Path, mode: str) -> None:
    photo(mode).save(tmp_path / "in.tif", dpi=(300, 300))
    content = bytearray((tmp_path / "in.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "in.tif") as tiff:
        for tag in (282, 283):
            place = tiff.pages[0].tags[tag].valueoffset  # type: ignore[union-attr]
            content[place : place + 8] = bytes(8)
    (tmp_path / "in.tif").write_bytes(content)
    for name in ("out.tif", "out.png"):
        read_image(tmp_path / "in.tif").save(tmp_path / name)
        assert Image.open(tmp_path / name).size == photo(mode).size


def test_a_bilevel_picture_as_webp(tmp_path: Path) -> None:
    photo("1").save(tmp_path / "in.png")
    read_image(tmp_path / "in.png").save(tmp_path / "out.webp")
    before, after = (Image.open(tmp_path / name).convert("RGB") for name in ("in.png", "out.webp"))
    assert same_pixels(before, after)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I;16B", "I", "F"])
def test_pillow_images_come_back_exactly(mode: str) -> None:
    image = {
        "I;16B": lambda: Image.frombytes(
            "I;16B", (23, 17), RNG.integers(0, 256, 23 * 17 * 2).astype(np.uint8).tobytes()
        ),
        "I": lambda: Image.fromarray(RNG.integers(0, 65536, (17, 23)).astype(np.int32)),
    }.get(mode, lambda: photo(mode))()
    back = from_pil(image).to_pil()
    assert (back.mode, back.size) == (mode, image.size)
    if mode == "P":
        image, back = image.convert("RGB"), back.convert("RGB")
    assert np.array_equal(np.asarray(back), np.asarray(image))
