"""Where a run reads its data, and what its card says of that."""

import io
import re
import sys

import datasets
import numpy as np
import pytest
import torch
from finished_runs import all_weights, report
from PIL import Image
from train_command import here, picture

from hf_denoise.cli.options import parse
from hf_denoise.training.config import TrainConfig

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "options, way_out", [(["--streaming"], "leave out --streaming, which makes one, or add one"), ([], None)]
)
def test_data_without_a_validation_split_have_a_way_out(tmp_path, options, way_out):
    images = [Image.fromarray(picture(np.random.default_rng(number))) for number in range(10)]
    table = datasets.Dataset.from_dict({"clean": images}, features=datasets.Features({"clean": datasets.Image()}))
    (tmp_path / "data").mkdir()
    table.to_parquet(tmp_path / "data" / "train.parquet")
    few = ["--max-steps", "1", "--batch", "1", "--validation-images", "1", *options]
    result = here(tmp_path / "data", tmp_path / "run", *few)
    assert result.returncode == (2 if way_out else 0) and (way_out or "") in result.stderr


def test_streamed_run_resumes_to_the_same_weights_from_a_folder_or_the_hub(hub, tmp_path):
    """From the Hub it reads the commit it started with, and says which, also when there is a newer one."""
    features = datasets.Features({"clean": datasets.Image()})
    for split, first, shards in (("train", 0, 3), ("validation", 900, 1)):
        for shard in range(shards):
            images = [Image.fromarray(picture(np.random.default_rng(first + 10 * shard + n))) for n in range(10)]
            table = datasets.Dataset.from_dict({"clean": images}, features=features)
            table.to_parquet(tmp_path / "data" / f"{split}-{shard:05}-of-{shards:05}.parquet")
    files = {f"data/{path.name}": path.read_bytes() for path in (tmp_path / "data").iterdir()}
    hub.host("ada/shards", files, kind="datasets")
    first_commit = hub.repos["datasets", "ada/shards"].resolve("main")
    options = ["--streaming", "--eval-every", "10", "--batch", "4", "--validation-images", "3"]
    for name, steps in (("whole", 20), ("parts", 10), ("parts", 20)):
        resume = ["--resume"] if steps == 20 and name == "parts" else []
        source = tmp_path / "data" if name == "whole" else "ada/shards"
        result = here(source, tmp_path / name, *options, "--max-steps", str(steps), *resume)
        assert result.returncode == 0, result.stderr
        if name == "parts":
            hub.host("ada/shards", {**files, "data/train-00000-of-00003.parquet": b"newer"}, kind="datasets")
    assert torch.equal(all_weights(tmp_path / "whole"), all_weights(tmp_path / "parts"))
    assert hub.repos["datasets", "ada/shards"].resolve("main") != first_commit
    assert f"Data: ada/shards at commit {first_commit}" in (tmp_path / "parts" / "last" / "README.md").read_text()
    assert "at commit" not in (tmp_path / "whole" / "last" / "README.md").read_text()


