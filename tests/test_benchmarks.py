"""The benchmarks start, say what they lack, and measure."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.__main__ import DATA, Arguments, options_of
from benchmarks.registry import BENCHMARKS
from benchmarks.shared.machine import RESULTS, ROOT
from benchmarks.shared.options import Options
from hf_denoise.errors import UserError

pytestmark = pytest.mark.slow


def benchmarks(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != DATA}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_all_are_listed_and_can_be_run() -> None:
    done = benchmarks("--list")
    assert done.returncode == 0
    for name, benchmark in BENCHMARKS.items():
        assert f"| {name} |" in done.stdout
        if not any(benchmark.packages):  # others need not be importable here
            assert callable(import_module(benchmark.module).run)


def test_a_quick_run_measures_for_real_and_writes_its_results(tmp_path: Path) -> None:
    done = benchmarks("--quick", "--only", "networks", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads((tmp_path / "networks.json").read_text())["networks"]}
    ours, ffdnet = rows["hf_denoise"], rows["FFDNet, colour"]
    assert ours["speed"][0]["time_to_ours"] == 1
    # Twelve 3 x 3 convolutions at half resolution: 13 -> 96, ten of 96 -> 96, 96 -> 12 channels.
    assert ffdnet["kmac_per_pixel"] == pytest.approx(9 * (13 * 96 + 10 * 96 * 96 + 96 * 12) / 4 / 1000)
    assert ffdnet["speed"][0]["mpx_per_s"] > 0
    assert "| hf_denoise |" in (tmp_path / "networks.md").read_text()


def test_what_is_missing_is_named_and_the_others_run(tmp_path: Path) -> None:
    done = benchmarks("--only", "quality", "--output", tmp_path)
    assert done.returncode == 2
    assert "quality: skipped, it needs --photos FOLDER" in done.stderr
    assert BENCHMARKS["quality"].lacks(Options(tmp_path, photos=tmp_path)) is None
    assert BENCHMARKS["quality"].lacks(Options(tmp_path, quick=True)) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (Arguments(quick=True, output=RESULTS), "would overwrite"),
        (Arguments(photos=Path("nowhere")), "--photos 'nowhere' is not a folder"),
        (Arguments(images=0), "--images must be at least 1"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(arguments: Arguments, message: str) -> None:
    with pytest.raises(UserError, match=message):
        options_of(arguments)


def test_data_are_found_in_the_folder_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cbsd68", "real/degraded", "real/clean"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv(DATA, str(tmp_path))
    options = options_of(Arguments(output=tmp_path / "out"))
    assert (options.photos, options.pairs, options.tiles) == (tmp_path / "cbsd68", tmp_path / "real", None)
