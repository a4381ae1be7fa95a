"""Options of `train.py`: names, recipes, mistakes, schedules and budgets."""

import dataclasses

import datasets
import huggingface_hub
import pytest
from train_command import ROOT, here

from hf_denoise.cli.options import parse
from hf_denoise.errors import UserError
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.schedule import Progress, learning_rate

pytestmark = pytest.mark.slow


def test_the_names_of_transformers_mean_what_ours_mean(tmp_path, capsys):
    ours = ["--output", "runs/x", "--batch", "8", "--accumulate", "4", "--precision", "bf16", "--trackers", "wandb"]
    theirs = ["--output_dir", "runs/x", "--per_device_train_batch_size=8", "--gradient-accumulation-steps", "4"]
    theirs += ["--mixed_precision", "bf16", "--report_to", "wandb", "--max_eval_samples", "50"]
    ours += ["--validation-images", "50", "--log-every", "5", "--eval-every", "6", "--save-every", "7"]
    theirs += ["--logging_steps", "5", "--eval_steps", "6", "--save_steps", "7", "--save_total_limit", "3"]
    config = parse(TrainConfig, ["--data", "d", *theirs])
    assert config == parse(TrainConfig, ["--data", "d", *ours, "--keep-checkpoints", "3"])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("output_dir: runs/x\nper_device_train_batch_size: 8\n")
    assert parse(TrainConfig, ["--data", "d", "--config", str(recipe)]).batch == 8
    assert parse(TrainConfig, ["--data", "d", *theirs, "--resume_from_checkpoint", "runs/x/checkpoint-7"]).resume
    # Named alike and not the same thing: epochs, and a repository that is not pushed to by itself.
    for name in ("num_train_epochs", "hub_model_id"):
        assert name not in TrainConfig.ALIASES


def test_bad_options_are_one_sentence(photos, tmp_path, monkeypatch):
    for constants in (huggingface_hub.constants, datasets.config):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "typo.yaml").write_text("encodr: resnet18")
    (tmp_path / "used" / "last").mkdir(parents=True)
    cases = {
        "--encoder resnet81": "encoder 'resnet81' is not a ResNet",
        "--encoder-pretrained": "--no-encoder-pretrained",
        "--degradation gauss:25": "unknown kind 'gauss'",
        "--resume": "nothing to resume",
        "--init-from nowhere/at-all-": "nowhere/at-all-",
        "--output /dev/null/run": "cannot write to '/dev/null/run'",
        "--data no-such-folder": "no-such-folder",
        f"--data {tmp_path}/empty": "empty",
        f"--output {tmp_path}/used": "--resume",
        "--config no-such.yaml": "no-such.yaml",
        "--encoder resnet18.typo": "resnet18.a1_in1k",
        "--batch 0": "--batch must be at least 1, got 0",
        "--seed -1": "--seed must be at least 0",
        "--max-minutes 0": "--max-minutes must be above 0",
        "--grey-share 15": "--grey-share must be 0 to 1",
        "--learning-rate nan": "--learning-rate must be above 0",
        "--learning-rate 0": "--learning-rate must be above 0, got 0",
        "--plateau-factor 1": "--plateau-factor must be above 0 and below 1",
        "--trackers tensorbord": "tensorboard",
        "--keep-checkpoints 2": "give that, too",
        "--save-every 0": "--save-every must be at least 1, got 0",
        "--log-every 0": "--log-every must be at least 1, got 0",
        "--max-train-samples 0": "--max-train-samples must be at least 1, got 0",
        f"--config {tmp_path}/typo.yaml": "did you mean 'encoder'",
    }
    for options, sentence in cases.items():
        *_, told = (result := here(photos, tmp_path / "run", *options.split())).stderr.splitlines()
        assert result.returncode == 2 and told.startswith("error: ") and sentence in told, result.stderr
    assert not (tmp_path / "run" / "last").exists()


def test_recipe_gives_defaults_and_the_command_line_wins(tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "encoder: resnet50\nlearning_rate: 1e-4\ndecoder_depths: [0, 1, 2, 3]\nencoder_pretrained: false\n"
    )
    config = parse(TrainConfig, ["--config", str(recipe), "--data", "d", "--output", "o", "--encoder", "resnet10t"])
    assert (config.encoder, config.learning_rate, config.encoder_pretrained) == ("resnet10t", 1e-4, False)
    assert config.decoder_depths == (0, 1, 2, 3)
    with pytest.raises(SystemExit) as stop:
        parse(TrainConfig, ["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for field in TrainConfig.__dataclass_fields__:
        assert "--" + field.replace("_", "-") in text


def test_recipe_of_an_earlier_version(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("decoder_batch_norm: false\nencoder: resnet10t\n")
    arguments = ["--config", str(recipe), "--data", "d", "--output", "o"]
    assert parse(TrainConfig, arguments).encoder == "resnet10t"
    recipe.write_text("decoder_batch_norm: true\n")
    with pytest.raises(UserError, match="sets 'decoder_batch_norm', which is no longer supported; remove that line"):
        parse(TrainConfig, arguments)


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_committed_recipes_parse(recipe):
    parse(TrainConfig, ["--config", str(recipe), "--data", "d", "--output", "o"])


def test_published_choices_are_the_defaults():
    config = TrainConfig(data="d", output="o")
    assert config.schedule == "plateau" and config.l1_share == 0 and config.encoder_pretrained
    assert learning_rate(config, step=config.warmup_steps + 1, spent=0.5) is None  # ReduceLROnPlateau is in charge
    assert learning_rate(config, step=config.warmup_steps, spent=0.5) == config.learning_rate
    cosine = TrainConfig(data="d", output="o", schedule="cosine", warmup_steps=0)
    assert learning_rate(cosine, 0, 0.0) == pytest.approx(cosine.learning_rate)
    assert learning_rate(cosine, 500, 1.0) == pytest.approx(0)


def test_a_constant_rate_falls_over_its_last_steps_alone():
    config = TrainConfig(data="d", output="o", schedule="constant", warmup_steps=9, max_steps=1000, learning_rate=1.0)
    assert learning_rate(config, 4, 0.0) == pytest.approx(0.5)
    assert [learning_rate(config, step, 0.5) for step in (9, 500, 999)] == [1, 1, 1]
    falling = dataclasses.replace(config, decay_steps=250)
    assert [learning_rate(falling, step, 0.5) for step in (749, 750, 875, 1000)] == pytest.approx([1, 1, 0.5, 0])


def test_budget_is_steps_or_minutes_whichever_ends_first():
    config = TrainConfig(data="d", output="o", max_steps=100, max_minutes=10)
    assert Progress(step=50, minutes=1).spent(config) == 0.5
    assert Progress(step=10, minutes=9).spent(config) == 0.9
