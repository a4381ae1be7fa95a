"""Files of several pages or frames: each is denoised, and written back with its timing."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import data

from hf_denoise.errors import UserError
from hf_denoise.imaging import tiff_writing
from hf_denoise.imaging.images import read_header, read_image
from hf_denoise.inference.denoiser import Denoiser

DURATIONS = [100, 200, 300]
CLEAN = [np.roll(data.astronaut()[100:196, 100:220], 8 * shift, axis=1) for shift in range(3)]


@pytest.fixture(scope="module")
def denoise() -> Denoiser:
    return Denoiser.from_pretrained()


def noisy(number: int, clear: bool = False) -> Image.Image:
    noise = np.random.default_rng(number).normal(0, 20, CLEAN[number].shape)
    pixels = (CLEAN[number] + noise).clip(0, 255).round().astype(np.uint8)
    if not clear:
        return Image.fromarray(pixels)
    alpha = np.zeros(pixels.shape[:2], np.uint8)
    alpha[20:80, 10 + 20 * number : 60 + 20 * number] = 255
    return Image.fromarray(np.dstack([pixels, alpha]))


def rms(image: Image.Image, number: int) -> float:
    """Distance from the clean frame, in grey levels, where there is anything to see."""
    pixels = np.asarray(image.convert("RGBA")).astype(float)
    return float(np.sqrt(np.square(pixels[..., :3] - CLEAN[number])[pixels[..., 3] > 0].mean()))


def frames(path: Path) -> list[Image.Image]:
    seen = []
    with Image.open(path) as image:
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            image.load()
            seen.append(image.copy())
            seen[-1].info = dict(image.info)
    return seen


OPTIONS: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True, "exact": True}, "GIF": {"disposal": 2}}


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_every_frame_of_an_animation_is_denoised(denoise: Denoiser, tmp_path: Path, format: str, clear: bool) -> None:
    path, out = tmp_path / f"in.{format.lower()}", tmp_path / f"out.{format.lower()}"
    first, *others = (noisy(number, clear) for number in range(3))
    options = {"save_all": True, "append_images": others, "duration": DURATIONS, "loop": 3, **OPTIONS.get(format, {})}
    first.save(path, format, **options)
    steps: list[tuple[int, int]] = []
    assert denoise.file(path, out, progress=lambda *step: steps.append(step)).pages == 3
    before, after = frames(path), frames(out)
    assert [frame.info["duration"] for frame in after] == DURATIONS
    assert after[0].info["loop"] == 3
    for number in range(3):
        assert rms(after[number], number) < 0.55 * rms(before[number], number)
        if clear:
            was, now = (np.asarray(each.convert("RGBA"))[..., 3] for each in (before[number], after[number]))
            assert np.array_equal(was, now)
    assert steps[-1] == (3, 3)


def test_a_still_picture_before_an_animation_stays_one(denoise: Denoiser, tmp_path: Path) -> None:
    first, *others = map(noisy, range(3))
    first.save(tmp_path / "in.png", save_all=True, append_images=others, duration=DURATIONS[1:], default_image=True)
    denoise.file(tmp_path / "in.png", tmp_path / "out.png")
    after = frames(tmp_path / "out.png")
    assert after[0].info["default_image"]
    assert [frame.info.get("duration") for frame in after] == [None, *DURATIONS[1:]]


def test_pages_of_other_sizes_depths_and_kinds_stay_what_they_are(denoise: Denoiser, tmp_path: Path) -> None:
    pages = [
        np.asarray(noisy(0)).astype(np.uint16) * 257,
        np.asarray(noisy(1))[:80, :90, 0],
        np.asarray(noisy(2)).astype(np.float32) / 255,
        np.asarray(noisy(0))[..., 0] > 128,
    ]
    with tifffile.TiffWriter(tmp_path / "in.tif") as tiff:
        for number, page in enumerate(pages):
            photometric: Any = "rgb" if page.ndim == 3 else "minisblack"
            compression: Any = "lzw" if number == 1 else None
            tiff.write(
                page, photometric=photometric, compression=compression, description=f"page {number}", metadata=None
            )
    denoise.file(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        after: list[Any] = list(tiff.pages)
        assert [(page.shape, page.dtype, page.description) for page in after] == [
            (page.shape, page.dtype, f"page {number}") for number, page in enumerate(pages)
        ]
        assert [page.compression.name for page in after] == ["NONE", "ADOBE_DEFLATE", "NONE", "NONE"]
        assert rms(Image.fromarray((after[0].asarray() >> 8).astype(np.uint8)), 0) < 11
        assert np.array_equal(after[3].asarray(), pages[3])  # black and white has no noise to remove


@pytest.mark.parametrize("big", [False, True])
def test_pages_with_a_palette_and_exif(
    denoise: Denoiser, tmp_path: Path, big: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if big:
        monkeypatch.setattr(tiff_writing, "LARGEST_CLASSIC", 1000)  # bytes
    exif = Image.Exif()
    exif[271] = "Camera"
    exif[0x8769] = {37510: b"comment"}
    first, *others = (noisy(number).quantize(64) for number in range(3))
    first.save(tmp_path / "in.tif", save_all=True, append_images=others, exif=exif.tobytes())
    denoise.file(tmp_path / "in.tif", tmp_path / "out.tif")
    after = frames(tmp_path / "out.tif")
    assert [frame.mode for frame in after] == ["P"] * 3
    assert (tmp_path / "out.tif").read_bytes()[2] == (43 if big else 42)
    kept = Image.Exif()
    kept.load(read_image(tmp_path / "out.tif", page=1).metadata["exif"])
    assert (kept[271], kept.get_ifd(0x8769)[37510]) == ("Camera", b"comment")


def test_one_page_can_be_chosen(denoise: Denoiser, tmp_path: Path) -> None:
    first, *others = map(noisy, range(3))
    first.save(tmp_path / "in.tif", save_all=True, append_images=others)
    first.save(tmp_path / "in.gif", save_all=True, append_images=others)
    for name, written in (("in.tif", "out.tif"), ("in.tif", "out.jpg"), ("in.gif", "out.gif"), ("in.gif", "out.png")):
        denoise.file(tmp_path / name, tmp_path / written, page=2)
        (only,) = frames(tmp_path / written) if written != "out.jpg" else [Image.open(tmp_path / written)]
        assert rms(only, 1) < 11
    assert read_header(tmp_path / "in.tif").pages == read_header(tmp_path / "in.gif").pages == 3
    assert read_header(tmp_path / "in.gif", page=2).pages == 1
    with pytest.raises(UserError, match=r"in\.gif' has no page 4: it holds 3 frames; choose one from 1 to 3"):
        denoise.file(tmp_path / "in.gif", tmp_path / "no.gif", page=4)
    with pytest.raises(UserError, match="holds one picture"):
        read_image(tmp_path / "out.jpg", page=2)


def test_formats_of_one_picture_are_refused_before_the_work(denoise: Denoiser, tmp_path: Path) -> None:
    first, *others = map(noisy, range(3))
    first.save(tmp_path / "in.tif", save_all=True, append_images=others)
    first.save(tmp_path / "in.gif", save_all=True, append_images=others)
    for name, written in (("in.tif", "out.png"), ("in.tif", "out.webp"), ("in.gif", "out.jpg"), ("in.gif", "out.tif")):
        with pytest.raises(UserError, match="choose one with --page"):
            denoise.file(tmp_path / name, tmp_path / written)
        assert not (tmp_path / written).exists()
    with pytest.raises(UserError, match="is shown for one"):
        denoise.file(tmp_path / "in.tif", tmp_path / "out.tif", removed=tmp_path / "removed.png")


def test_a_damaged_page_leaves_nothing_behind(denoise: Denoiser, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 65536, (3, 64, 64)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", stack, photometric="minisblack", metadata=None)
    whole = (tmp_path / "in.tif").read_bytes()
    (tmp_path / "in.tif").write_bytes(whole[:-3000])
    with pytest.raises(UserError, match=r"in\.tif' is damaged"):
        denoise.file(tmp_path / "in.tif", tmp_path / "out.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


def test_a_long_animation_is_refused_by_its_header(tmp_path: Path) -> None:
    large = Image.new("L", (6000, 6000))
    others = [Image.new("L", large.size, shade) for shade in range(1, 8)]
    large.save(tmp_path / "in.png", save_all=True, append_images=others, compress_level=1)
    with pytest.raises(UserError, match="288 megapixels in all"):
        read_header(tmp_path / "in.png")


MEMORY = """
import resource, sys
from hf_denoise.inference.denoiser import Denoiser
denoise = Denoiser.from_pretrained(engine="torch")
denoise.file(sys.argv[1], sys.argv[2], page=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert denoise.file(sys.argv[1], sys.argv[2]).pages == 24
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
def test_two_dozen_pages_take_the_memory_of_one(tmp_path: Path) -> None:
    page = np.random.default_rng(0).normal(30000, 3000, (512, 512)).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "in.tif") as tiff:
        for _ in range(24):
            tiff.write(page, photometric="minisblack", metadata=None)
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "in.tif"), str(tmp_path / "out.tif")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert int(ran.stdout) < 24  # MiB; the pages together have 12 as they are, and 48 as floats
