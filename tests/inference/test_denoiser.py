"""Denoiser: every kind of image comes back as it was but cleaner, tiled or whole, from a path, Pillow or an array."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps
from skimage import data

from hf_denoise.cpu import keep_freed_memory
from hf_denoise.errors import UserError
from hf_denoise.hub.files import PACKAGED
from hf_denoise.imaging.blending import blend, blend_pictures
from hf_denoise.imaging.images import read_image
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.inference.tiles import grid_step, spans
from hf_denoise.metrics.quality import psnr
from hf_denoise.model.unet import DenoisingUNet

SMALL: dict[str, Any] = {"encoder": "resnet10t", "decoder_channels": (32, 16, 8)}


@cache
def identity() -> Denoiser:
    """A fresh residual model changes nothing: what differs was changed by the code around it."""
    return Denoiser(DenoisingUNet(**SMALL), device="cpu", tile=64)


@cache
def packaged() -> Denoiser:
    return Denoiser.from_pretrained(device="cpu", precision="float32")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def astronaut(rng: np.random.Generator, sigma: float = 25, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """(clean, noisy), (size, size, 3) float32; the noise is not clipped."""
    clean = data.astronaut()[20 : 20 + size, 160 : 160 + size].astype(np.float32) / 255
    return clean, (clean + rng.normal(0, sigma / 255, clean.shape)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 9), (37, 1, 1), (5, 3, 3), (201, 77), (150, 203, 1), (203, 150, 3), (90, 33, 4)]
)
def test_the_identity_gives_arrays_back_exactly(rng: np.random.Generator, dtype: type, shape: tuple[int, ...]) -> None:
    if dtype is np.float32:
        image = rng.random(shape, np.float32)
    else:
        image = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    before = image.copy()
    output = identity()(image)
    assert (output.shape, output.dtype) == (image.shape, image.dtype)
    assert np.allclose(output, image, atol=1e-6, rtol=0) if dtype is np.float32 else np.array_equal(output, image)
    assert np.array_equal(image, before)


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


def test_noise_goes(rng: np.random.Generator) -> None:
    clean, noisy = astronaut(rng)
    output = packaged()(noisy)
    assert psnr(output, clean) > psnr(noisy, clean) + 6
    assert output.dtype == np.float32
    assert output.min() >= 0
    assert output.max() <= 1
    eight = packaged()((noisy.clip(0, 1) * 255).round().astype(np.uint8))
    assert psnr(eight / 255, clean) > psnr(noisy.clip(0, 1), clean) + 5


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


@pytest.mark.slow
@pytest.mark.parametrize("size", [(300, 260), (261, 402)])
def test_tiles_agree_with_the_whole_image(rng: np.random.Generator, size: tuple[int, int]) -> None:
    noisy = data.astronaut()[: size[0], : size[1]].astype(np.float32) / 255
    noisy = noisy + rng.normal(0, 25 / 255, noisy.shape).astype(np.float32)
    tiled = Denoiser(packaged().model, device="cpu", precision="float32", tile=64)
    assert tiled.tiles(size[1], size[0]) > 1
    assert packaged().tiles(size[1], size[0]) == 1
    difference = np.abs(tiled(noisy) - packaged()(noisy))
    assert difference.max() < 1 / 255
    assert difference.mean() < 0.02 / 255


@pytest.mark.slow
def test_the_self_ensemble_is_better_and_turns_with_the_picture(rng: np.random.Generator) -> None:
    model = DenoisingUNet.from_pretrained(PACKAGED)
    eight = Denoiser(model, device="cpu", precision="float32", self_ensemble=True)
    clean, noisy = astronaut(rng)
    result = eight(noisy)
    assert psnr(result, clean) > psnr(packaged()(noisy), clean) + 0.03
    # By far less than a network alone, whose strides and tiles begin at one corner.
    for turn in (lambda image: np.rot90(image), lambda image: image[:, ::-1], lambda image: image.swapaxes(0, 1)):
        assert np.abs(eight(turn(noisy).copy()) - turn(result)).max() < 1e-5
    clean, noisy = astronaut(rng, size=277)
    tiled = Denoiser(model, device="cpu", precision="float32", self_ensemble=True, tile=64)
    assert tiled.tiles(277, 277) > 1
    assert np.abs(tiled(noisy) - eight(noisy)).max() < 1 / 255


@pytest.mark.parametrize("tile", [32, 64, 512])
@pytest.mark.parametrize("length", [1, 31, 129, 160, 161, 192, 193, 224, 1000, 4096])
def test_spans_cover_an_axis_once_on_the_grid(tile: int, length: int) -> None:
    cores: list[int] = []
    windows: list[slice] = []
    for window, core in spans(length, tile, 64):
        assert window.start % 32 == 0
        assert window.stop - window.start <= tile + 128
        assert core.start - window.start == (64 if cores else 0)
        assert window.stop - core.stop == (64 if core.stop < length else 0) or core.stop == length
        cores += range(core.start, core.stop)
        windows.append(window)
    assert cores == list(range(length))
    assert windows[-1].stop == length
    assert len(windows) == 1 or windows[-1].stop - windows[-1].start > 128


def test_tiles_start_on_the_grid_of_the_channel_gates() -> None:
    assert grid_step(DenoisingUNet(**SMALL)) == 32
    assert grid_step(DenoisingUNet(**SMALL, gate_window=0)) == 16
    assert Denoiser(DenoisingUNet(**SMALL), tile=100, device="cpu").tile == 128


def test_progress_counts_every_tile_of_every_plane(tmp_path: Path, rng: np.random.Generator) -> None:
    seen: list[tuple[int, int]] = []
    image = rng.integers(0, 256, (300, 200, 3)).astype(np.uint8)
    identity()(image, progress=lambda done, total: seen.append((done, total)))
    tiles = identity().tiles(200, 300)
    assert seen == [(done, tiles) for done in range(1, tiles + 1)]
    seen.clear()
    Image.frombytes("CMYK", (200, 300), rng.integers(0, 256, 240_000).astype(np.uint8).tobytes()).save(
        tmp_path / "a.tif"
    )
    identity().file(tmp_path / "a.tif", tmp_path / "b.tif", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 2 * tiles) for done in range(1, 2 * tiles + 1)]


def test_strength_blends_and_blend_does_it_again_without_the_network(tmp_path: Path, rng: np.random.Generator) -> None:
    _, noisy = astronaut(rng, size=48)
    full, half, none = (packaged()(noisy, strength=strength) for strength in (1, 0.5, 0))
    assert np.array_equal(none, noisy.clip(0, 1))
    unclipped = (noisy > 0.1) & (noisy < 0.9) & (full > 0.02) & (full < 0.98)
    assert np.allclose(half[unclipped], ((noisy + full) / 2)[unclipped], atol=1e-5)
    eight = (noisy.clip(0, 1) * 255).round().astype(np.uint8)
    clean = packaged()(eight)
    assert np.array_equal(blend(eight, clean, 0), eight)
    assert np.array_equal(blend(eight, clean, 1), clean)
    difference = blend(eight, clean, 0.3).astype(int) - packaged()(eight, strength=0.3)
    assert np.abs(difference).max() <= 1
    Image.fromarray(eight).save(tmp_path / "in.png")
    before = read_image(tmp_path / "in.png")
    after = packaged().picture(before)
    assert np.array_equal(blend_pictures(before, after, 0.3).planes[0], blend(eight, clean, 0.3))


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


BAD_ARRAYS = {
    "NaN": np.array([[0.5, np.nan]]),
    "infinite": np.array([[0.5, np.inf]]),
    "scale": np.full((4, 4, 3), 128.0),
    "int64": np.zeros((4, 4), np.int64),
    "bool": np.zeros((4, 4), bool),
    r"\(4, 4, 2\)": np.zeros((4, 4, 2), np.uint8),
    r"\(2, 4, 4, 3\)": np.zeros((2, 4, 4, 3), np.uint8),
    r"\(0, 4, 3\)": np.zeros((0, 4, 3), np.uint8),
}


@pytest.mark.parametrize("reason", BAD_ARRAYS)
def test_bad_arrays_are_one_sentence(reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        identity()(BAD_ARRAYS[reason])


def test_bad_options_are_one_sentence(tmp_path: Path) -> None:
    model = identity().model
    for strength in (-0.1, 1.01, float("nan")):
        with pytest.raises(UserError, match="strength"):
            identity()(np.zeros((4, 4), np.uint8), strength=strength)
    with pytest.raises(UserError, match="tile"):
        Denoiser(model, tile=0)
    with pytest.raises(UserError, match="precision"):
        Denoiser(model, precision="float8")
    with pytest.raises(UserError, match="device 'cuda:7'"):
        Denoiser(model, device="cuda:7")
    with pytest.raises(UserError, match="device 'toaster'"):
        Denoiser(model, device="toaster")
    with pytest.raises(UserError, match="dict"):
        identity()({})
    with pytest.raises(UserError, match=r"a\.jpg.*transparency"):
        Image.new("RGBA", (4, 4)).save(tmp_path / "a.png")
        identity().file(tmp_path / "a.png", tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["no/such/folder", "nobody/nothing", "bad id!"])
def test_a_model_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(UserError, match=name):
        Denoiser.from_pretrained(name)


def test_bfloat16_is_close_to_float32(rng: np.random.Generator) -> None:
    clean, noisy = astronaut(rng)
    half = Denoiser(packaged().model, device="cpu", precision="bfloat16")(noisy)
    assert abs(psnr(half, clean) - psnr(packaged()(noisy), clean)) < 0.05
    assert packaged()(noisy).dtype == half.dtype == np.float32


def test_a_saved_model_loads_from_its_folder(tmp_path: Path, rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    model = DenoisingUNet(**SMALL)
    torch.nn.init.normal_(model.head.weight, std=0.05)
    model.save_pretrained(tmp_path / "model")
    image = rng.random((40, 50, 3), np.float32)
    expected = Denoiser(model, device="cpu")(image)
    assert not np.array_equal(expected, image)
    assert np.array_equal(Denoiser.from_pretrained(tmp_path / "model", device="cpu")(image), expected)


GLIBC = """
import resource, sys
import numpy
from hf_denoise.imaging.blending import blend, blend_pictures
from hf_denoise.cpu import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
block = 64 << 18
numpy.empty(block, numpy.float32).fill(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    numpy.empty(block, numpy.float32).fill(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not keep_freed_memory(), reason="the C library is not glibc")
def test_freed_memory_is_used_again() -> None:
    faults = {
        mode: int(subprocess.run([sys.executable, "-c", GLIBC, mode], capture_output=True, check=True).stdout)
        for mode in ("default", "keep")
    }
    assert faults["keep"] * 5 < faults["default"]


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
