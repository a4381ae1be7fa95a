"""The programs of `examples/`, run as people run them."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import tyro
from PIL import Image

from hf_denoise.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


def start(*options: object) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "examples/denoise_dataset.py"), *map(str, options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def example() -> Any:
    """The job in this process, which has torch loaded."""
    found = importlib.util.spec_from_file_location("denoise_dataset", ROOT / "examples/denoise_dataset.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    sys.modules["denoise_dataset"] = module  # dataclasses look there
    found.loader.exec_module(module)
    return module.Job


@pytest.mark.slow
def test_a_job_whose_processes_are_killed_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "in", tmp_path / "out"
    rng = np.random.default_rng(0)
    for number in range(120):
        (data / str(number % 7)).mkdir(parents=True, exist_ok=True)
        pixels = rng.normal(40 + number, 12, (40, 48, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(data / str(number % 7) / f"{number:03d}.png")
    (data / "0" / "broken.png").write_bytes(b"no picture")
    options = ["--data", data, "--output", out, "--parts", "40"]
    first, second = (start(*options, "--process", number, "--of", "2") for number in (0, 1))
    deadline = time.monotonic() + 120
    while len(list(out.glob("*.parquet"))) < 6 and time.monotonic() < deadline:
        time.sleep(0.05)
    second.send_signal(signal.SIGKILL)
    assert first.wait(120) == 0, first.stderr.read() if first.stderr else ""
    assert second.wait() == -signal.SIGKILL

    job = example()
    with pytest.raises(UserError, match="parts are missing"):
        tyro.cli(job, args=[*map(str, options), "--finish"]).run()

    done = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    tyro.cli(job, args=[*map(str, options)]).run()  # alone: the others' parts are left to it
    assert {path: path.stat().st_mtime_ns for path in done} == done
    tyro.cli(job, args=[*map(str, options), "--finish"]).run()
    assert "121 images in 40 parts, 1 of which could not be read" in capsys.readouterr().out

    table: Any = datasets.load_dataset("parquet", data_files=str(out / "*.parquet"), split="train")
    names = table["name"]
    assert len(names) == len(set(names)) == 121
    assert sorted(names) == sorted(str(path.relative_to(data)) for path in data.rglob("*.png"))
    row = next(row for row in table if row["name"].endswith("/050.png"))
    assert row["image"].size == (48, 40)
    assert np.asarray(row["image"]).std() < 6  # of 12
    (broken,) = [row["error"] for row in table if row["error"]]
    assert "broken.png" in broken
    assert not list(out.glob(".*"))  # what the killed one had begun


@pytest.mark.slow
def test_the_notebook_runs_from_the_first_cell_to_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("STEPS", "4")
    monkeypatch.setenv("SIDE", "2")
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    notebook = nbformat.read(ROOT / "examples/fine_tune.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # they would stay in the history for good
    client = nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(ROOT / "examples")}})
    client.execute()
    said = "\n".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()) if "text" in output
    )
    assert "error:" not in said
    assert "px wide" in said  # the sentence of the probe
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    assert sum("image/png" in output["data"] for output in pictures) == 2  # contact sheet, before and after
    assert (tmp_path / "out/line/best/model.safetensors").exists()
    assert (tmp_path / "out/report").is_dir()
