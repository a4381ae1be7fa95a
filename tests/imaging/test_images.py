"""Image files: every kind comes back as it was, and what cannot be read or written is one clear sentence."""

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
from PIL import Image, ImageCms

from hf_denoise.errors import UserError
from hf_denoise.imaging.conversion import from_pil
from hf_denoise.imaging.formats import check_target
from hf_denoise.imaging.images import read_header, read_image
from hf_denoise.imaging.picture import Picture

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RNG = np.random.default_rng(0)


def exif_block(orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    return exif.tobytes()


def photo(mode: str, size: tuple[int, int] = (23, 17)) -> Image.Image:
    """Noise in every channel, alpha included."""
    if mode == "P":
        return photo("RGB", size).quantize(32)
    if mode == "I;16":
        return Image.fromarray(RNG.integers(0, 65536, size[::-1]).astype(np.uint16))
    if mode == "F":
        return Image.fromarray(RNG.random(size[::-1], np.float32))
    if mode == "1":
        return Image.fromarray(RNG.random(size[::-1]) > 0.5)
    channels = len(Image.new(mode, (1, 1)).getbands())
    samples = RNG.integers(0, 256, (size[1], size[0], channels)).astype(np.uint8)
    return Image.frombytes(mode, size, samples.tobytes())


def same_pixels(one: Image.Image, other: Image.Image) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


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


@pytest.mark.parametrize("opacities", [1, 3])
def test_palette_transparency_is_untouched(tmp_path: Path, opacities: int) -> None:
    image = photo("P")
    image.info["transparency"] = bytes([0, 128, 40][:opacities])
    image.save(tmp_path / "in.png")
    picture = read_image(tmp_path / "in.png")
    noise = RNG.integers(0, 256, picture.planes[0].shape).astype(np.uint8)
    picture.with_planes((noise,)).save(tmp_path / "out.png")
    before, after = Image.open(tmp_path / "in.png"), Image.open(tmp_path / "out.png")
    assert after.mode == "P"
    assert after.getpalette() == before.getpalette()
    assert same_pixels(after.convert("RGBA").getchannel("A"), before.convert("RGBA").getchannel("A"))
    read_image(tmp_path / "in.png").save(tmp_path / "wide.webp")
    assert same_pixels(Image.open(tmp_path / "wide.webp"), before.convert("RGBA"))


def test_gif_transparency_is_untouched(tmp_path: Path) -> None:
    image = photo("P")
    image.save(tmp_path / "in.gif", transparency=3)
    read_image(tmp_path / "in.gif").save(tmp_path / "out.gif")
    before, after = (Image.open(tmp_path / name).convert("RGBA") for name in ("in.gif", "out.gif"))
    hidden = np.asarray(before)[..., 3] == 0
    assert hidden.any()
    assert np.array_equal(np.asarray(after)[..., 3] == 0, hidden)
    assert np.array_equal(np.asarray(after)[~hidden], np.asarray(before)[~hidden])


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_colour_that_stands_for_transparency_still_does(tmp_path: Path, mode: str) -> None:
    image = photo(mode)
    image.putpixel((4, 5), 7 if mode == "L" else (7, 8, 9))
    image.save(tmp_path / "in.png", transparency=7 if mode == "L" else (7, 8, 9))
    picture = read_image(tmp_path / "in.png")
    everywhere_the_key = np.broadcast_to(
        np.array([7, 8, 9][: 1 if mode == "L" else 3], np.uint8), (17, 23, 1 if mode == "L" else 3)
    )
    plane = everywhere_the_key[..., 0] if mode == "L" else everywhere_the_key
    picture.with_planes((np.array(plane),)).save(tmp_path / "out.png")
    before, after = Image.open(tmp_path / "in.png"), Image.open(tmp_path / "out.png")
    assert after.mode == mode
    assert same_pixels(after.convert("RGBA").getchannel("A"), before.convert("RGBA").getchannel("A"))
    assert np.ptp(np.asarray(after.convert("RGB")).reshape(-1, 3), axis=0).max() <= 1


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


def write(path: Path, content: bytes | bytearray) -> Path:
    path.write_bytes(content)
    return path


def encoded(format: str, size: tuple[int, int] = (64, 64), **options: Any) -> bytes:
    file = io.BytesIO()
    photo("RGB", size).save(file, format, **options)
    return file.getvalue()


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


def tiff(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
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