def test_a_resumed_run_reads_the_commit_it_began_with(hub, tmp_path, monkeypatch):
    """Of one revision and configuration of private data, with a token that is written nowhere."""
    token = ["--token", "hf_ada"]
    buffer = io.BytesIO()
    images = [Image.fromarray(picture(np.random.default_rng(number))) for number in range(10)]
    table = datasets.Dataset.from_dict({"clean": images}, features=datasets.Features({"clean": datasets.Image()}))
    table.to_parquet(buffer)
    card = b"---\nconfigs:\n- config_name: raw\n  data_files: data/*\n- config_name: other\n  data_files: none/*\n---\n"
    files = {"README.md": card, "data/train-00000-of-00001.parquet": buffer.getvalue()}
    hub.host("ada/photos", files, kind="datasets", branch="v1", private=True)
    hub.host("ada/photos", {"data/train-00000-of-00001.parquet": b"other"}, kind="datasets")
    commit = hub.repos["datasets", "ada/photos"].resolve("v1")
    options = ["--batch", "2", "--eval-every", "2", "--validation-images", "1", "--push-to-hub", "ada/trained"]
    options += ["--dataset-revision", "v1", "--dataset-config", "raw", *token]
    monkeypatch.setattr(sys, "argv", ["train.py", *options])
    first = here("ada/photos", tmp_path / "run", *options, "--max-steps", "2")
    assert first.returncode == 0, first.stderr
    assert re.search(f"Data +ada/photos, configuration raw at commit {commit}", first.stderr)
    assert "--dataset-revision v1 --dataset-config raw" in first.stdout
    hub.host("ada/photos", {"data/train-00000-of-00001.parquet": b"newer"}, kind="datasets", branch="v1")
    resumed = here("ada/photos", tmp_path / "run", "--resume", "--max-steps", "4", *token)
    assert resumed.returncode == 0, resumed.stderr
    assert report(tmp_path / "run" / "last")["training"]["revision"] == commit
    # The token is in none of all these files, words and trackers; the last of them take the command line.
    places = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    places += [*hub.repos["models", "ada/trained"].files.values(), str(sys.argv).encode()]
    assert len(places) > 15 and not any(b"hf_ada" in place for place in places)
    config = parse(TrainConfig, ["--data", "d", "--output", "o", *token])
    assert "hf_ada" not in first.stderr + first.stdout + resumed.stderr + repr(config)


@pytest.mark.parametrize("streaming", [False, True])
def test_card_says_where_the_degraded_images_came_from(photos, tmp_path, streaming):
    few = ("--max-steps", "1", "--batch", "2", "--validation-images", "1", *(["--streaming"] if streaming else []))
    images = [Image.fromarray(picture(np.random.default_rng(number))) for number in range(4)]
    columns = {name: datasets.Image() for name in ("clean", "degraded")}
    for split in ("train", "validation"):
        table = datasets.Dataset.from_dict(dict.fromkeys(columns, images), features=datasets.Features(columns))
        table.to_parquet(tmp_path / "own" / f"{split}.parquet")
        table.remove_columns("degraded").to_parquet(tmp_path / "made" / f"{split}.parquet")
    for name, degradation in (("own", "as in the data"), ("made", "gaussian:0-55")):
        result = here(tmp_path / name, tmp_path / "runs" / name, *few, "--max-train-samples", "3")
        assert result.returncode == 0, result.stderr
        taken = "at most 3 triplets, the first ones of the shards" if streaming else "3 of 4 triplets, drawn by seed 0"
        assert re.search(f"Trained on +{taken}", result.stderr)
        card = (tmp_path / "runs" / name / "last" / "README.md").read_text()
        assert f"Degraded images: {degradation}" in card and f"| {degradation} |" in card
        assert ("gaussian:0-55" in card) == (name == "made")


@pytest.mark.parametrize("streaming", [False, True])
def test_roles_given_by_hand_and_noise_in_place_of_that_of_the_data(tmp_path, caplog, streaming):
    few = ("--max-steps", "1", "--batch", "2", "--validation-images", "1", *(["--streaming"] if streaming else []))
    images = [Image.fromarray(picture(np.random.default_rng(number))) for number in range(4)]
    columns = {"front": datasets.Image(), "back": datasets.Image()}
    for split in ("train", "validation"):
        table = datasets.Dataset.from_dict(dict.fromkeys(columns, images), features=datasets.Features(columns))
        table.to_parquet(tmp_path / "data" / f"{split}.parquet")
    assert "expected the image columns clean" in here(tmp_path / "data", tmp_path / "x", *few).stderr
    for name, options in (("own", ()), ("made", ("--make-degraded",))):
        caplog.clear()
        named = (*options, "--columns", "clean=front", "degraded=back")
        result = here(tmp_path / "data", tmp_path / name, *few, *named)
        assert result.returncode == 0, result.stderr
        assert ("| gaussian:0-55 |" in (tmp_path / name / "last/README.md").read_text()) == (name == "made")
        assert ("so --degradation is not used" in caplog.text) == (name == "own")
