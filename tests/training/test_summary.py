"""What a run says of itself before its first step and at its end; the commands that it prints are run."""

import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from train_command import here, picture

from hf_denoise import Denoiser, DenoisingUNet
from hf_denoise.cli.main import main
from hf_denoise.training.log import read_log
from hf_denoise.training.run_folder import read_report

pytestmark = pytest.mark.slow

SUMMARY = {
    "Data": "data",
    "Layout": "a folder for each role (clean, mask, degraded)",
    "Triplets": "22: train 16, validation 4, test 2",
    "Source images": "train 7, validation 2, test 1",
    "With a defect in the mask": "train 9 of 16, validation 2 of 4",
    "With a degraded image": "train 16 of 16, validation 4 of 4",
    "Degraded images": "as in the data",
    "Patches": "crops of 32 px, flipped and turned, 15% grey, 50% of those with a defect cut around it",
    "Encoder": "resnet10t, random weights",
    "Device": "1 x cpu",
    "Precision": "float32",
    "Validation images": "4",
    "Patches per step": "4 = batch 2 x accumulate 2 x processes 1",
    "Steps": "30, evaluated every 10",
    "Time": "said after the first steps",
}


@pytest.fixture
def data(tmp_path) -> Path:
    """10 source images in 22 versions, half of them with a defect."""
    for role in ("clean", "mask", "degraded"):
        (tmp_path / "data" / role).mkdir(parents=True)
    for number in range(22):
        clean = picture(np.random.default_rng(number % 10))
        mask = np.full((64, 64), 255 * (number % 2), np.uint8)
        noise = np.random.default_rng(number).normal(0, 20, clean.shape)
        for role, image in (("clean", clean), ("mask", mask), ("degraded", (clean + noise).clip(0, 255))):
            Image.fromarray(image.astype(np.uint8)).save(tmp_path / "data" / role / f"{number:02}.png")
    return tmp_path / "data"


def said(text: str) -> dict[str, str]:
    """The lines of the summary: a name, two spaces or more, a value."""
    found = (re.match(r"(\w[\w ]*?) {2,}(\S.*)$", line) for line in text.splitlines())
    return {match[1]: match[2] for match in found if match}


def test_all_that_decides_a_run_is_said_before_its_first_step_and_kept(data, tmp_path):
    options = ("--max-steps", "30", "--eval-every", "10", "--batch", "2", "--accumulate", "2", "--precision", "no",
               "--max-train-samples", "99")  # fmt: skip
    result = here(data, tmp_path / "run", *options)
    assert result.returncode == 0, result.stderr
    before, _, after = result.stderr.partition("0/30")
    found = said(before)
    assert {name: found.get(name) for name in SUMMARY} == SUMMARY and "Trained on" not in found
    assert re.search(r"about \d+ s for the other 10 steps, evaluations not counted", after)
    card = (tmp_path / "run/last/README.md").read_text()
    for name in ("Layout", "Triplets", "Source images", "Encoder", "Precision", "Patches per step"):
        assert f"- {name}: {SUMMARY[name]}" in card
    model = DenoisingUNet.from_pretrained(tmp_path / "run" / "last")
    assert found["Parameters"] == f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} million"
    events = EventAccumulator(str(tmp_path / "run" / "hf_denoise"))
    events.Reload()
    (text,) = events.Tensors("summary/text_summary")
    assert "| Layout | a folder for each role (clean, mask, degraded) |" in text.tensor_proto.string_val[0].decode()
    # Hyperparameters, and the same pictures at every evaluation: those with a defect first.
    (kept,) = (tmp_path / "run" / "hf_denoise").glob("*/hparams.yml")
    values = yaml.safe_load(kept.read_text())
    assert (values["data"], values["batch"], values["decoder_channels"]) == ("data", 2, "32 16")
    tags = [tag for tag in events.Tags()["images"] if tag.startswith("examples/")]
    assert len(tags) == 4
    shown = [Image.open(io.BytesIO(event.encoded_image_string)) for event in events.Images(tags[0])]
    assert [event.step for event in events.Images(tags[0])] == [10, 20, 30]
    noisy, results, cleans = ([np.asarray(image)[:, 68 * n : 68 * n + 64] for image in shown] for n in range(3))
    name = tags[0].removeprefix("examples/")
    assert np.array_equal(cleans[0], np.asarray(Image.open(data / "clean" / f"{name}.png")))  # its mask is all of it
    assert np.array_equal(noisy[0], np.asarray(Image.open(data / "degraded" / f"{name}.png")))
    assert np.array_equal(noisy[0], noisy[2]) and not np.array_equal(results[0], results[2])


