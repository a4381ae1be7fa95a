"""`hf-denoise` run as a user runs it, and the files that it is run on."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from PIL import Image

from hf_denoise.cli.main import main

ROOT = Path(__file__).parents[2]


def run(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `hf-denoise` in this process, which has torch loaded, and catch what it says."""
    command = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    before = Path.cwd()
    os.chdir(cwd)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main(command)
    except SystemExit as stop:  # tyro's way out
        status = int(stop.code or 0)
    finally:
        os.chdir(before)
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())


def spawn(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `hf-denoise` in a process of its own; it must never show a stack trace."""
    result = subprocess.run(
        [sys.executable, "-m", "hf_denoise.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "Traceback" not in result.stderr
    return result


def errors(result: subprocess.CompletedProcess[str]) -> str:
    """What follows `error: ` on stderr, of a run that ended with status 2."""
    assert result.returncode == 2, result.stderr
    assert "error: " in result.stderr
    return result.stderr.split("error: ", 1)[1]


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 60).convert(mode).save(path)
    return path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
