"""Training judged by what it learns, checkpoints by killing the process, many processes by launching them."""

import csv
import dataclasses
import io
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import datasets
import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from train_command import ROOT, command, here, picture, run

from hf_denoise import DenoisingUNet
from hf_denoise.cli.options import parse
from hf_denoise.distributed.accelerate_cpu import torchrun_options
from hf_denoise.errors import UserError
from hf_denoise.metrics.quality import psnr
from hf_denoise.noise.degradations import parse_degradation
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.log import read_log
from hf_denoise.training.schedule import Progress, learning_rate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(40):
        Image.fromarray(picture(np.random.default_rng(number))).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def scratched(tmp_path_factory) -> Path:
    """Clean images of two sizes with masks, some of them empty."""
    folder = tmp_path_factory.mktemp("scratched")
    for name in ("clean", "mask"):
        (folder / name).mkdir()
    for number in range(24):
        size = 20 if number % 5 == 0 else 64  # smaller and larger than the patches
        image, mask = picture(np.random.default_rng(100 + number), size), np.zeros((size, size), np.uint8)
        if number % 3:
            row = (5 + 2 * number) % size
            image[row : row + 2, 8:56], mask[row : row + 2, 8:56] = 255 - image[row : row + 2, 8:56], 255
        Image.fromarray(image).save(folder / "clean" / f"{number:02}.png")
        Image.fromarray(mask).save(folder / "mask" / f"{number:02}.png")
    return folder


def logged(output: Path, name: str) -> list[float]:
    events = EventAccumulator(str(output / "hf_denoise"))
    events.Reload()
    return [event.value for event in events.Scalars(name)]


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


