"""Files and images through a denoiser: what of them stays."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from denoisers import astronaut, identity, packaged
from PIL import Image, ImageOps

from hf_denoise.errors import UserError
from hf_denoise.imaging.images import read_image
from hf_denoise.metrics.quality import psnr


def test_every_code_of_16_bits_survives() -> None:
    image = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(identity()(image), image)


@pytest.mark.parametrize(
    ("kind", "extension"),
    [(kind, "png") for kind in ("1", "L", "LA", "P", "P-transparent", "RGB", "RGBA", "I;16")]
    + [(kind, "tif") for kind in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")],
)
def test_the_identity_gives_files_back_exactly(
    tmp_path: Path, rng: np.random.Generator, kind: str, extension: str
) -> None:
    mode = kind.split("-")[0]
    samples = rng.integers(0, 256, (45, 70, 4)).astype(np.uint8)
    options: dict[str, Any] = {"transparency": bytes([0, 100])} if kind == "P-transparent" else {}
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (45, 70)).astype(np.uint16))
    elif mode in ("RGBA", "CMYK"):
        image = Image.frombytes(mode, (70, 45), samples.tobytes())
    elif mode == "P":
        image = Image.fromarray(samples[..., :3]).quantize(60)
    else:
        image = Image.fromarray(samples).convert(mode)
    source, target = tmp_path / f"in.{extension}", tmp_path / f"out.{extension}"
    image.save(source, **options)
    identity().file(source, target)
    before, after = Image.open(source), Image.open(target)
    assert (after.mode, after.size) == (before.mode, before.size)
    view = "RGBA" if mode == "P" else before.mode
    assert np.array_equal(np.asarray(after.convert(view)), np.asarray(before.convert(view)))


def test_the_identity_gives_16_bit_colour_files_back_exactly(tmp_path: Path, rng: np.random.Generator) -> None:
    samples = rng.integers(0, 65536, (45, 70, 3)).astype(np.uint16)
    (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(samples))
    identity().file(tmp_path / "in.png", tmp_path / "out.png")
    identity().file(tmp_path / "in.png", tmp_path / "out.tif")
    assert np.array_equal(imagecodecs.png_decode((tmp_path / "out.png").read_bytes()), samples)
    assert np.array_equal(tifffile.imread(tmp_path / "out.tif"), samples)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_noise_of_premultiplied_colour_goes_and_its_brightness_stays(
    tmp_path: Path, rng: np.random.Generator, dtype: Any
) -> None:
    full = 1 if dtype is np.float32 else np.iinfo(dtype).max
    noisy = 0.7 + rng.normal(0, 0.05, (64, 64, 3))
    stored = full * np.dstack([0.25 * noisy, np.full((64, 64), 0.25)])
    tifffile.imwrite(tmp_path / "in.tif", stored.astype(dtype), photometric="rgb", extrasamples=["assocalpha"])
    packaged().file(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        page: Any = tiff.pages[0]
        colour, kinds = page.asarray()[..., :3] / full / 0.25, page.extrasamples
    assert [int(kind) for kind in kinds] == [1]
    assert colour.mean() == pytest.approx(0.7, abs=0.01)
    assert colour.std() < 0.5 * noisy.std()


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_noise_goes_at_every_depth_of_a_16_bit_file(tmp_path: Path, rng: np.random.Generator, bits: int) -> None:
    clean, noisy = astronaut(rng, sigma=15)
    full = 2**bits - 1
    tifffile.imwrite(tmp_path / "in.tif", np.rint(noisy.clip(0, 1) * full).astype(np.uint16), photometric="rgb")
    report = packaged().file(tmp_path / "in.tif", tmp_path / "out.tif")
    after = tifffile.imread(tmp_path / "out.tif")
    assert after.dtype == np.uint16
    assert psnr(after / full, clean) > psnr(noisy.clip(0, 1), clean) + 4
    assert (report.assumed is None) == (bits == 16)
    if report.assumed is not None:
        assert f"white is taken to be {full}" in report.assumed


def test_noise_goes_from_every_plane_of_a_file_and_alpha_stays(tmp_path: Path, rng: np.random.Generator) -> None:
    clean, noisy = astronaut(rng)
    pixels = (noisy.clip(0, 1) * 255).round().astype(np.uint8)
    alpha = rng.integers(0, 256, pixels.shape[:2]).astype(np.uint8)
    images = {
        "rgba.png": Image.fromarray(np.dstack([pixels, alpha])),
        "grey.png": Image.fromarray(pixels).convert("L"),
        "inks.tif": Image.fromarray(np.dstack([255 - pixels, pixels[..., 1]]).copy()).convert("RGBA"),
        "photo.jpg": Image.fromarray(pixels),
    }
    images["inks.tif"] = Image.frombytes("CMYK", images["inks.tif"].size, images["inks.tif"].tobytes())
    for name, image in images.items():
        options: dict[str, Any] = {"quality": 95} if name.endswith("jpg") else {}
        image.save(tmp_path / name, **options)
        packaged().file(tmp_path / name, tmp_path / f"out-{name}")
    read = {name: np.asarray(Image.open(tmp_path / f"out-{name}")).astype(np.float32) / 255 for name in images}
    assert psnr(read["rgba.png"][..., :3], clean) > psnr(noisy.clip(0, 1), clean) + 5
    assert np.array_equal(np.rint(read["rgba.png"][..., 3] * 255), alpha)
    grey, noisy_grey = (
        np.asarray(Image.fromarray((rgb.clip(0, 1) * 255).round().astype(np.uint8)).convert("L")) / 255
        for rgb in (clean, noisy)
    )
    assert psnr(read["grey.png"][..., None], grey[..., None]) > psnr(noisy_grey[..., None], grey[..., None]) + 4
    assert psnr(1 - read["inks.tif"][..., :3], clean) > psnr(noisy.clip(0, 1), clean) + 5
    black, noisy_black = (np.dstack([rgb[..., 1]] * 3) for rgb in (clean, noisy.clip(0, 1)))
    assert psnr(np.dstack([read["inks.tif"][..., 3]] * 3), black) > psnr(noisy_black, black)
    assert psnr(read["photo.jpg"], clean) > psnr(noisy.clip(0, 1), clean) + 2


def test_a_path_gives_an_upright_pillow_image_and_a_file_keeps_its_tag(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(rng.integers(0, 256, (20, 31, 3)).astype(np.uint8))
    image.save(tmp_path / "in.png", exif=exif)
    shown = ImageOps.exif_transpose(Image.open(tmp_path / "in.png"))
    output = identity()(str(tmp_path / "in.png"))
    assert output.size == (20, 31)
    assert np.array_equal(np.asarray(output), np.asarray(shown))
    assert output.getexif().get(0x0112, 1) == 1
    identity().file(tmp_path / "in.png", tmp_path / "out.png")
    kept = Image.open(tmp_path / "out.png")
    assert (kept.size, kept.getexif()[0x0112]) == ((31, 20), 6)


def test_a_pillow_image_keeps_size_mode_and_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGBA", (20, 10), (1, 2, 3, 4)).save(tmp_path / "in.png", exif=exif, icc_profile=b"profile")
    image = Image.open(tmp_path / "in.png")
    output = identity()(image)
    assert (output.mode, output.size) == ("RGBA", (20, 10))
    assert np.array_equal(np.asarray(output), np.asarray(image))
    assert output.info["icc_profile"] == b"profile"
    assert output.getexif()[0x0112] == 6


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "RGBA", "P"])
def test_what_was_removed_from_a_file_is_shown_upright(tmp_path: Path, rng: np.random.Generator, mode: str) -> None:
    samples = rng.integers(100, 156, (64, 96, 4)).astype(np.uint8)
    samples[..., 3] = 20 if mode == "CMYK" else 255
    source = Image.fromarray(samples[..., :3]).quantize(60) if mode == "P" else Image.fromarray(samples)
    if mode == "CMYK":
        source = Image.frombytes("CMYK", (96, 64), samples.tobytes())
    exif = Image.Exif()
    exif[0x0112] = 6
    source.convert(mode).save(tmp_path / "in.tif", exif=exif)
    report = packaged().file(tmp_path / "in.tif", tmp_path / "out.tif", removed=tmp_path / "view.png")
    assert report.structure is not None
    assert report.structure < 0.2
    with Image.open(tmp_path / "view.png") as view:
        assert (view.size, view.mode) == ((64, 96), "L" if mode == "L" else "RGB")
        assert view.getexif().get(0x0112, 1) == 1
        shown = np.asarray(view, np.float32)
    if mode != "P":  # the result is rounded to the palette, what was removed is not
        before, after = (read_image(tmp_path / name).upright().rgb for name in ("in.tif", "out.tif"))
        expected = (127.5 + 4 * 255 * (before - after)).clip(0, 255)
        assert np.abs(shown - (expected[..., 0] if mode == "L" else expected)).max() <= 1


def test_a_view_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "in.png")
    files = (tmp_path / "in.png", tmp_path / "out.png")
    assert identity().file(*files).structure is None
    files[1].unlink()
    with pytest.raises(UserError, match=r"view\.txt.*must end in"):
        identity().file(*files, removed=tmp_path / "view.txt")
    assert not files[1].exists()  # before any work
    with pytest.raises(UserError, match=r"could not write .*view\.png"):
        identity().file(*files, removed=tmp_path / "missing" / "view.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "out.png"]
