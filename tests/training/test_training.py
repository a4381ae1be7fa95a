"""Training judged by what it learns."""

import re

import numpy as np
import pytest
import torch
from finished_runs import assert_trained_alike, logged
from train_command import here, picture

from hf_denoise import DenoisingUNet
from hf_denoise.metrics.quality import psnr
from hf_denoise.noise.degradations import parse_degradation

pytestmark = pytest.mark.slow


def test_training_learns_to_denoise(photos, tmp_path):
    result = here(photos, tmp_path / "run", "--degradation", "gaussian:25", "--max-steps", "250",
                         "--eval-every", "125", "--batch", "8", "--learning-rate", "3e-3")  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "loss=" in result.stderr and "psnr=" in result.stderr and "images_s=" in result.stderr
    model = DenoisingUNet.from_pretrained(tmp_path / "run" / "best")
    gains = []
    for number in range(200, 208):
        rng = np.random.default_rng(number)
        clean = picture(rng).astype(np.float32) / np.float32(255)
        noisy = parse_degradation("gaussian:25")(clean, rng)
        with torch.inference_mode():
            output = model(torch.from_numpy(noisy.transpose(2, 0, 1))[None])[0].permute(1, 2, 0).numpy()
        gains.append(psnr(output, clean) - psnr(noisy, clean))
    assert min(gains) > 4, gains
    assert logged(tmp_path / "run", "validation/psnr")[-1] > 20.2 + 4
    losses = logged(tmp_path / "run", "loss")
    assert losses[-1] < losses[0] / 2


def test_a_run_starts_from_a_saved_model_with_the_network_of_that_model(photos, tmp_path):
    saved = DenoisingUNet(encoder="resnet10t", encoder_levels=1, decoder_channels=(8,), decoder_depths=(1,))
    saved.save_pretrained(tmp_path / "saved")
    still = ("--init-from", str(tmp_path / "saved"), "--learning-rate", "1e-12", "--max-steps", "2", "--batch", "2")
    result = here(photos, tmp_path / "run", *still)
    assert result.returncode == 0, result.stderr
    trained = DenoisingUNet.from_pretrained(tmp_path / "run" / "last")
    assert all(torch.equal(p, q) for p, q in zip(saved.parameters(), trained.parameters(), strict=True))
    assert trained.report is not None
    recipe = trained.report["training"]["recipe"]
    assert (recipe["encoder_levels"], recipe["decoder_channels"], recipe["init_from"]) == (1, [8], "saved")


def test_accumulated_batches_are_one_batch(scratched, tmp_path):
    """With a frozen encoder: BatchNorm, which only the encoder has here, counts each batch on its own."""
    saved = DenoisingUNet(encoder="resnet10t", encoder_levels=2, decoder_channels=(32, 16), decoder_depths=(1, 0))
    saved.save_pretrained(tmp_path / "saved")
    frozen = ("--init-from", str(tmp_path / "saved"), "--freeze-encoder", "--max-steps", "10", "--eval-every", "5",
              "--precision", "no", "--ema-decay", "0")  # fmt: skip
    for batch, accumulate in ((8, 1), (2, 4)):
        result = here(scratched, tmp_path / str(batch), *frozen, "--batch", str(batch),
                             "--accumulate", str(accumulate))  # fmt: skip
        assert result.returncode == 0, result.stderr
    assert_trained_alike(tmp_path / "8", tmp_path / "2")
    trained = DenoisingUNet.from_pretrained(tmp_path / "8" / "last").state_dict()
    changed = {
        name.split(".")[0] for name, tensor in saved.state_dict().items() if not torch.equal(tensor, trained[name])
    }
    assert "encoder" not in changed and changed


def test_stops_early_and_on_the_clock(photos, tmp_path):
    stopped = here(photos, tmp_path / "early", "--max-steps", "1000", "--eval-every", "2", "--batch", "2",
                          "--learning-rate", "1e-12", "--early-stopping", "3")  # fmt: skip
    assert stopped.returncode == 0, stopped.stderr
    assert len(logged(tmp_path / "early", "validation/psnr")) < 10
    timed = here(photos, tmp_path / "clock", "--max-steps", "100000", "--batch", "2", "--max-minutes", "0.05",
                        "--schedule", "cosine")  # fmt: skip
    assert timed.returncode == 0, timed.stderr
    assert (tmp_path / "clock" / "last" / "model.safetensors").is_file()
    *_, (done, total) = re.findall(r" (\d+)/(\d+) [^\r]*loss=", timed.stderr)
    assert int(total) < 2 * int(done) + 20, "the bar does not show how much of the time is spent"


def test_a_cpu_that_is_slower_in_bf16_is_named(photos, tmp_path, monkeypatch, caplog):
    options = ("--max-steps", "1", "--batch", "1", "--patch", "32", "--precision", "bf16")
    for fast in (True, False):
        monkeypatch.setattr("hf_denoise.training.setup.bfloat16_is_faster", lambda fast=fast: fast)
        trained = here(photos, tmp_path / str(fast), *options)
        assert trained.returncode == 0, trained.stderr
        assert ("--precision no" in caplog.text) != fast


def test_run_pushes_itself_to_the_hub(hub, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_ada")
    options = ("--max-steps", "4", "--eval-every", "2", "--batch", "2", "--push-to-hub", "ada/trained", "--hub-private")
    pushed = here(photos, tmp_path / "run", *options, "--hub-strategy", "every-eval")
    assert pushed.returncode == 0, pushed.stderr
    assert f"{hub.url}/ada/trained" in pushed.stdout
    repo = hub.repos["models", "ada/trained"]
    assert repo.private and {"curves.png", "log.csv", "recipe.yaml", "README.md"} < repo.files.keys()
    assert repo.files["model.safetensors"] == (tmp_path / "run" / "best" / "model.safetensors").read_bytes()
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    refused = here(photos, tmp_path / "other", *options)
    assert refused.returncode == 2
    assert "error: the Hub refused the token for 'ada/trained' (HTTP 403)" in refused.stderr
    assert not (tmp_path / "other" / "log.csv").exists()
    monkeypatch.setenv("HF_TOKEN", "hf_ada")
    hub.largest = 1000
    failed = here(photos, tmp_path / "third", *options, "--seed", "1")
    assert failed.returncode == 2
    assert f"`hf-denoise push {tmp_path}/third/best ada/trained`" in failed.stderr
    assert (tmp_path / "third" / "best" / "model.safetensors").is_file()
