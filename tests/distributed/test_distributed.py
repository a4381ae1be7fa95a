"""`accelerate launch -m hf_denoise.cli`: processes share the work, and nobody can tell from the results."""

import io
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from hf_denoise.cli.main import main
from hf_denoise.distributed.accelerate_cpu import torchrun_options

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
LAUNCHER = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2")

PROGRAM = ("-m", "hf_denoise.cli")
# A view is written beside each result. Left to auto, the engine may change once there was enough work, of which two
# processes have less each than one.
PROTECTED = ("--protect", "mask", "--engine", "torch", "--precision", "float32")
# The command line; what is registered first runs last.
LAST = """
import atexit, os, sys, torch
from pathlib import Path
last = Path("member-" + os.environ.get("RANK", "launcher"))
atexit.register(lambda: last.write_text(str(torch.distributed.is_initialized())))
from hf_denoise.cli.main import main
sys.exit(main())
"""


def command(*arguments: object, program: tuple[str, ...] = PROGRAM) -> list[str]:
    return [sys.executable, *LAUNCHER, *program, *map(str, arguments)]


def two(*arguments: object, cwd: Path, program: tuple[str, ...] = PROGRAM) -> subprocess.CompletedProcess[str]:
    """The command in two processes of one thread each."""
    launch = command(*arguments, program=program)
    return subprocess.run(launch, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=280)


