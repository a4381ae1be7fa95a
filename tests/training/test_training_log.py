"""The log of a run, as the loop writes it through Accelerate and as a resumed run goes on with it; and its picture."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from accelerate import Accelerator
from numpy.typing import NDArray
from PIL import Image

from hf_denoise.training.curves import kept_row, learning_curves
from hf_denoise.training.log import TrainingLog, read_log

SCORES = {"validation/psnr": 30.5, "validation/ssim": 0.9, "validation/defect_psnr": math.nan}


def train(log: TrainingLog, steps: range, *, loss: float = 0.5) -> None:
    """What the loop logs: scalars every 10 steps, scores every 25."""
    for step in steps:
        if step % 10 == 0:
            log.log({"loss": loss, "learning_rate": 1e-3, "images_per_second": 60.0}, step=step)
        if step % 25 == 0:
            log.log(SCORES, step=step)


def logged(path: Path) -> NDArray[np.void]:
    rows = read_log(path)
    assert rows is not None
    return rows


def test_accelerate_logs_rows_that_are_read_as_one_per_step(tmp_path):
    accelerator = Accelerator(log_with=[TrainingLog(tmp_path / "log.csv")], project_dir=tmp_path)
    accelerator.init_trackers("hf_denoise", config={"seed": 1})
    accelerator.log({"loss": 0.25, "learning_rate": 0.001}, step=10)
    accelerator.log({"loss": 0.125, "learning_rate": 0.001}, step=20)
    accelerator.log(SCORES, step=20)
    accelerator.log(SCORES, step=25)
    accelerator.end_training()
    rows = logged(tmp_path / "log.csv")
    assert rows["step"].tolist() == [10, 20, 25]
    np.testing.assert_equal(rows["loss"], [0.25, 0.125, math.nan])
    np.testing.assert_equal(rows["psnr"], [math.nan, 30.5, 30.5])
    np.testing.assert_equal(rows["defect_psnr"], [math.nan] * 3)


@pytest.mark.parametrize("killed_at", [50, 59, 60, 85])
def test_resumed_run_has_the_rows_of_a_whole_one(tmp_path, killed_at):
    """The checkpoint is that of step 50; what the killed sitting logged after it is logged again."""
    train(TrainingLog(tmp_path / "whole.csv"), range(1, 101))
    train(TrainingLog(tmp_path / "resumed.csv"), range(1, 51))
    with open(tmp_path / "resumed.csv", "a") as file:
        file.write("".join(f"{step},,0.9,0.001,60,,,,,\n" for step in range(60, killed_at + 1, 10)))
        file.write("77,9,0.9,,,,,,,\n90,0.4")  # a step that the resumed run does not log, and half a row
    train(TrainingLog(tmp_path / "resumed.csv"), range(51, 101))
    np.testing.assert_equal(*(logged(tmp_path / name).tolist() for name in ("resumed.csv", "whole.csv")))


def test_new_run_replaces_the_log_of_one_that_was_killed_before_its_first_checkpoint(tmp_path):
    for loss in (0.5, 0.25):
        train(TrainingLog(tmp_path / "log.csv"), range(1, 31), loss=loss)
    rows = logged(tmp_path / "log.csv")
    assert rows["step"].tolist() == [10, 20, 25, 30]
    np.testing.assert_equal(rows["loss"], [0.25, 0.25, math.nan, 0.25])
    np.testing.assert_equal(rows["psnr"], [math.nan, math.nan, 30.5, math.nan])


EARLIER = "step,megapixels,loss,learning_rate,images_per_second,waiting_for_data,psnr,ssim,defect_psnr\n"


@pytest.mark.parametrize("cut", ["", "30,0.3,0.1"])
def test_a_log_from_before_the_limit_is_read_and_gone_on_with(tmp_path, cut):
    path = tmp_path / "log.csv"
    path.write_text(EARLIER + "10,0.1,0.5,0.001,60,0,,,\n20,0.2,0.25,0.001,60,0,30.5,0.9,\n" + cut)
    rows = logged(path)
    assert rows["step"].tolist() == [10, 20] and rows["psnr"][1] == 30.5
    np.testing.assert_equal(rows["limit_80"], [math.nan] * 2)
    TrainingLog(path).log({**SCORES, "validation/limit_80": 12.25}, step=30)
    rows = logged(path)
    assert rows["step"].tolist() == [10, 20, 30] and rows["loss"].tolist()[:2] == [0.5, 0.25]
    np.testing.assert_equal(rows["limit_80"], [math.nan, math.nan, 12.25])
    assert rows["psnr"].tolist()[1:] == [30.5, 30.5]


def test_a_limit_beyond_all_that_was_tried_is_infinite(tmp_path):
    TrainingLog(tmp_path / "log.csv").log({"validation/limit_80": math.inf}, step=1)
    assert logged(tmp_path / "log.csv")["limit_80"].tolist() == [math.inf]


def test_a_scalar_without_a_column_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no column lambda"):
        TrainingLog(tmp_path / "log.csv").log({"lambda": 5}, step=1)
    assert not (tmp_path / "log.csv").exists()


@pytest.mark.parametrize("content", [None, b"", b"date,event\n1,2\n", b"\xff\xfe"])
def test_other_tables_are_no_training_log(tmp_path, content):
    if content is not None:
        (tmp_path / "log.csv").write_bytes(content)
    assert read_log(tmp_path / "log.csv") is None


def picture(path, steps: range, **options) -> np.ndarray:
    train(TrainingLog(path), steps, **options)
    png = learning_curves(logged(path))
    assert png == learning_curves(logged(path))  # else every push would be a new commit
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


@pytest.mark.slow
def test_curves_are_opaque_on_white_and_follow_the_log(tmp_path):
    image = picture(tmp_path / "log.csv", range(1, 101))
    assert image.shape == (1050, 1200, 4)
    assert image[..., 3].min() == 255
    assert (image[:5] == 255).all() and (image[-5:] == 255).all()
    assert (picture(tmp_path / "other.csv", range(1, 101), loss=0.1) != image).any()


@pytest.mark.parametrize("steps", [range(10, 11), range(25, 26)])
def test_curves_of_a_run_that_just_began(tmp_path, steps):
    """No evaluation yet, or no loss yet."""
    assert (picture(tmp_path / "log.csv", steps)[..., :3] < 128).any()


def test_weights_of_the_start_are_not_the_kept_ones(tmp_path):
    log = TrainingLog(tmp_path / "log.csv")
    log.log({**SCORES, "validation/psnr": 99}, step=0)
    assert kept_row(logged(log.path)) is None
    learning_curves(logged(log.path))
    train(log, range(1, 31))
    assert logged(log.path)["step"][kept_row(logged(log.path))] == 25


def test_curves_show_the_limit_where_it_was_measured(tmp_path):
    log = TrainingLog(tmp_path / "log.csv")
    train(log, range(1, 31))
    before = learning_curves(logged(tmp_path / "log.csv"))
    log.log({**SCORES, "validation/limit_80": 12.25}, step=31)
    heights = [Image.open(io.BytesIO(png)).height for png in (before, learning_curves(logged(tmp_path / "log.csv")))]
    assert heights == [1050, 1275]
