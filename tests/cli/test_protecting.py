"""`hf-denoise denoise` that goes no further than defects survive: --strength auto, --keep and --protect."""

import re
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from command_line import errors, files, picture, run
from PIL import Image

from hf_denoise.inference.denoiser import Denoiser

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_probes")]

BLUE = np.array((37, 99, 235))


def noisy_photo(path: Path, orientation: int = 1) -> np.ndarray:
    """A file of 120 x 160 pixels as it shows, with noise; gives its pixels as they show."""
    clean = skimage.data.camera()[100:260, 180:300].astype(np.float32)
    shown = (clean + np.random.default_rng(0).normal(0, 20, clean.shape)).clip(0, 255).astype(np.uint8)
    stored = np.rot90(shown) if orientation == 6 else shown
    exif = Image.Exif()
    exif[274] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    return shown


def mask_of(path: Path, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    """White in the upper left."""
    mask = np.zeros(size[::-1], np.uint8)
    mask[10:50, 20:60] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return mask > 0


def test_auto_takes_the_strength_at_which_the_contrast_is_kept(tmp_path: Path) -> None:
    noisy_photo(tmp_path / "a.png")
    exact = ("--engine", "torch", "--precision", "float32")
    result = run("denoise", "a.png", "-o", "b.png", "--strength", "auto", "--keep", 12, *exact, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    denoiser = Denoiser.from_pretrained(engine="torch", precision="float32")
    expected = denoiser.file(tmp_path / "a.png", tmp_path / "c.png", strength="auto", keep=12)
    assert 0.1 < expected.strength < 0.95
    assert result.stdout == f"a.png: strength {expected.strength:.2f}\n"
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_a_mask_is_left_alone_and_the_view_shows_it_upright(tmp_path: Path) -> None:
    shown = noisy_photo(tmp_path / "a.png", orientation=6)
    inside = mask_of(tmp_path / "mask.png")
    result = run("denoise", "a.png", "-o", "out", "--protect", "mask.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    share = re.fullmatch(r"a\.png: ([\d.]+) % of the picture is protected", result.stdout.strip())
    assert share and 8 < float(share[1]) < 18  # the mask is 8.3 %, and some pixels around it
    assert files(tmp_path / "out") == ["a-protected.png", "a.png"]
    after = np.rot90(np.asarray(Image.open(tmp_path / "out/a.png")), -1)
    assert (after[inside] == shown[inside]).all()
    assert (after[80:] != shown[80:]).mean() > 0.5
    view = Image.open(tmp_path / "out/a-protected.png")
    assert (view.size, view.mode, view.getexif().get(274, 1)) == ((120, 160), "RGB", 1)
    colours = np.asarray(view, float)
    assert np.abs(colours[inside] - 0.6 * BLUE - 0.4 * shown[inside][:, None]).max() <= 1
    assert np.abs(colours[80:] - shown[80:, :, None]).max() <= 1


def test_in_place_the_view_and_the_limits_are_of_what_was_there_before(tmp_path: Path) -> None:
    shown = noisy_photo(tmp_path / "a.png")
    mask_of(tmp_path / "mask.png")
    options = ("--protect", "mask.png", "--removed", "--overwrite", "--strength", "0.9")
    result = run("denoise", "a.png", "-o", "a.png", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert np.abs(np.asarray(Image.open(tmp_path / "a-protected.png"), float)[80:, :, 0] - shown[80:]).max() <= 1
    _, removed = result.stdout.splitlines()
    assert removed.startswith("a.png: removed noise holds structure 0.0")
    assert ". Scratches 2 px wide " in removed and removed.endswith("In the protected places more is kept.")


def test_each_image_of_a_folder_has_its_mask_in_a_folder(tmp_path: Path) -> None:
    for name in ("a.jpg", "deep/b.png", "c.png"):
        picture(tmp_path / "in" / name, size=(64, 64))
    mask_of(tmp_path / "masks/a.png", (64, 64))
    mask_of(tmp_path / "masks/deep/b.bmp", (64, 64))
    message = errors(run("denoise", "in", "-o", "out", "--protect", "masks", cwd=tmp_path))
    assert message.strip() == "'masks' holds no mask for 'in/c.png'; add 'c.png', or leave that image out"
    assert files(tmp_path / "out") == ["a-protected.png", "a.jpg", "deep/b-protected.png", "deep/b.png"]
    # One of another size is told when its image is denoised; nothing is written for it.
    mask_of(tmp_path / "masks/c.png")
    message = errors(run("denoise", "in", "-o", "new", "--protect", "masks", cwd=tmp_path))
    assert "'in/c.png': the mask to protect has 120x160 pixels and the picture 64x64" in message
    assert "new/c" not in " ".join(files(tmp_path))


def test_auto_protects_where_too_little_would_be_kept_and_says_what_stays(tmp_path: Path) -> None:
    noisy_photo(tmp_path / "a.png")
    result = run("denoise", "a.png", "-o", "out", "--protect", "auto", "--keep", 4, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert re.match(r"a\.png: [\d.]+ % of the picture is protected; noise of \D*\d[\d.]* grey levels", result.stdout)
    view = np.asarray(Image.open(tmp_path / "out/a-protected.png"), float)
    assert (view[..., 2] > view[..., 0] + 20).any()


def test_resume_takes_a_result_without_its_view_for_half_of_the_work(tmp_path: Path) -> None:
    for name in ("a", "b"):
        noisy_photo(tmp_path / f"in/{name}.png")
        mask_of(tmp_path / f"masks/{name}.png")
    command = ("denoise", "in", "-o", "out", "--protect", "masks")
    assert run(*command, cwd=tmp_path).returncode == 0
    assert "a.png' and 3 more already exists" in errors(run(*command, cwd=tmp_path))
    (tmp_path / "out/a-protected.png").unlink()
    (tmp_path / "masks/b.png").unlink()  # that image is done
    result = run(*command, "--resume", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "1 of 2 images are done already" in result.stderr
    assert files(tmp_path / "out") == ["a-protected.png", "a.png", "b-protected.png", "b.png"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a.png", "--strength", "auto"], "--strength 'auto' needs --keep"),
        (["a.png", "--protect", "auto"], "--protect 'auto' needs --keep"),
        (["a.png", "--keep", "5"], "--keep does nothing alone; give --strength 'auto', or --protect"),
        (["a.png", "--keep", "500", "--strength", "auto"], "--keep must be a contrast over 0"),
        (["a.png", "--strength", "2"], "--strength must be from 0"),
        (["a.png", "--protect", "no.png"], "--protect 'no.png' does not exist"),
        (["a.png", "--protect", "text.png"], "text.png' is not a PNG"),
        (["a.png", "b.png", "--protect", "a.png"], "is one mask for 2 images; give a folder"),
        (["a.png", "--protect", "twice"], "are masks of one name"),
        (["a.png", "a-protected.png", "--protect", "auto", "--keep", "5"], "be written to 'out/a-protected.png'"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_the_work(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    for name in ("a.png", "b.png", "a-protected.png", "twice/a.png", "twice/a.bmp"):
        picture(tmp_path / name)
    (tmp_path / "text.png").write_text("not an image")
    before = files(tmp_path)
    message = errors(run("denoise", *arguments, "-o", "out", cwd=tmp_path))
    assert reason in message
    assert message.count("\n") == 1
    assert files(tmp_path) == before
