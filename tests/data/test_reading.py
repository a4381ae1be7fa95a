"""Triplets are read as `hf-denoise denoise` reads its files: the same kinds, the same pixels, the same sentences."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from hf_denoise.data.decoded import Decoded, MemoryMapped
from hf_denoise.data.loader import SampleMaker, TripletDataset
from hf_denoise.data.reading import to_float
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError
from hf_denoise.imaging.images import read_image
from hf_denoise.imaging.picture import Picture
from hf_denoise.noise.degradations import parse_degradation


def noise(dtype: str, *channels: int, top: float = 1.0) -> np.ndarray:
    values = np.random.default_rng(0).random((20, 30, *channels))
    full = np.iinfo(dtype).max if dtype.startswith("u") else 1
    return (values * full * top).astype(dtype)


def write_deep_png(path: Path, pixels: np.ndarray) -> None:
    import imagecodecs

    path.write_bytes(imagecodecs.png_encode(pixels))


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    if path.suffix == ".tif" and not options:
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    elif path.suffix == ".png" and pixels.dtype == np.uint16:
        write_deep_png(path, pixels)
    else:
        Image.fromarray(pixels).save(path, **options)
    return path


KINDS = [
    ("a.png", noise("uint8", 3), {}),
    ("a.jfif", noise("uint8", 3), {"format": "JPEG"}),
    ("a.ppm", noise("uint8", 3), {}),
    ("a.avif", noise("uint8", 3), {}),
    ("a.gif", noise("uint8"), {}),
    ("a.png", noise("uint16", 3), {}),
    ("b.png", noise("uint16"), {}),
    ("a.tif", noise("uint16", 3), {}),
    ("a.tif", noise("float32", 3), {}),
    ("a.tif", noise("float64"), {}),
    ("a.tif", noise("float16", 3), {}),
    ("a.tif", noise("uint16", top=1 / 16), {}),
]


@pytest.mark.parametrize(("name", "pixels", "options"), KINDS)
def test_what_denoise_reads_is_read_alike(tmp_path, name, pixels, options):
    path = save(tmp_path / "data" / name, pixels, **options)
    table = load_triplets(path.parent, splits=(0, 0, 1))["test"]
    for triplets in (Decoded(table), MemoryMapped(table)):
        np.testing.assert_allclose(to_float(triplets[0].clean), read_image(path).rgb, atol=1e-5)
        colour = pixels.ndim == 3 or path.suffix == ".gif"  # by its palette
        assert triplets[0].clean.shape[2] == (3 if colour else 1)


def test_heic_is_read_as_denoise_reads_it(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    (tmp_path / "data").mkdir()
    path = tmp_path / "data/a.heic"
    pillow_heif.from_bytes("RGB", (30, 20), noise("uint8", 3).tobytes()).save(path)
    clean = Decoded(load_triplets(path.parent, splits=(0, 0, 1))["test"])[0].clean
    np.testing.assert_allclose(to_float(clean), read_image(path).rgb, atol=1e-5)


def frames(extension: str) -> bytes:
    pictures = [Image.new("RGB", (30, 20), (80 * number, 9, 9)) for number in range(3)]
    file = io.BytesIO()
    formats = {"tif": "TIFF", "webp": "WEBP", "gif": "GIF", "png": "PNG"}
    pictures[0].save(file, formats[extension], save_all=True, append_images=pictures[1:])
    return file.getvalue()


def sentence(content: bytes, name: str) -> str:
    """What `denoise` says of a file."""
    file = io.BytesIO(content)
    file.name = name
    with pytest.raises(UserError) as error:
        read_image(file)
    return str(error.value).replace(f"'{name}'", name)


def tiff(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("int32.tif", tiff(noise("float32").astype(np.int32))),
        ("uint32.tif", tiff(noise("uint32"))),
        ("nan.tif", tiff(np.full((20, 30), np.nan, np.float32))),
        ("scale.tif", tiff(noise("float32") * 255)),
        ("bands.tif", tiff(noise("uint16", 7), photometric="minisblack", planarconfig="contig")),
        ("short.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        ("text.png", b"text"),
        ("empty.png", b""),
    ],
)
def test_what_denoise_refuses_is_refused_with_the_same_sentence(tmp_path, name, content):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        load_triplets(tmp_path / "photos")
    assert sentence(content, name) in str(error.value)


@pytest.mark.parametrize("extension", ["tif", "webp", "gif", "png"])
def test_files_of_several_pages_or_frames_are_refused(tmp_path, extension):
    for role in ("clean", "degraded"):
        (tmp_path / role).mkdir()
        Image.new("RGB", (30, 20)).save(tmp_path / role / "a.png")
    (tmp_path / "degraded/a.png").unlink()
    (tmp_path / f"degraded/a.{extension}").write_bytes(frames(extension))
    with pytest.raises(UserError, match=rf"1 problem.*degraded/a\.{extension} holds 3 (pages|frames); give each"):
        load_triplets(tmp_path)


def test_a_preview_beside_the_picture_is_no_page(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(noise("uint8", 3), photometric="rgb")
        file.write(noise("uint8", 3)[::2, ::2], photometric="rgb", subfiletype=1)
    assert load_triplets(tmp_path, splits=(0, 0, 1))["test"][0]["clean"].size == (30, 20)


def test_noise_does_not_change_what_is_white_in_one_image_of_a_triplet(tmp_path):
    """The clean image ends just below 2 ** 12, the degraded one just above."""
    clean = noise("uint16", top=1 / 16)
    degraded = clean + np.uint16(2) * (clean == clean.max()) * np.uint16(300)
    assert clean.max() < 4096 <= degraded.max()
    for role, pixels in (("clean", clean), ("degraded", degraded)):
        save(tmp_path / role / "a.png", pixels)
    triplet = Decoded(load_triplets(tmp_path, splits=(0, 0, 1))["test"])[0]
    assert triplet.degraded is not None
    same = clean != clean.max()
    np.testing.assert_array_equal(triplet.clean[..., 0][same], triplet.degraded[..., 0][same])
    assert triplet.degraded.max() < 65535 * 4700 / 16383


def test_clean_floats_above_white_are_refused_and_degraded_ones_kept(tmp_path):
    save(tmp_path / "clean/a.tif", noise("float32", 3))
    save(tmp_path / "degraded/a.tif", noise("float32", 3) * 3 - 1)
    sample = TripletDataset(
        Decoded(load_triplets(tmp_path, splits=(0, 0, 1))["test"]), SampleMaker(parse_degradation("gaussian:25"))
    )[0]
    assert sample["degraded"].max() > 1.9 and sample["degraded"].min() < -0.9
    save(tmp_path / "clean/a.tif", noise("float32", 3) * 3)
    with pytest.raises(
        UserError, match=r"clean/a\.tif has values from .* to 2[.]999; scale floating-point clean images"
    ):
        load_triplets(tmp_path)


def test_images_of_kinds_that_are_not_read_are_counted(tmp_path, caplog):
    save(tmp_path / "data/a.png", noise("uint8", 3))
    for name in ("b.crw", "c.crw", "d.psd"):
        (tmp_path / "data" / name).write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        load_triplets(tmp_path / "data", splits=(0, 0, 1))
    assert "3 images skipped, of kinds that are not read: 2 .crw, 1 .psd" in caplog.text


def test_turned_images_are_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = noise("uint8", 3)
    (tmp_path / "data").mkdir()
    for name in ("a.png", "b.tif", "c.jpg"):
        Image.fromarray(pixels).save(tmp_path / "data" / name, exif=exif)
    found = {
        triplet.name: triplet.clean for triplet in Decoded(load_triplets(tmp_path / "data", splits=(0, 0, 1))["test"])
    }
    for name in ("a", "b"):
        np.testing.assert_array_equal(found[name], np.rot90(pixels, -1))
    assert found["c"].shape == (30, 20, 3)


def test_threads_decode_beside_each_other_without_pillows_limit(monkeypatch, tmp_path):
    """The limit is put back when the last of them is done."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = save(tmp_path / "a.png", noise("uint8", 3))

    def read(_: int) -> Picture:
        return read_image(path)

    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(read, range(40)))) == 40
    assert Image.MAX_IMAGE_PIXELS == 100
