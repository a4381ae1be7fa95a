"""What `hf-denoise denoise` never does: replace, lose or half write a file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ROOT, errors, files, picture, run, spawn

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_probes")]


def test_results_inside_the_input_folder_are_no_inputs_of_the_next_run(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    for _ in range(2):
        assert run("denoise", ".", "-o", "out", "--overwrite", cwd=tmp_path).returncode == 0
    assert files(tmp_path) == ["a.png", "out/a.png"]


def test_nothing_is_replaced_unless_asked_for(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    content = source.read_bytes()
    assert "'a.png' already exists" in errors(run("denoise", "a.png", "-o", "a.png", cwd=tmp_path))
    assert "a.png' already exists" in errors(run("denoise", "a.png", "-o", tmp_path, cwd=tmp_path))
    assert source.read_bytes() == content
    assert run("denoise", "a.png", "-o", "a.png", "--overwrite", cwd=tmp_path).returncode == 0
    assert source.read_bytes() != content
    assert files(tmp_path) == ["a.png"]


def test_resume_does_what_is_missing_and_replaces_nothing_else(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "deep/c.png"):
        picture(tmp_path / "in" / name)
    old = picture(tmp_path / "out/a.png").read_bytes()
    picture(tmp_path / "out/b-removed.png")
    result = run("denoise", "in", "-o", "out", "--resume", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "1 of 3 images are done already" in result.stderr
    assert (tmp_path / "out/a.png").read_bytes() == old
    assert files(tmp_path / "out") == ["a.png", "b-removed.png", "b.png", "deep/c.png"]
    # With what was removed, a result alone is half of the work.
    assert run("denoise", "in", "-o", "out", "--resume", "--removed", cwd=tmp_path).returncode == 0
    assert (tmp_path / "out/a.png").read_bytes() != old
    assert files(tmp_path / "out/deep") == ["c-removed.png", "c.png"]
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    again = run("denoise", "in", "-o", "out", "--resume", "--removed", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_resume_never_replaces_an_input_and_excludes_overwrite(tmp_path: Path) -> None:
    content = picture(tmp_path / "a.png").read_bytes()
    assert "'a.png' is an input" in errors(run("denoise", "a.png", "-o", "a.png", "--resume", cwd=tmp_path))
    assert "choose one" in errors(run("denoise", "a.png", "-o", "out", "--resume", "--overwrite", cwd=tmp_path))
    assert (tmp_path / "a.png").read_bytes() == content
    assert files(tmp_path) == ["a.png"]


def test_two_inputs_for_one_output_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "x/a.png")
    picture(tmp_path / "y/a.png")
    message = errors(run("denoise", "x", "y", "-o", "out", cwd=tmp_path))
    assert "'x/a.png' and 'y/a.png' would both be written to 'out/a.png'" in message
    assert not (tmp_path / "out").exists()


def test_a_view_of_what_was_removed_replaces_nothing_unless_asked_for(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    old = picture(tmp_path / "out/a-removed.png").read_bytes()
    assert "a-removed.png' already exists" in errors(run("denoise", "in", "-o", "out", "--removed", cwd=tmp_path))
    assert files(tmp_path / "out") == ["a-removed.png"]
    assert (tmp_path / "out/a-removed.png").read_bytes() == old
    assert run("denoise", "in", "-o", "out", "--removed", "--overwrite", cwd=tmp_path).returncode == 0
    assert (tmp_path / "out/a-removed.png").read_bytes() != old
    assert run("denoise", "in", "-o", "new", cwd=tmp_path).stdout == ""
    assert files(tmp_path / "new") == ["a.png"]


@pytest.mark.parametrize("other", ["a.jpg", "a-removed.png"])
def test_two_files_for_one_view_are_refused_before_the_work(tmp_path: Path, other: str) -> None:
    picture(tmp_path / "in/a.png")
    picture(tmp_path / "in" / other)
    message = errors(run("denoise", "in", "-o", "out", "--removed", "--overwrite", cwd=tmp_path))
    assert "both be written to 'out/a-removed.png'" in message
    assert "'in/a.png'" in message
    assert f"'in/{other}'" in message
    assert not (tmp_path / "out").exists()


def test_bad_files_are_listed_and_the_others_are_done(tmp_path: Path) -> None:
    picture(tmp_path / "in/good.png")
    whole = picture(tmp_path / "in/cut.jpg", size=(64, 64)).read_bytes()
    (tmp_path / "in/cut.jpg").write_bytes(whole[:-200])
    (tmp_path / "in/text.png").write_text("not an image")
    (tmp_path / "in/empty.png").write_bytes(b"")
    message = errors(spawn("denoise", "in", "-o", "out", cwd=tmp_path))
    assert message.startswith("3 inputs could not be denoised")
    for name, reason in (("cut.jpg", "cut short"), ("text.png", "not a PNG"), ("empty.png", "empty")):
        assert any(f"in/{name}'" in line and reason in line for line in message.splitlines())
    assert files(tmp_path / "out") == ["good.png"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["missing.png", "-o", "out"], "'missing.png' does not exist"),
        (["no*.png", "-o", "out"], "no image matches 'no*.png'"),
        (["empty", "-o", "out"], "'empty' holds no images"),
        (["text.png", "-o", "out"], "text.png' is not a PNG"),
        (["a.png", "-o", "file/out"], "cannot write to 'file/out'"),
        (["a.png", "-o", "/proc/out"], "cannot write to '/proc/out'"),
        (["alpha.png", "-o", "out.jpg"], "JPEG has no transparency"),
        (["a.png", "-o", "out", "--strength", "1.5"], "strength must be from 0"),
        (["a.png", "-o", "out", "--tile", "0"], "tile must be at least 1"),
        (["a.png", "-o", "out", "--model", "no/such/model"], "'no/such/model' does not exist"),
        (["a.png", "-o", "out", "--device", "cuda:9"], "device 'cuda:9' is not available"),
        (["-o", "out"], "no input"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(tmp_path: Path, arguments: list[str], reason: str) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "alpha.png", "RGBA")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "text.png").write_text("not an image")
    before = files(tmp_path)
    message = errors(run("denoise", *arguments, cwd=tmp_path))
    assert reason in message
    assert message.count("\n") == 1
    assert files(tmp_path) == before


def test_an_unknown_command_is_refused() -> None:
    assert run("sharpen").returncode == 2
    assert run("denoise", "a.png").returncode == 2
    assert "not a folder" in errors(run("push", "no-such-folder", "user/repo"))


def test_ctrl_c_ends_with_130_and_leaves_no_half_file(tmp_path: Path) -> None:
    picture(tmp_path / "in.png", size=(1500, 1500))
    process = subprocess.Popen(
        [sys.executable, "-m", "hf_denoise.cli", "denoise", "in.png", "-o", "out.png", "--tile", "64"],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        # A shell has its background jobs ignore Ctrl-C, and a test run in one hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr
    shown = b""
    while b"tile" not in shown:
        shown += process.stderr.read(1)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in rest
    assert files(tmp_path) == ["in.png"]