def one(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in this process alone, also with one thread: sums of floats depend on their order."""
    words = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    before = Path.cwd()
    os.chdir(cwd)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main(words)
    finally:
        os.chdir(before)
        torch.set_num_threads(threads)
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def mask_of(path: Path, size: tuple[int, int]) -> None:
    """A bar, for `--protect`."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[20:23, 10:30] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def picture(path: Path, number: int, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    image = 128 + 60 * np.sin(np.arange(size[0]) / 7)[None, :, None] + rng.normal(0, 15, (size[1], size[0], 3))
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(["a.png", "b.jpg", "c.tif", "deep/d.png", "e.bmp", "f.png"]):
        picture(tmp_path / "in" / name, number, (40 + 9 * number, 37))
        mask_of((tmp_path / "mask" / name).with_suffix(".png"), (40 + 9 * number, 37))
    return tmp_path


def test_two_processes_write_what_one_writes_and_report_a_bad_file_once(photos: Path) -> None:
    (photos / "in/bad.png").write_text("not an image")
    for name in ("bad", "cut"):
        mask_of(photos / f"mask/{name}.png", (85, 37))
    cut = photos / "in/cut.png"  # found bad when it is decoded, not when the work is planned
    cut.write_bytes((photos / "in/f.png").read_bytes()[:-1500])
    ours = one("denoise", "in", "-o", "one", *PROTECTED, cwd=photos)
    theirs = two("denoise", "in", "-o", "two", *PROTECTED, cwd=photos)
    assert ours.returncode == 2
    assert theirs.returncode != 0
    assert "process 1 of 2: 100%" in theirs.stderr
    assert "4/4" in theirs.stderr  # of the seven files that look good
    assert len(contents(photos / "one")) == 12
    assert contents(photos / "one") == contents(photos / "two")
    assert ours.stdout == theirs.stdout
    complaint = ours.stderr.split("error: ")[1]
    assert complaint.startswith("2 inputs could not be denoised")
    assert theirs.stderr.count("error: ") == 1
    assert theirs.stderr.split("error: ")[1].startswith(complaint)
    assert theirs.stderr.count("bad.png") == theirs.stderr.count("cut.png") == 1


def test_bad_options_are_one_sentence_whatever_the_number_of_processes(photos: Path) -> None:
    (photos / "two").mkdir()
    picture(photos / "two/a.png", 0, (8, 8))
    result = two("denoise", "in", "-o", "two", cwd=photos)
    assert result.returncode != 0
    assert result.stderr.count("error: ") == 1
    assert "already exists; continue with --resume" in result.stderr
    assert list(contents(photos / "two")) == ["a.png"]


@pytest.mark.timeout(600)  # two runs of two processes, of which each imports torch
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / f"in/{number}.png", number, (400, 300))
        mask_of(tmp_path / f"mask/{number}.png", (400, 300))
    arguments = ("denoise", "in", "-o", "out", *PROTECTED, "--resume")
    launcher = psutil.Popen(
        command(*arguments),
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    out = tmp_path / "out"
    deadline = time.monotonic() + 120
    while not list(out.glob("*-protected.png")) and time.monotonic() < deadline:
        time.sleep(0.005)
    for process in [launcher, *launcher.children(recursive=True)]:
        process.kill()
    launcher.wait()
    whole = {path.name for path in out.glob("*.png")}
    done = {name for name in whole if "-protected" not in name and name.replace(".png", "-protected.png") in whole}
    assert 1 <= len(done) < 6
    (out / ".5.png-0123abcd.part").write_bytes(b"half of a file")
    (out / ".other.png-0123abcd.part").write_bytes(b"of another run")
    before = {name: (out / name).stat().st_mtime_ns for name in done}

    (tmp_path / "last.py").write_text(LAST)
    result = two(*arguments, cwd=tmp_path, program=("last.py",))
    assert result.returncode == 0, result.stderr
    # A process that ends as a member of the group aborts now and then, and its launcher then stops the others.
    assert [(tmp_path / f"member-{rank}").read_text() for rank in range(2)] == ["False", "False"]
    assert f"{len(done)} of 6 images are done already" in result.stderr
    assert {name: (out / name).stat().st_mtime_ns for name in done} == before
    assert one("denoise", "in", "-o", "once", *PROTECTED, cwd=tmp_path).returncode == 0
    result_files = contents(out)
    assert result_files.pop(".other.png-0123abcd.part")
    assert result_files == contents(tmp_path / "once")


def test_two_processes_evaluate_like_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(5):
        picture(data / f"clean/{number}.png", number, (64 + 8 * number, 48))
        mask = np.zeros((48, 64 + 8 * number), np.uint8)
        if number % 2:
            mask[20:23, 10:40] = 255
        (data / "mask").mkdir(exist_ok=True)
        Image.fromarray(mask).save(data / f"mask/{number}.png")
    options = ("--data", "data", "--split", "all", "--sigma", "25", "--peers", "nl-means")
    ours = one("evaluate", *options, "-o", "one", cwd=tmp_path)
    assert ours.returncode == 0, ours.stderr
    theirs = two("evaluate", *options, "-o", "two", cwd=tmp_path)
    assert theirs.returncode == 0, theirs.stderr
    assert "process 1 of 2: 100%" in theirs.stderr
    assert "3/3" in theirs.stderr
    assert theirs.stdout == ours.stdout.replace("one", "two")
    assert json.loads((tmp_path / "one/evaluation.json").read_text())["results"][0]["images"] == 5
    # All of it: numbers, tables, the choice of cases in the page, and the pictures.
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize(
    ("words", "processes"),
    [(["train.py"], "4"), (["--num_processes", "2", "train.py"], "2"), (["--num_processes", "1", "train.py"], None)],
)
def test_what_accelerate_config_wrote_counts_as_for_accelerate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], processes: str | None
) -> None:
    written = tmp_path / "default_config.yaml"
    monkeypatch.setattr("accelerate.commands.config.config_args.default_config_file", str(written))
    assert torchrun_options(["accelerate", "launch", "train.py"]) == []  # nobody ran `accelerate config`
    written.write_text("distributed_type: MULTI_CPU\nnum_machines: 1\nnum_processes: 4\nuse_cpu: true\n")
    expected = ["--standalone", "--nproc_per_node", processes] if processes else []
    assert torchrun_options(["accelerate", "launch", *words]) == expected
    # With --cpu, accelerate reads a file only if it is named.
    assert torchrun_options(["accelerate", "launch", "--cpu", "train.py"]) == []
    named = ["accelerate", "launch", "--cpu", "--config_file", str(written), "train.py"]
    assert torchrun_options(named) == ["--standalone", "--nproc_per_node", "4"]
