"""`hf-denoise`, as a user runs it: what is written where, what is said, and with which exit status."""

import errno
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from command_line import ROOT, errors, files, picture, run, spawn
from PIL import Image

from hf_denoise import __version__
from hf_denoise.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_probes")]


def test_help_and_version_are_there_and_fast() -> None:
    start = time.perf_counter()
    result = spawn("--help")
    assert result.returncode == 0
    for command in ("denoise", "push"):
        assert command in result.stdout
    assert spawn("--version").stdout.strip() == f"hf_denoise {__version__}"
    assert "--strength" in run("denoise", "--help").stdout
    assert time.perf_counter() - start < 10
    heavy = ("torch", "timm", "gradio", "accelerate", "onnx")
    code = f"import sys, hf_denoise.cli.main; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode == 0


def test_one_file_into_a_file_changes_format_but_not_size(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    noise = np.random.default_rng(0).normal(128, 25, (16, 24, 3))
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(source)
    result = spawn("denoise", source, "-o", tmp_path / "out.jpg")
    assert result.returncode == 0, result.stderr
    after = Image.open(tmp_path / "out.jpg")
    assert (after.format, after.mode, after.size) == ("JPEG", "RGB", (24, 16))
    before = np.asarray(Image.open(source), np.float32)
    assert np.asarray(after, np.float32).std() < 0.7 * before.std()
    assert "tile" in result.stderr


def test_folders_files_and_globs_into_a_folder(tmp_path: Path) -> None:
    picture(tmp_path / "photos/a.png")
    picture(tmp_path / "photos/deep/er/b.jpg", "L")
    (tmp_path / "photos/notes.txt").write_text("not an image")
    picture(tmp_path / "single.bmp")
    picture(tmp_path / "more/g1.tif")
    picture(tmp_path / "more/g2.tif")
    (tmp_path / "more/g3.txt").write_text("not an image")
    result = run("denoise", "photos", "single.bmp", "more/g*", "-o", "out/new", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert files(tmp_path / "out/new") == ["a.png", "deep/er/b.jpg", "g1.tif", "g2.tif", "single.bmp"]
    assert Image.open(tmp_path / "out/new/deep/er/b.jpg").mode == "L"
    assert "5/5" in result.stderr


def test_links_to_folders_are_followed_once_and_hidden_files_left_out(tmp_path: Path) -> None:
    """As training does, see `test_links_to_folders_are_followed_and_never_in_circles`."""
    for name in ("in/a.png", "in/deep/b.png", "elsewhere/c.gif", "beside/d.png"):
        picture(tmp_path / name)
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/deep/top").symlink_to(tmp_path / "in")
    (tmp_path / "in/deep/above").symlink_to(tmp_path)
    for name in ("._a.png", ".cache/e.png", "__MACOSX/f.png"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"what a Mac or a program keeps there")
    os.mkfifo(tmp_path / "in/pipe.png")
    result = run("denoise", "in", "-o", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert files(tmp_path / "out") == ["a.png", "deep/b.png", "linked/c.gif"]


def test_what_cannot_be_read_in_a_folder_is_named_and_the_rest_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "in/a.png")
    picture(tmp_path / "in/locked/b.png")
    (tmp_path / "in/nowhere.png").symlink_to("missing.png")
    (tmp_path / "in/self.png").symlink_to("self.png")
    scandir = os.scandir

    def locked(path: str) -> Iterator[os.DirEntry]:  # no permissions stop the super-user, who may run the tests
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    message = errors(run("denoise", "in", "-o", "out", cwd=tmp_path))
    assert message.startswith("3 inputs could not be denoised")
    assert "'in/locked' cannot be read (Permission denied)" in message
    assert "in/nowhere.png' does not exist" in message
    assert "in/self.png' cannot be opened" in message
    assert files(tmp_path / "out") == ["a.png"]
    assert errors(run("denoise", "in/locked", "-o", "new", cwd=tmp_path)).startswith("'in/locked' cannot be read")


def test_strength_0_writes_the_input(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    assert run("denoise", source, "-o", tmp_path / "out", "--strength", 0).returncode == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out/a.png")), np.asarray(Image.open(source)))


def test_in_place_keeps_mode_and_links_and_takes_any_name(tmp_path: Path) -> None:
    name = "\u00e4" * 120 + ".png"  # 244 bytes
    real = picture(tmp_path / "store" / "real.png")
    real.chmod(0o600)
    picture(tmp_path / "in" / name).chmod(0o640)
    (tmp_path / "in" / "link.png").symlink_to(real)
    before = real.read_bytes()
    result = run("denoise", tmp_path / "in", "-o", tmp_path / "in", "--overwrite")
    assert result.returncode == 0, result.stderr
    assert (real.stat().st_mode & 0o777, (tmp_path / "in" / name).stat().st_mode & 0o777) == (0o600, 0o640)
    assert (tmp_path / "in" / "link.png").is_symlink()
    assert real.read_bytes() != before
    longer = picture(tmp_path / ("\u00e4" * 124 + ".png"))
    long = run("denoise", longer, "-o", tmp_path / "out", "--removed")
    assert "too long" in errors(long)  # NAME-removed.png, said before the work


def test_images_of_other_kinds_are_counted(tmp_path: Path) -> None:
    for name in ("in/a.jfif", "in/b.ppm", "in/deep/c.png"):
        picture(tmp_path / name)
    for name in ("in/a.CRW", "in/b.crw", "in/deep/c.psd", "in/notes.txt", "in/.hidden.psd", "in/out/d.psd"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    result = run("denoise", tmp_path / "in", "-o", tmp_path / "in" / "out")
    assert result.returncode == 0, result.stderr
    assert "3 images skipped, of kinds that are not read: 2 .crw, 1 .psd" in result.stderr
    assert files(tmp_path / "in" / "out") == ["a.jfif", "b.ppm", "d.psd", "deep/c.png"]
    other = run("denoise", tmp_path / "in" / "b.ppm", "-o", tmp_path / "b", "--strength", 0)
    assert "skipped" not in other.stderr


def test_what_was_taken_for_white_is_said_and_can_be_set(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (16, 24)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "in.png")
    result = run("denoise", tmp_path / "in.png", "-o", tmp_path / "out.png", "--strength", 0)
    assert "white is taken to be 4095" in result.stdout
    assert "--white-level" in result.stdout
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), values)
    given = run("denoise", tmp_path / "in.png", "-o", tmp_path / "b.png", "--strength", 0, "--white-level", 65535)
    assert given.stdout == ""
    wrong = run("denoise", tmp_path / "in.png", "-o", tmp_path / "c.png", "--white-level", 1e6)
    assert "--white-level" in errors(wrong)


def test_removed_is_written_beside_and_its_structure_is_printed(tmp_path: Path) -> None:
    source = tmp_path / "in/deep/photo.png"
    source.parent.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(128, 5, (96, 96, 3))
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(source)
    picture(tmp_path / "in/grey.jpg", "L")
    result = run("denoise", "in", "-o", "out", "--removed", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert files(tmp_path / "out") == ["deep/photo-removed.png", "deep/photo.png", "grey-removed.png", "grey.jpg"]
    before, after = (np.asarray(Image.open(path), np.float32) for path in (source, tmp_path / "out/deep/photo.png"))
    view = Image.open(tmp_path / "out/deep/photo-removed.png")
    assert view.mode == "RGB"
    assert np.abs(np.asarray(view) - (127.5 + 4 * (before - after)).clip(0, 255)).max() <= 1
    photo, grey = sorted(result.stdout.splitlines())
    # A number alone, 0 most of all, would pass for "nothing was lost".
    start = f"in{os.sep}deep{os.sep}photo.png: removed noise holds structure 0.00. Scratches 2 px wide "
    assert photo.startswith(start) and "grey levels" in photo
    start = f"in{os.sep}grey.jpg: removed noise holds structure 0.00. Which defects are kept cannot be said: "
    assert grey.startswith(start) and "too few places for probes" in grey


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are Unicode")
def test_a_name_that_is_not_utf8_is_denoised_and_printed(tmp_path: Path) -> None:
    for name in (os.fsdecode(b"caf\xe9.png"), "z.png"):
        picture(tmp_path / "in" / name)
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as out, redirect_stderr(io.StringIO()):
        assert main(["denoise", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--removed"]) == 0
        out.flush()
    said = out.buffer.getvalue().decode()
    assert [line.partition(": ")[0] for line in said.splitlines()] == [
        f"{tmp_path}/in/{name}" for name in ("caf\\udce9.png", "z.png")
    ]
    written = {os.fsencode(path.name) for path in (tmp_path / "out").iterdir()}
    assert written == {b"caf\xe9.png", b"caf\xe9-removed.png", b"z.png", b"z-removed.png"}


def test_help_says_what_is_required_and_how_to_ask_for_the_version():
    text = " ".join(run("denoise", "--help").stdout.split())
    assert "(default: )" not in text and "glob patterns. (required)" in text
    assert "--version" in run("--help").stdout
    assert "{onnx,int8}" in run("export", "--help").stdout


def test_tables_on_the_terminal_have_no_backslashes(tmp_path):
    picture(tmp_path / "my_photos" / "a.png", size=(64, 64))
    result = run("evaluate", "--data", tmp_path / "my_photos", "--split", "all", "-o", tmp_path / "report")
    assert result.returncode == 0, result.stderr
    assert "my_photos" in result.stdout and "\\" not in result.stdout
    assert "my\\_photos" in (tmp_path / "report" / "evaluation.md").read_text()
