"""`hf-denoise evaluate` on the packaged weights and on small data of its own."""

import json
import math

import numpy as np
import pytest
import skimage.data
from PIL import Image

from hf_denoise.cli import main
from hf_denoise.evaluation import mean


def crops(count: int, size: int = 96) -> list[np.ndarray]:
    photo = skimage.data.astronaut()
    return [photo[60 * n : 60 * n + size, 100 : 100 + size] for n in range(count)]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, crop in enumerate(crops(4)):
        Image.fromarray(crop).save(folder / f"{number}.png")
    return folder


def test_table_json_and_picture(photos, tmp_path, capsys):
    out = tmp_path / "report"
    assert main(["evaluate", "--data", str(photos), "--split", "all", "--sigma", "15", "50", "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    results = json.loads((out / "evaluation.json").read_text())["results"]
    assert [result["degradation"] for result in results] == ["gaussian:15", "gaussian:50"]
    for result, sigma in zip(results, (15, 50), strict=True):
        assert result["images"] == 4
        assert result["input_psnr"] == pytest.approx(-20 * math.log10(sigma / 255), abs=0.15)
        assert result["psnr"] > result["input_psnr"] + 5
        assert result["ssim"] > result["input_ssim"] + 0.05
        assert result["defect_psnr"] is None
        assert f"{result['psnr']:.2f}" in printed
    assert (out / "evaluation.md").read_text() in printed
    sheet = Image.open(out / "grid-gaussian-50.png")
    assert sheet.width > 3 * 96 and sheet.height > 4 * 96


def test_same_numbers_at_every_evaluation(photos, tmp_path, capsys):
    reports = []
    for name in ("first", "second"):
        arguments = ["evaluate", "--data", str(photos), "--split", "all", "--degradation", "mixture"]
        assert main([*arguments, "-o", str(tmp_path / name)]) == 0
        reports.append((tmp_path / name / "evaluation.json").read_text())
    assert reports[0] == reports[1]


def test_triplets_are_measured_as_they_are_and_inside_the_masks(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for folder in ("clean", "mask", "degraded"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for number, clean in enumerate(crops(3)):
        mask = np.zeros(clean.shape[:2], np.uint8)
        mask[40:50, 20:70] = 255
        noisy = (clean + rng.normal(0, 20, clean.shape)).clip(0, 255).astype(np.uint8)
        for folder, image in (("clean", clean), ("mask", mask), ("degraded", noisy)):
            Image.fromarray(image).save(tmp_path / "data" / folder / f"{number}.png")
    arguments = ["evaluate", "--data", str(tmp_path / "data"), "--split", "all", "--sigma", "15", "25"]
    assert main([*arguments, "-o", str(tmp_path / "report")]) == 0
    [result] = json.loads((tmp_path / "report" / "evaluation.json").read_text())["results"]
    assert result["degradation"] == "as in the data"
    assert result["defect_psnr"] > result["input_defect_psnr"] + 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--data", "no-such-folder"], "no-such-folder"),
        (["--split", "tset"], "has no split 'tset'"),
        (["--degradation", "blur:3"], "unknown kind 'blur'"),
        (["--output", "/dev/null/x"], "cannot write to '/dev/null/x'"),
    ],
)
def test_bad_input_is_one_sentence(photos, tmp_path, options, sentence, capsys):
    assert main(["evaluate", "--data", str(photos), "-o", str(tmp_path / "out"), *options]) == 2
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_mean_skips_what_is_not_there():
    assert mean([1.0, math.nan, 3.0]) == 2
    assert mean([math.nan]) is None
    assert mean([math.inf, 30.0]) == math.inf
