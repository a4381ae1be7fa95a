"""What `make-triplets` refuses, and that nothing half made stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_triplets import photo, pixels, rows, write_photos
from PIL import Image

from hf_denoise.cli.main import main
from hf_denoise.cli.make_triplets import MakeTriplets
from hf_denoise.data import making, triplet_recipe
from hf_denoise.data.making import make_triplets
from hf_denoise.defects.generator import DEFECT_KINDS
from hf_denoise.errors import UserError


def test_bad_files_and_tiny_images(tmp_path):
    source = write_photos(tmp_path / "photos", 5)
    (source / "broken.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"broken\.png.*--skip-bad|--skip-bad.*broken\.png"):
        make_triplets(source, tmp_path / "out")
    (source / "broken.png").unlink()
    Image.fromarray(photo(9)[:5]).save(source / "tiny.png")
    with pytest.raises(UserError, match=r"tiny.*--skip-bad"):
        make_triplets(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (source / "broken.png").write_bytes(b"not an image")
    make_triplets(source, tmp_path / "out", skip_bad=True, degradation="none")
    assert rows(tmp_path / "out").keys() == {f"{number:02d}_0" for number in range(5)}


def test_an_output_that_exists_is_refused(tmp_path):
    source = write_photos(tmp_path / "photos", 3)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(UserError, match="out' exists and is not an empty folder"):
        make_triplets(source, tmp_path / "out")
    with pytest.raises(UserError, match=r"precious\.txt' exists"):
        make_triplets(source, tmp_path / "out" / "precious.txt")
    with pytest.raises(UserError, match="lies in the data"):
        make_triplets(source, source / "made")
    with pytest.raises(UserError, match=r"out-.* is not UTF-8.*choose another folder"):
        make_triplets(source, tmp_path / os.fsdecode(b"out-\xe9"))
    assert (tmp_path / "out" / "precious.txt").read_text() == "mine"
    (tmp_path / "out" / "precious.txt").unlink()
    make_triplets(source, tmp_path / "out", degradation="none")
    assert len(rows(tmp_path / "out")) == 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"kinds": ["crack", "dent"]}, "--kinds.*'dent'.*scratch"),
        ({"kinds": []}, "--kinds"),
        ({"per_image": 0}, "--per-image"),
        ({"seed": -1}, "--seed"),
        ({"degradation": "rain:3"}, "rain"),
        ({"contrast": (80, 40)}, "--contrast is 80 40"),
        ({"contrast": (0, 40)}, "--contrast is 0 40"),
        ({"inside": "nowhere"}, "--inside 'nowhere' is no folder"),
    ],
)
def test_options_out_of_range_are_refused_before_the_work(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        make_triplets(tmp_path / "does-not-exist", tmp_path / "out", **options)


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    source = write_photos(tmp_path / "photos", 3)
    monkeypatch.setattr(triplet_recipe, "draw_defects", full)
    with pytest.raises(UserError, match="No space left"):
        make_triplets(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_large_data_are_cut_into_shards_in_the_order_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr(making, "SHARD_BYTES", 30_000)
    make_triplets(write_photos(tmp_path / "photos", 6), tmp_path / "out")
    shards = sorted(file.name for file in (tmp_path / "out" / "data").iterdir() if file.name.startswith("train"))
    assert len(shards) > 1
    assert shards == [f"train-{index:05d}-of-{len(shards):05d}.parquet" for index in range(len(shards))]
    assert len(rows(tmp_path / "out")) == 6


def test_the_command_line_names_every_kind():
    assert MakeTriplets.__dataclass_fields__["kinds"].default == tuple(DEFECT_KINDS)


@pytest.mark.slow
def test_command_line(tmp_path, capsys):
    source = write_photos(tmp_path / "photos", 4)
    arguments = [str(source), str(tmp_path / "out"), "--kinds", "pit", "dead-row", "--per-image", "2", "--seed", "3"]
    result = subprocess.run(
        [sys.executable, "-m", "hf_denoise.cli", "make-triplets", *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert "contact-sheet.jpg" in result.stdout and "drawing defects" in result.stderr
    # Another process, the same pixels.
    make_triplets(source, tmp_path / "here", kinds=["pit", "dead-row"], per_image=2, seed=3)
    assert pixels(tmp_path / "here") == pixels(tmp_path / "out")

    capsys.readouterr()
    assert main(["make-triplets", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")