def test_the_end_says_what_was_reached_and_the_commands_that_it_names_work(data, tmp_path, capsys):
    options = ("--max-steps", "6", "--eval-every", "2", "--batch", "2", "--precision", "no", "--seed", "3",
               "--max-train-samples", "12", "--max-eval-samples", "3")  # fmt: skip
    result = here(data, tmp_path / "a run", *options)
    assert result.returncode == 0, result.stderr
    best, measure, use, python = result.stdout.splitlines()
    report = read_report(tmp_path / "a run" / "best", "best")
    assert report is not None
    psnr, step = report["results"][0]["psnr"], report["training"]["steps"]
    assert best == f"best validation PSNR {psnr:.2f} dB at step {step}, in '{tmp_path}/a run/best'"
    _, *arguments = shlex.split(measure.partition(": ")[2])
    assert main([*arguments, "--output", str(tmp_path / "report")]) == 0
    assert (tmp_path / "report" / "evaluation.json").is_file()
    Image.fromarray(picture(np.random.default_rng(0))).save(tmp_path / "noisy.jpg")
    _, *arguments = shlex.split(use.partition(": ")[2].replace("noisy.jpg", f"{tmp_path}/noisy.jpg"))
    arguments[arguments.index("-o") + 1] = str(tmp_path / "denoised.png")
    assert main(arguments) == 0 and (tmp_path / "denoised.png").is_file()
    assert isinstance(eval(python.partition(":")[2].strip(), {"Denoiser": Denoiser}), Denoiser)
    assert said(result.stderr)["Trained on"] == "12 of 15 triplets, drawn by seed 3"
    assert said(result.stderr)["Validation images"] == "the first 3 of 5"
    # A resumed run says where it goes on, and where its encoder comes from.
    more = here(data, tmp_path / "a run", "--resume", "--max-steps", "8", "--max-minutes", "5")
    found = said(more.stderr.partition("6/8")[0])
    assert (found["Steps"], found["Time"]) == ("8, evaluated every 2; 6 are done", "at most 5 minutes")
    assert found["Encoder"] == "resnet10t, random weights"


def test_weights_that_training_starts_from_are_named(data, tmp_path):
    few = ("--max-steps", "1", "--batch", "1", "--precision", "no", "--init-from", "packaged", "--freeze-encoder")
    result = here(data, tmp_path / "run", *few)
    assert result.returncode == 0, result.stderr
    found = said(result.stderr)
    # The start is evaluated, too: in the log, and beside each evaluation and the best one.
    rows = read_log(tmp_path / "run" / "log.csv")
    assert rows is not None and rows["step"].tolist() == [0, 1] and np.isfinite(rows["defect_psnr"]).all()
    start, now = rows["defect_psnr"].round(2).tolist()
    line = f"defects: {now:.2f} dB, {now - start:+.2f} against the start; images: {rows['psnr'][1]:.2f} dB, "
    assert f"step 1: {line}" in result.stderr and line in result.stdout
    assert re.fullmatch(r"resnet18, with the decoder from the weights in hf_denoise \S+", found["Encoder"])
    assert re.fullmatch(r"0\.96 million, 0\.\d\d trained", found["Parameters"])