def test_killed_run_resumes_to_the_same_weights(photos, tmp_path):
    # With a precision of its own: what is fastest is measured by each process, and may differ where others work, too.
    options = ["--max-steps", "60", "--eval-every", "10", "--batch", "4", "--precision", "no", "--log-every", "4"]
    options += ["--save-every", "15", "--keep-checkpoints", "2"]
    assert here(photos, tmp_path / "whole", *options).returncode == 0
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(photos, tmp_path / "killed", *options), cwd=ROOT, env=env, stderr=subprocess.DEVNULL
    )
    state = tmp_path / "killed" / "last" / "state"
    while not state.exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(np.random.default_rng().uniform(0, 1.5))
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = here(photos, tmp_path / "killed", *options, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    whole, killed = (load_file(tmp_path / name / "last" / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(tensor, killed[name]) for name, tensor in whole.items())
    assert_logged_the_same(tmp_path / "killed", tmp_path / "whole")
    # And from a numbered checkpoint, of which the last two are kept.
    for name in ("whole", "killed"):
        kept = sorted(path.name for path in (tmp_path / name).glob("checkpoint-*"))
        assert kept == ["checkpoint-45", "checkpoint-60"]
    (tmp_path / "killed/checkpoint-45.new").mkdir()  # as a kill leaves it
    best = (tmp_path / "killed/best/model.safetensors").read_bytes()
    back = here(photos, tmp_path / "killed", "--resume_from_checkpoint", str(tmp_path / "killed/checkpoint-45"))
    assert back.returncode == 0 and "60; 45 are done" not in back.stdout, back.stderr
    assert re.search("Steps .*; 45 are done", back.stderr)
    assert torch.equal(all_weights(tmp_path / "whole"), all_weights(tmp_path / "killed"))
    assert (tmp_path / "killed/best/model.safetensors").read_bytes() == best
    assert_logged_the_same(tmp_path / "killed", tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "killed").glob("checkpoint-*")) == kept
    no_such = here(photos, tmp_path / "killed", "--resume-from-checkpoint", str(tmp_path / "killed/checkpoint-30"))
    assert "checkpoint-30' is no checkpoint; there are checkpoint-45, checkpoint-60" in no_such.stderr
    elsewhere = here(photos, tmp_path / "killed", "--resume-from-checkpoint", str(tmp_path / "whole/checkpoint-45"))
    assert elsewhere.returncode == 2 and "is not in --output" in elsewhere.stderr
    DenoisingUNet.from_pretrained(tmp_path / "killed" / "checkpoint-45")
    DenoisingUNet.from_pretrained(tmp_path / "killed" / "best")


def assert_logged_the_same(one: Path, two: Path) -> None:
    """But for how fast it went."""
    ours, theirs = (read_log(output / "log.csv") for output in (one, two))
    assert ours is not None and theirs is not None
    for name in ("step", "megapixels", "loss", "learning_rate", "psnr", "ssim"):
        np.testing.assert_array_equal(ours[name], theirs[name])


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


def all_weights(output: Path) -> torch.Tensor:
    tensors = load_file(output / "last/model.safetensors")
    return torch.cat([tensor.float().flatten() for _, tensor in sorted(tensors.items())])


def assert_trained_alike(one: Path, two: Path) -> None:
    for name in ("loss", "validation/psnr", "validation/defect_psnr"):
        assert logged(one, name) == pytest.approx(logged(two, name), rel=1e-3), name
    ours, theirs = all_weights(one), all_weights(two)
    assert (ours - theirs).norm() < 1e-2 * ours.norm()


# The rate is low, since AdamW turns the last bit of a gradient near zero into a step of full length.
ALIKE = ("--max-steps", "20", "--eval-every", "10", "--defect-weight", "5", "--precision", "no", "--accumulate", "2",
         "--learning-rate", "1e-4")  # fmt: skip


@pytest.fixture(scope="module")
def one_process(scratched, tmp_path_factory) -> Path:
    """What one process makes of images of mixed sizes, some without defects, in two batches of 8 per step."""
    output = tmp_path_factory.mktemp("one") / "run"
    result = here(scratched, output, *ALIKE, "--batch", "8")
    assert result.returncode == 0, result.stderr
    return output


def test_two_machines_train_like_one_process(scratched, one_process, tmp_path):
    """Two processes, and two launchers on the loopback that stand for the machines. Each has a cache of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "2"]
    launcher += ["--main_process_ip", "127.0.0.1", "--main_process_port", str(port)]
    machines = []
    for rank in range(2):
        arguments = command(
            scratched, tmp_path / "two", *ALIKE, "--batch", "4", launcher=(*launcher, "--machine_rank", str(rank))
        )
        cache = {"HF_DATASETS_CACHE": str(tmp_path / f"cache{rank}")}
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **cache}
        machines.append(subprocess.Popen(arguments, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True))
    for machine in machines:
        _, told = machine.communicate(timeout=240)
        assert machine.returncode == 0, told
    assert_trained_alike(one_process, tmp_path / "two")


@pytest.mark.parametrize(("name", "processes"), [("cpu", "2"), ("one_machine", "4")])
def test_committed_configurations_say_how_many_processes(name, processes):
    launcher = ["accelerate", "launch", "--config_file", f"{ROOT}/recipes/accelerate/{name}.yaml", "train.py"]
    assert torchrun_options(launcher) == ["--standalone", "--nproc_per_node", processes]
    assert torchrun_options(["accelerate", "launch", "train.py", "--num_processes", "2"]) == []


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


def report(checkpoint: Path) -> dict:
    return json.loads((checkpoint / "evaluation.json").read_text())


STOPPED = ("--max-steps", "60", "--eval-every", "30", "--batch", "4", "--seed", "3", "--degradation", "speckle:20",
           "--precision", "no", "--log-every", "7")  # fmt: skip  # what is fastest is measured by each process


@pytest.fixture(scope="module")
def undisturbed(photos, tmp_path_factory) -> Path:
    """The run that is not told to stop."""
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    assert here(photos, output, *STOPPED).returncode == 0
    return output


def assert_goes_on_as_it_began(photos: Path, stopped: Path, undisturbed: Path, told: str) -> None:
    """Without its options, which it has recorded: another seed would train on what was kept for validation."""
    assert told.startswith("stopped at step") and "--resume" in told
    assert report(stopped / "last")["results"] == []  # of these weights nothing is known
    resumed = here(photos, stopped, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert torch.equal(all_weights(undisturbed), all_weights(stopped))
    assert_logged_the_same(stopped, undisturbed)  # also the row whose losses were those of two sittings
    ours, theirs = (report(run / "last") for run in (stopped, undisturbed))
    assert ours["results"] == theirs["results"] and ours["training"]["recipe"]["degradation"] == "speckle:20"


def test_a_run_that_is_interrupted_is_saved_and_goes_on_as_it_began(photos, undisturbed, tmp_path):
    process = subprocess.Popen(
        command(photos, tmp_path / "stopped", *STOPPED, "--workers", "1"),
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert any(re.search(r" [1-9]\d?/60 ", line) for line in process.stderr)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the worker gets it too
    told = process.stderr.read().splitlines()[-1]
    assert process.wait() == 130
    assert_goes_on_as_it_began(photos, tmp_path / "stopped", undisturbed, told)


def test_a_run_that_is_told_to_end_is_saved_and_goes_on_as_it_began(photos, undisturbed, tmp_path):
    def outside(*_: object) -> None:
        """A signal that comes when no run listens must not end the tests."""

    def send() -> None:
        while signal.getsignal(signal.SIGTERM) is outside or not (tmp_path / "stopped/log.csv").exists():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)  # torchrun's

    before = signal.signal(signal.SIGTERM, outside)
    try:
        threading.Thread(target=send, daemon=True).start()
        stopped = here(photos, tmp_path / "stopped", *STOPPED)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stopped.returncode == 130
    assert_goes_on_as_it_began(photos, tmp_path / "stopped", undisturbed, stopped.stderr.splitlines()[-1])


def test_a_resumed_run_records_where_it_began(photos, tmp_path):
    small = DenoisingUNet(encoder="resnet10t", encoder_levels=2, decoder_channels=(32, 16), decoder_depths=(1, 0))
    small.save_pretrained(tmp_path / "saved")
    options = ["--init-from", str(tmp_path / "saved"), "--freeze-encoder", "--batch", "2", "--eval-every", "2"]
    for more in (["--max-steps", "2", *options], ["--max-steps", "4", "--resume"]):
        result = here(photos, tmp_path / "run", *more)
        assert result.returncode == 0, result.stderr
        beside = r"images: \d\d\.\d\d dB, [+-]0\.\d\d against the start; no validation image has a defect"
        assert re.search(f"step {more[1]}: {beside}", result.stderr) and re.search(beside, result.stdout)
    recipe = report(tmp_path / "run" / "last")["training"]["recipe"]
    assert (recipe["init_from"], recipe["freeze_encoder"], recipe["max_steps"]) == ("saved", True, 4)
    refused = here(photos, tmp_path / "run", "--resume", "--max-steps", "6", "--no-freeze-encoder")
    told = refused.stderr.strip().splitlines()[-1]
    assert refused.returncode == 2 and "--freeze-encoder" in told and "Traceback" not in refused.stderr


def test_a_rate_that_is_given_on_resume_holds_in_both_directions(photos, tmp_path):
    options = ["--batch", "2", "--eval-every", "20", "--learning-rate", "1e-3"]
    assert here(photos, tmp_path / "run", *options, "--max-steps", "20").returncode == 0
    lower, higher = "1e-05 as given now, in place of 0.001 (at last 0.001)", "0.002 as given now, in place of 1e-05 (at"
    for steps, given, rate, said in (
        (30, ["--learning-rate", "1e-5"], 1e-5, f"the learning rate is {lower}"),
        (40, ["--learning-rate", "2e-3"], 2e-3, f"the learning rate is {higher}"),
        (50, ["--learning-rate", "2e-3"], 2e-3, None),  # as before
        (60, [], 2e-3, None),
    ):
        more = here(photos, tmp_path / "run", "--resume", "--max-steps", str(steps), *given)
        assert more.returncode == 0, more.stderr
        assert (said in more.stderr) if said else ("the learning rate" not in more.stderr)
        assert rates(tmp_path / "run")[-1] == pytest.approx(rate)


def test_the_same_rate_on_resume_leaves_what_the_plateau_made_of_it(photos, tmp_path):
    options = ["--batch", "1", "--eval-every", "1", "--validation-images", "1", "--plateau-patience", "0"]
    options += ["--learning-rate", "1e-6", "--ema-decay", "0"]
    assert here(photos, tmp_path / "run", *options, "--max-steps", "13").returncode == 0
    lowered = rates(tmp_path / "run")[-1]
    more = here(photos, tmp_path / "run", *options, "--resume", "--max-steps", "14")
    assert more.returncode == 0, more.stderr
    assert rates(tmp_path / "run")[-1] < lowered < 1e-6
    assert "the learning rate goes on at " in more.stderr and "the plateau has lowered 1e-06" in more.stderr


def rates(output: Path) -> list[float]:
    rows = csv.DictReader((output / "log.csv").open())
    return [float(row["learning_rate"]) for row in rows if row["learning_rate"]]


def test_a_card_written_by_hand_stays_in_a_run(photos, tmp_path):
    options = ["--batch", "2", "--eval-every", "2"]
    assert here(photos, tmp_path / "run", *options, "--max-steps", "2").returncode == 0
    for name in ("best", "last"):
        (tmp_path / "run" / name / "README.md").write_text("Ours, by hand.")
    more = here(photos, tmp_path / "run", "--resume", "--max-steps", "8", "--learning-rate", "1e-3")
    assert more.returncode == 0, more.stderr
    for name in ("best", "last"):
        assert (tmp_path / "run" / name / "README.md").read_text() == "Ours, by hand."
    assert report(tmp_path / "run" / "last")["training"]["steps"] == 8


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


def test_loss_that_is_not_finite_names_the_images_and_keeps_the_checkpoint(photos, tmp_path):
    options = ["--batch", "2", "--eval-every", "4", "--clip-norm", "1e30", "--ema-decay", "0"]
    assert here(photos, tmp_path / "run", *options, "--max-steps", "4").returncode == 0
    before = all_weights(tmp_path / "run")
    result = here(photos, tmp_path / "run", *options, "--max-steps", "40", "--resume", "--schedule", "cosine",
                         "--learning-rate", "1e30")  # fmt: skip
    told = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert re.search(r"no longer finite at step \d+, in the batch of \d\d, \d\d; .*last good checkpoint", told), told
    assert torch.equal(all_weights(tmp_path / "run"), before)


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


def test_disk_full_while_saving_is_one_sentence(photos, tmp_path):
    """A limit on the size of files stands in for the full disk: the write fails in the middle, as there."""
    few = ("--max-steps", "1", "--batch", "2", "--validation-images", "1")
    assert here(photos, tmp_path / "first", *few).returncode == 0  # the decoded images are in the cache from here on
    shutil.rmtree(tmp_path / "first")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    result = run(command(photos, tmp_path / "run", "--max-steps", "4", "--eval-every", "2", "--batch", "2"),
                 preexec_fn=limit)  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith("error: could not save"), result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.safetensors"))


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


def test_a_mistake_is_what_torchrun_reports_as_the_cause(tmp_path, monkeypatch):
    """Under a launcher the sentence scrolls away behind tracebacks; torchrun's summary at the end repeats it."""
    file = str(tmp_path / "error.json")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", file)
    assert here("data", tmp_path / "run", "--resume").returncode == 2
    shown = ChildFailedError("train.py", {0: ProcessFailure(0, 1, 2, file)}).format_msg()
    assert f"error: there is nothing to resume in '{tmp_path}/run'; start without --resume" in shown


TWO = ("--cpu", "--num_processes", "2")


@pytest.mark.parametrize(("options", "quiet"), [((), True), (TWO, False)])
def test_a_mistake_under_a_launcher_is_one_sentence(tmp_path, options, quiet):
    """The launcher's own traceback ends with --quiet; that its status is 1 cannot be changed from here."""
    launcher = ("-m", "accelerate.commands.launch", *(["--quiet"] if quiet else []), *options)
    result = run(command("./no-such", tmp_path / "run", launcher=launcher))
    sentence = "error: --data './no-such' does not exist"
    assert result.returncode == 1 and result.stderr.count(sentence) == 1, result.stderr
    ours, _, theirs = result.stderr.partition("Traceback")
    assert ours.strip().splitlines()[-1].startswith(sentence)
    assert ("Traceback" not in result.stderr) if quiet else ("accelerate" in theirs and "train.py" in theirs)
    assert theirs.count("Traceback") == 0 and "torchrun" not in result.stderr and "elastic" not in result.stderr


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


def test_a_run_saves_by_the_clock_and_counts_its_pixels(photos, tmp_path):
    options = ("--max-steps", "40", "--eval-every", "1000", "--batch", "2", "--patch", "32", "--schedule", "constant")
    process = subprocess.Popen(
        command(photos, tmp_path / "run", *options, "--max-steps", "100000", "--save-minutes", "0.001"),
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "run" / "last" / "state").exists():  # long before the first evaluation
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    report = json.loads((tmp_path / "run" / "last" / "evaluation.json").read_text())
    steps = report["training"]["steps"]
    assert steps % 10 == 0 and report["training"]["megapixels"] == pytest.approx(steps * 2 * 32 * 32 / 1e6)
    more = here(photos, tmp_path / "run", *options, "--resume", "--max-steps", str(steps + 20), "--decay-steps", "20")
    assert more.returncode == 0, more.stderr
    rows = read_log(tmp_path / "run" / "log.csv")
    assert rows is not None
    last = rows[-1]
    assert last["megapixels"] == pytest.approx((steps + 20) * 2 * 32 * 32 / 1e6)
    assert last["learning_rate"] == pytest.approx(1e-3 / 20)


def test_budget_is_steps_or_minutes_whichever_ends_first():
    config = TrainConfig(data="d", output="o", max_steps=100, max_minutes=10)
    assert Progress(step=50, minutes=1).spent(config) == 0.5
    assert Progress(step=10, minutes=9).spent(config) == 0.9


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
