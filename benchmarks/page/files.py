"""Picture files that a page may be given: whole ones of every kind, and hostile ones."""

import io
import struct
import zlib
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms

from benchmarks.page.forged import exif_of_shared_values, png_bomb, png_chunk, png_of_header, tiff_of_header
from benchmarks.page.raw_files import dng

SIDE = 64  # pixels: one tile of the network, so that a file costs milliseconds


def _smooth(channels: int, side: int = SIDE) -> np.ndarray:
    """(side, side, channels) noisy gradients in [0, 1]."""
    rng = np.random.default_rng(channels)
    ramp = np.linspace(0.2, 0.8, side)
    planes = [np.outer(ramp, ramp[:: 1 - 2 * (index % 2)]) + 0.2 for index in range(channels)]
    return (np.dstack(planes) + rng.normal(0, 0.05, (side, side, channels))).clip(0, 1)


def _image(mode: str = "RGB", side: int = SIDE) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (side, side), (_smooth(channels, side) * 255).astype(np.uint8).tobytes())


def _deep(channels: int) -> np.ndarray:
    pixels = (_smooth(channels) * 65535).astype(np.uint16)
    return pixels[..., 0] if channels == 1 else pixels


def _deep_png(channels: int) -> bytes:
    return bytes(imagecodecs.png_encode(_deep(channels)))


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _tiff(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


def _frames(format: str, **options: Any) -> bytes:
    return _saved(_image(), format, save_all=True, append_images=[_image("L").convert("RGB"), _image()], **options)


def _heic(mode: str, pixels: np.ndarray) -> bytes:
    import pillow_heif  # an extra

    file = io.BytesIO()
    pillow_heif.from_bytes(mode, (SIDE, SIDE), pixels.tobytes()).save(file, quality=80, exif=_exif(6))
    return file.getvalue()


def _with_chunks(png: bytes) -> bytes:
    xmp = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x/>"))
    return png[:33] + png_chunk(b"gAMA", struct.pack(">I", 45455)) + png_chunk(b"sBIT", b"\x10" * 3) + xmp + png[33:]


def _palette(transparent: bool) -> Image.Image:
    image = _image().quantize(32)
    if transparent:
        image.info["transparency"] = bytes([0, 100, 200])
    return image


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    return exif.tobytes()


def _float(value: float) -> bytes:
    pixels = _smooth(1)[..., 0].astype(np.float32)
    pixels[5, 5] = value
    return _tiff(pixels, photometric="minisblack")


def tiff_of_pages(pages: int) -> bytes:
    """A TIFF of that many pages that share their pixels: 200 bytes each."""
    one = _tiff(np.zeros((8, 8), np.uint16))
    (first,) = struct.unpack("<I", one[4:8])
    (count,) = struct.unpack("<H", one[first : first + 2])
    entries = one[first : first + 2 + 12 * count]
    start = len(one) + len(one) % 2
    body = one.ljust(start, b"\0")
    step = len(entries) + 4
    directories = b"".join(
        entries + struct.pack("<I", start + (page + 1) * step if page + 1 < pages else 0) for page in range(pages)
    )
    return body[:4] + struct.pack("<I", start) + body[8:] + directories


def _run_length_bmp(body: bytes) -> bytes:
    """A BMP of 8 bits with run-length encoding, which Pillow reads and does not write."""
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    start = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 8, 1, len(body), 2835, 2835, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body


@cache
def whole_files() -> dict[str, tuple[str, bytes]]:
    """Pictures of every kind that people have: name -> (extension, contents)."""
    lines = b"".join(bytes([SIDE, level * 3 % 256, 0, 0]) for level in range(SIDE)) + b"\0\1"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgb, deep = _image(), _deep(3)
    files: dict[str, tuple[str, bytes]] = {
        "PNG RGB": (".png", _saved(rgb, "PNG", exif=_exif(3), dpi=(300, 300), icc_profile=icc)),
        "PNG RGBA": (".png", _saved(_image("RGBA"), "PNG")),
        "PNG palette, transparent": (".png", _saved(_palette(True), "PNG")),
        "PNG 1 bit": (".png", _saved(rgb.convert("1"), "PNG")),
        "PNG colour key": (".png", _saved(rgb, "PNG", transparency=(40, 50, 60))),
        "PNG grey, 16 bits": (".png", _deep_png(1)),
        "PNG grey and alpha, 16 bits": (".png", _deep_png(2)),
        "PNG RGB, 16 bits": (".png", _deep_png(3)),
        "PNG RGBA, 16 bits": (".png", _deep_png(4)),
        "PNG animated": (".png", _frames("PNG")),
        "JPEG RGB": (".jpg", _saved(rgb, "JPEG", quality=85)),
        "JPEG grey": (".jpg", _saved(_image("L"), "JPEG")),
        "JPEG CMYK": (".jpg", _saved(_image("CMYK"), "JPEG")),
        "JPEG progressive": (".jpg", _saved(rgb, "JPEG", progressive=True, subsampling=2)),
        "JPEG, EXIF oriented": (".jpg", _saved(rgb, "JPEG", exif=_exif(6))),
        "JPEG of a phone, two pictures": (".jpg", _saved(rgb, "MPO", save_all=True, append_images=[_image(side=16)])),
        "WebP lossy": (".webp", _saved(rgb, "WEBP", quality=80, exif=_exif(8))),
        "WebP lossless, alpha": (".webp", _saved(_image("RGBA"), "WEBP", lossless=True)),
        "WebP animated": (".webp", _frames("WEBP")),
        "BMP RGB": (".bmp", _saved(rgb, "BMP")),
        "BMP palette": (".bmp", _saved(_palette(False), "BMP")),
        "BMP run length": (".bmp", _run_length_bmp(lines)),
        "GIF": (".gif", _saved(_palette(False), "GIF")),
        "GIF animated": (".gif", _frames("GIF")),
        "TIFF RGB": (".tif", _saved(rgb, "TIFF", exif=_exif(6))),
        "TIFF LZW": (".tif", _saved(rgb, "TIFF", compression="tiff_lzw")),
        "TIFF deflate, CMYK": (".tif", _saved(_image("CMYK"), "TIFF", compression="tiff_adobe_deflate")),
        "TIFF JPEG": (".tif", _saved(rgb, "TIFF", compression="jpeg")),
        "TIFF fax": (".tif", _saved(rgb.convert("1"), "TIFF", compression="group4")),
        "TIFF packbits, palette": (".tif", _saved(_palette(False), "TIFF", compression="packbits")),
        "TIFF Lab": (".tif", _saved(_image("LAB"), "TIFF")),
        "TIFF Lab, 16 bits": (".tif", _tiff(deep, photometric="cielab")),
        "TIFF several pages": (".tif", _frames("TIFF")),
        "TIFF tiles": (".tif", _tiff((_smooth(3) * 255).astype(np.uint8), photometric="rgb", tile=(32, 32))),
        "TIFF grey, 16 bits": (".tif", _tiff(_deep(1), photometric="minisblack")),
        "TIFF RGB, 16 bits": (".tif", _tiff(deep, photometric="rgb", resolution=(300, 300), resolutionunit="INCH")),
        "TIFF RGB, 16 bits, LZW": (".tif", _tiff(deep, photometric="rgb", compression="lzw", predictor=True)),
        "TIFF RGB, 16 bits, tiles": (".tif", _tiff(deep, photometric="rgb", compression="zlib", tile=(32, 32))),
        "TIFF RGB, 16 bits, big": (".tif", _tiff(deep, photometric="rgb", bigtiff=True)),
        "TIFF float": (".tif", _tiff(_smooth(1)[..., 0].astype(np.float32), compression="zlib", predictor=True)),
        "TIFF float with NaN": (".tif", _float(np.nan)),
        "TIFF RGBA, premultiplied": (".tif", _tiff(_deep(4) >> 8, photometric="rgb", extrasamples=["assocalpha"])),
        "TIFF six bands": (".tif", _tiff(_deep(6), photometric="rgb", extrasamples=[0, 2, 0], planarconfig="contig")),
        "TIFF 12 bits in 16": (".tif", _tiff(deep >> 4, photometric="rgb", extratags=[(281, 3, 3, (4095,) * 3, True)])),
        "PNG that says its colours": (".png", _with_chunks(_deep_png(3))),
        "PPM": (".ppm", _saved(rgb, "PPM")),
        "PGM, 12 bits": (".pgm", b"P5 64 64 4095\n" + (_deep(1) >> 4).astype(">u2").tobytes()),
        "AVIF": (".avif", _saved(_image("RGBA"), "AVIF", exif=_exif(6), icc_profile=icc)),
        "AVIF, 10 bits": (".avif", bytes(imagecodecs.avif_encode(deep >> 6, bitspersample=10))),
        "HEIC": (".heic", _heic("RGB", (_smooth(3) * 255).astype(np.uint8))),
        "HEIC, 10 bits": (".heic", _heic("RGB;10", deep >> 6)),
        "DNG": (".dng", dng(_smooth(3), orientation=6)),
    }
    return files


@cache
def hostile_files() -> dict[str, tuple[str, bytes]]:
    """Small files made to break a server: name -> (extension, contents)."""
    png, jpeg = _saved(_image(), "PNG"), _saved(_image(), "JPEG")
    webp = bytearray(_saved(_image(), "WEBP", lossless=True))
    webp[21:25] = struct.pack("<I", struct.unpack("<I", webp[21:25])[0] | 0x0FFFFFFF)  # 16384 x 16384
    huge_jpeg, size = bytearray(jpeg), jpeg.index(b"\xff\xc0") + 5
    huge_jpeg[size : size + 4] = struct.pack(">HH", 15000, 15000)
    run, gif = _run_length_bmp(b"\x40\x07\0\1"), _saved(_palette(False), "GIF")
    huge_bmp = run[:18] + struct.pack("<ii", 20_000, 10_000) + run[26:]
    scans = _saved(_image(), "JPEG", progressive=True)
    last = scans.rindex(b"\xff\xda")
    files: dict[str, tuple[str, bytes]] = {
        "1 x 1": (".png", _saved(_image(side=1), "PNG")),
        "1 x 10000": (".png", _saved(Image.new("L", (1, 10000), 99), "PNG")),
        "10000 x 1": (".tif", _saved(Image.new("RGB", (10000, 1), (9, 99, 199)), "TIFF")),
        "empty": (".png", b""),
        "text": (".png", b"this is no picture\n"),
        "HTML": (".jpg", b"<html><script>alert(1)</script></html>"),
        "SVG": (".png", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        "EPS": (".jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (r) file pop\n"),
        "JPEG named PNG": (".png", jpeg),
        "PNG named TIFF": (".tif", png),
        "PNG cut": (".png", png[: len(png) // 2]),
        "JPEG cut": (".jpg", jpeg[: len(jpeg) // 2]),
        "PNG header of 60000 x 60000": (".png", png_of_header(60_000, 60_000, data=zlib.compress(b"\0" * 100))),
        "PNG header of 2147483647 x 1": (".png", png_of_header(2**31 - 1, 1)),
        "PNG header of 0 x 0": (".png", png_of_header(0, 0)),
        "PNG header of 15000 x 15000": (".png", png_of_header(15_000, 15_000, data=zlib.compress(b"\0" * 100))),
        "PNG header of 15000 x 15000, 16 bits": (".png", png_of_header(15_000, 15_000, 16)),
        "PNG bomb of 11000 x 11000": (".png", png_bomb(11_000, 11_000)),
        "PNG bomb of 16000 x 16000": (".png", png_bomb(16_000, 16_000)),
        "PNG bomb of 200000000 x 1": (".png", png_bomb(200_000_000, 1)),
        "JPEG header of 15000 x 15000": (".jpg", bytes(huge_jpeg)),
        "JPEG of 5000 scans": (".jpg", scans[:-2] + scans[last:-2] * 5000 + scans[-2:]),
        "BMP of runs of nothing": (".bmp", _run_length_bmp(b"\xff\0" * 1_000_000)),
        "BMP of one run, 20000 x 10000": (".bmp", huge_bmp),
        "GIF canvas of 15000 x 15000": (".gif", gif[:6] + struct.pack("<HH", 15000, 15000) + gif[10:]),
        "WebP header of 16384 x 16384": (".webp", bytes(webp)),
        "GIF of 20000 frames": (".gif", _many_frames(20_000)),
        "JPEG with damaged EXIF": (".jpg", _saved(_image(), "JPEG", exif=_exif(6)).replace(b"MM\0*", b"LM\0*")),
        "PNG with EXIF of shared values": (
            ".png",
            png[:33] + png_chunk(b"eXIf", exif_of_shared_values(5_000, 2_000_000)) + png[33:],
        ),
    }
    return {**files, **_hostile_tiffs()}


def _hostile_tiffs() -> dict[str, tuple[str, bytes]]:
    files = {
        "TIFF header of 15000 x 15000, 8 bits": (".tif", tiff_of_header(15_000, 15_000, bits=8)),
        "TIFF header of 15000 x 15000": (".tif", tiff_of_header(15_000, 15_000)),
        "TIFF header of 15000 x 15000, deflate": (".tif", tiff_of_header(15_000, 15_000, compression=8)),
        "TIFF tile of 60000 x 60000 in 64 x 64": (".tif", tiff_of_header(64, 64, compression=8, tile=60_000)),
        "TIFF of 20000 pages": (".tif", tiff_of_pages(20_000)),
        "TIFF pages in a circle": (".tif", _circle()),
        "TIFF strip that unpacks to 300 MB": (
            ".tif",
            tiff_of_header(SIDE, SIDE, 16, 8, data=_packed_zeros(300 * 2**20)),
        ),
        "TIFF of LZW that unpacks to 100 MB": (
            ".tif",
            tiff_of_header(SIDE, SIDE, 16, 5, data=bytes(imagecodecs.lzw_encode(bytes(100_000_000)))),
        ),
        "TIFF with shared values": (".tif", _with_shared_values(2_000, 2_000_000)),
    }
    for code in (7, 34712, 34887, 34892, 34925, 34926, 34933, 50000, 50001, 50002, 52546, 33003, 22610, 48124):
        files[f"TIFF of compression {code}"] = (".tif", tiff_of_header(SIDE, SIDE, compression=code))
    return files


def _packed_zeros(size: int) -> bytes:
    packer, block = zlib.compressobj(1), b"\0" * 2**20
    return b"".join([*(packer.compress(block) for _ in range(size // 2**20)), packer.flush()])


def _circle() -> bytes:
    """A TIFF whose first page says that the next is the first."""
    content = bytearray(tiff_of_pages(1))
    content[-4:] = content[4:8]
    return bytes(content)


def _many_frames(frames: int) -> bytes:
    """A GIF with one frame again and again."""
    content = _saved(Image.new("P", (8, 8)), "GIF")
    start = content.index(b",")
    return content[:start] + content[start:-1] * frames + content[-1:]


def _with_shared_values(tags: int, value: int) -> bytes:
    """A TIFF of 8 x 8 pixels with many tags that name the same bytes."""
    own = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 279: 64}
    entries = b"".join(struct.pack("<HHII", code, 4, 1, own[code]) for code in own)
    shared = b"".join(struct.pack("<HHII", 40000 + tag, 7, value, 8) for tag in range(tags))
    directory = struct.pack("<H", len(own) + tags) + entries + shared + b"\0" * 4
    return b"II*\0" + struct.pack("<I", 8 + value) + b"\x77" * value + directory
