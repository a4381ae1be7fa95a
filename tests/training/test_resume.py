"""Runs that are killed, stopped, and gone on with."""

import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from finished_runs import all_weights, report
from safetensors.torch import load_file
from train_command import ROOT, command, here, run

from hf_denoise import DenoisingUNet
from hf_denoise.training.log import read_log

pytestmark = pytest.mark.slow


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
