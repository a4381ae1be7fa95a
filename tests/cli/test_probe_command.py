"""`hf-denoise probe`: what is said of a picture, and what is written of it."""

import csv
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from command_line import errors, files, picture, run
from PIL import Image

from hf_denoise.defects.probes import PROBE_KINDS
from hf_denoise.inference.denoiser import Denoiser

KINDS = [kind.name for kind in PROBE_KINDS]
RESULTS = ["a-hits.csv", "a-probe-map.png", "a-probe.json", "a-probe.png"]
UNTOUCHED = ("--strength", "0")  # all of every defect is left, and the network need not run


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A photograph with noise, turned: it shows 160 wide and 200 high and is stored the other way."""
    clean = skimage.data.camera()[100:300, 140:300].astype(np.float32)
    shown = (clean + np.random.default_rng(0).normal(0, 15, clean.shape)).clip(0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "in/a.png"
    path.parent.mkdir()
    Image.fromarray(np.ascontiguousarray(np.rot90(shown))).save(path, exif=exif)
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("few_probes")
def test_the_sentence_and_the_table_are_those_of_the_report(noisy: Path) -> None:
    result = run("probe", noisy, "--engine", "torch", "--precision", "float32", "--seed", 3)
    assert result.returncode == 0, result.stderr
    report = Denoiser.from_pretrained(engine="torch", precision="float32").probe(noisy, seed=3)
    first, head, *lines = result.stdout.splitlines()
    assert first == f"{noisy}: {report.sentence()}"
    assert "Scratches 2 px wide" in first
    assert head.split() == ["kind", "80", "%", "from", "50", "%", "from", "a90/95"]
    cells = [re.split(r"\s{2,}", line) for line in lines]
    assert [line[:3] for line in cells] == [
        [row["kind"], row["keeps 80 % from"], row["keeps 50 % from"]] for row in report.table()
    ]
    assert all(line[3:] for line in cells), "a90/95, or why there is none"
    assert "step" in result.stderr
    assert files(noisy.parent) == ["a.png"]


def test_results_are_written_and_agree_with_the_json_that_is_printed(noisy: Path, tmp_path: Path) -> None:
    result = run("probe", "in", "-o", "out", "--json", *UNTOUCHED, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert files(tmp_path / "out") == RESULTS
    [document] = json.loads(result.stdout)["files"]
    assert document == json.loads((tmp_path / "out/a-probe.json").read_text())
    assert (document["file"], document["model"], document["strength"]) == ("in/a.png", "packaged weights", 0)
    assert list(document["kinds"]) == list(document["detections"]) == KINDS
    for kind in KINDS:
        assert document["kinds"][kind]["limit_80"]["where"] == "below"
        assert document["kinds"][kind]["share"] == pytest.approx([1] * 6, abs=0.01)
        found = document["detections"][kind]
        assert found["hits"] == found["trials"] and found["a90_95"] is None and "all were kept" in found["note"]
    hits = list(csv.DictReader(io.StringIO((tmp_path / "out/a-hits.csv").read_text())))
    assert len(hits) == document["probes"]
    assert Image.open(tmp_path / "out/a-probe-map.png").size == (160, 200), "as the picture shows"
    assert Image.open(tmp_path / "out/a-probe.png").width > 600


def test_several_pictures_are_counted_and_a_bad_one_does_not_stop_the_others(noisy: Path, tmp_path: Path) -> None:
    picture(tmp_path / "in/deep/small.png", size=(20, 20))
    (tmp_path / "in/text.png").write_text("not an image")
    result = run("probe", "in", "-o", "out", *UNTOUCHED, cwd=tmp_path)
    message = errors(result)
    assert message.startswith("2 inputs could not be probed")
    assert "'in/deep/small.png': a picture of 20 x 20 pixels has too few places" in message
    assert "in/text.png' is not a PNG" in message
    assert re.match(r"in/a\.png: Scratches 2 px wide .*keep 80 % or more from", result.stdout)
    assert "2/2" in result.stderr and "image" in result.stderr
    assert files(tmp_path / "out") == RESULTS


def test_without_statsmodels_one_line_says_how_to_get_it(
    noisy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    result = run("probe", "in/a.png", "-o", "out", *UNTOUCHED, cwd=tmp_path)
    assert result.returncode == 0
    assert sum("pip install 'hf_denoise[pod]'" in line for line in result.stderr.splitlines()) == 1
    assert "a90" not in result.stdout and "stain" in result.stdout
    assert "detections" not in json.loads((tmp_path / "out/a-probe.json").read_text())


def test_nothing_is_replaced_unless_asked_for(noisy: Path, tmp_path: Path) -> None:
    old = picture(tmp_path / "out/a-probe.png").read_bytes()
    message = errors(run("probe", "in", "-o", "out", *UNTOUCHED, cwd=tmp_path))
    assert "'out/a-probe.png' already exists" in message and "--overwrite" in message
    assert files(tmp_path / "out") == ["a-probe.png"]
    assert run("probe", "in", "-o", "out", *UNTOUCHED, "--overwrite", cwd=tmp_path).returncode == 0
    assert (tmp_path / "out/a-probe.png").read_bytes() != old
    picture(tmp_path / "out/a.png")
    message = errors(run("probe", "in/a.png", "out/a-probe.png", "-o", "out", *UNTOUCHED, "--overwrite", cwd=tmp_path))
    assert "'out/a-probe.png' is an input" in message


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["missing.png"], "'missing.png' does not exist"),
        (["in", "-o", "file"], "cannot write to 'file'"),
        (["in", "--strength", "2"], "strength must be from 0"),
        (["in", "--seed", "-1"], "--seed must be 0 or more"),
        (["in", "--device", "cuda:9"], "device 'cuda:9' is not available"),
        (["in/a.png", "other/a.jpg", "-o", "out"], "'in/a.png' and 'other/a.jpg' would both be written to"),
        ([], "no input"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    noisy: Path, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    picture(tmp_path / "other/a.jpg")
    (tmp_path / "file").write_text("")
    before = files(tmp_path)
    message = errors(run("probe", *arguments, cwd=tmp_path))
    assert reason in message
    assert message.count("\n") == 1
    assert files(tmp_path) == before
