"""What the colours of a file mean, beside an ICC profile, stays in it; and XMP goes with the picture."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from hf_denoise.imaging.images import read_image
from hf_denoise.imaging.png_chunks import chunk, read_chunks

RNG = np.random.default_rng(0)
XMP = b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta>\xc3\xa4</x:xmpmeta><?xpacket end="r"?>'
CHUNKS = {
    b"gAMA": struct.pack(">I", 100_000),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    b"cICP": bytes([9, 16, 0, 1]),
    b"sRGB": b"\1",
    b"mDCV": bytes(24),
    b"cLLI": bytes(8),
}


def png_of(dtype: Any, *chunks: bytes, channels: int = 3) -> bytes:
    encoded = bytes(imagecodecs.png_encode(RNG.integers(0, np.iinfo(dtype).max + 1, (12, 9, channels)).astype(dtype)))
    return encoded[:33] + b"".join(chunks) + encoded[33:]


def xmp_chunk(text: bytes, packed: bool = False) -> bytes:
    content = zlib.compress(text) if packed else text
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0" + bytes([packed]) + b"\0\0\0" + content)


def chunks_of(path: Path) -> dict[bytes, bytes]:
    with path.open("rb") as file:
        return dict(read_chunks(file)[0])


def xmp_of(path: Path) -> bytes:
    """As other programs find it."""
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages[0]
            return bytes(page.tags[700].value)
    found = Image.open(path).info["xmp"]
    return found if isinstance(found, bytes) else str(found).encode()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_of_a_png_stay(tmp_path: Path, dtype: Any, name: bytes) -> None:
    (tmp_path / "in.png").write_bytes(png_of(dtype, chunk(name, CHUNKS[name])))
    picture = read_image(tmp_path / "in.png")
    picture.save(tmp_path / "out.png")
    assert chunks_of(tmp_path / "out.png") == {name: CHUNKS[name]}
    assert np.array_equal(read_image(tmp_path / "out.png").planes[0], picture.planes[0])
    with Image.open(tmp_path / "out.png") as image:
        image.verify()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_they_stay_in_every_mode(tmp_path: Path, mode: str) -> None:
    file = io.BytesIO()
    Image.effect_noise((12, 9), 60).convert(mode).save(file, "PNG")
    content = file.getvalue()
    (tmp_path / "in.png").write_bytes(content[:33] + chunk(b"gAMA", CHUNKS[b"gAMA"]) + content[33:])
    read_image(tmp_path / "in.png").save(tmp_path / "out.png")
    assert chunks_of(tmp_path / "out.png") == {b"gAMA": CHUNKS[b"gAMA"]}
    assert Image.open(tmp_path / "out.png").mode == mode


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("source", ["png", "packed.png", "tif"])
@pytest.mark.parametrize("target", ["png", "tif", "jpg", "webp"])
def test_xmp_goes_with_the_picture(tmp_path: Path, dtype: Any, source: str, target: str) -> None:
    if dtype is np.uint16 and target in ("jpg", "webp"):
        pytest.skip("8 bits only")
    path = tmp_path / f"in.{source}"
    if source.endswith("png"):
        path.write_bytes(png_of(dtype, xmp_chunk(XMP, source.startswith("packed"))))
    else:
        samples = RNG.integers(0, np.iinfo(dtype).max + 1, (12, 9, 3)).astype(dtype)
        tifffile.imwrite(path, samples, photometric="rgb", extratags=[(700, 1, len(XMP), XMP, True)])
    read_image(path).save(tmp_path / f"out.{target}")
    assert xmp_of(tmp_path / f"out.{target}") == XMP


@pytest.mark.parametrize("extension", ["jpg", "webp"])
def test_xmp_of_jpeg_and_webp_stays(tmp_path: Path, extension: str) -> None:
    Image.effect_noise((32, 32), 60).convert("RGB").save(tmp_path / f"in.{extension}", xmp=XMP)
    for target in (extension, "png", "tif"):
        read_image(tmp_path / f"in.{extension}").save(tmp_path / f"out.{target}")
        assert xmp_of(tmp_path / f"out.{target}") == XMP


def test_xmp_too_long_for_a_jpeg_is_left_out_of_it_alone(tmp_path: Path) -> None:
    long = b"<x>" + b"a" * 70_000 + b"</x>"
    (tmp_path / "in.png").write_bytes(png_of(np.uint8, xmp_chunk(long)))
    read_image(tmp_path / "in.png").save(tmp_path / "out.jpg")
    assert "xmp" not in Image.open(tmp_path / "out.jpg").info
    read_image(tmp_path / "in.png").save(tmp_path / "out.png")
    assert xmp_of(tmp_path / "out.png") == long


def test_damage_and_bombs_are_left_out() -> None:
    good = chunk(b"gAMA", CHUNKS[b"gAMA"])
    assert read_chunks(io.BytesIO(png_of(np.uint16, good, xmp_chunk(XMP)))) == (((b"gAMA", CHUNKS[b"gAMA"]),), XMP)
    bomb = xmp_chunk(bytes(2**26), packed=True)
    assert read_chunks(io.BytesIO(png_of(np.uint16, good[:-1] + b"\0", bomb))) == ((), None)
    assert read_chunks(io.BytesIO(png_of(np.uint16, good)[:40])) == ((), None)


def test_srgb_stands_aside_for_a_profile(tmp_path: Path) -> None:
    """A PNG has one of them; readers complain about both."""
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(b"profile" * 30))
    (tmp_path / "in.png").write_bytes(
        png_of(np.uint16, profile, chunk(b"sRGB", b"\0"), chunk(b"gAMA", CHUNKS[b"gAMA"]))
    )
    read_image(tmp_path / "in.png").save(tmp_path / "out.png")
    assert set(chunks_of(tmp_path / "out.png")) == {b"gAMA"}
