"""`hf-denoise evaluate` on the packaged weights and on small data of its own."""

import json
import math

import numpy as np
import pytest
from PIL import Image
from report_rows import crops

from hf_denoise.cli.main import main


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
    assert printed.splitlines()[-1] == str(out / "evaluation.html")
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
    assert main([*arguments, "--limit", "2", "-o", str(tmp_path / "report")]) == 0
    [result] = json.loads((tmp_path / "report" / "evaluation.json").read_text())["results"]
    assert result["degradation"] == "as in the data"
    assert (result["images"], result["split"]) == (2, "all[:2]")
    assert "all, the first 2 of 3 images, 2 with a defect mask" in (tmp_path / "report/evaluation.html").read_text()
    assert result["defect_psnr"] > result["input_defect_psnr"] + 2


def test_options_that_are_not_used_are_named_and_can_be_used_all_the_same(tmp_path, caplog):
    rng = np.random.default_rng(0)
    for number, clean in enumerate(crops(2, 48)):
        for folder, image in (("sauber", clean), ("LQ_2", clean + rng.normal(0, 20, clean.shape))):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / "data" / folder / f"{number}.png")
    arguments = ["evaluate", "--data", str(tmp_path / "data"), "--split", "all", "--sigma", "15", "50"]
    arguments += ["--columns", "clean=sauber", "degraded=LQ_2"]
    for options, degradations in (([], ["as in the data"]), (["--make-degraded"], ["gaussian:15", "gaussian:50"])):
        caplog.clear()
        more_than_there_are = ("--limit", "9")
        assert main([*arguments, *options, *more_than_there_are, "-o", str(tmp_path / "report"), "--overwrite"]) == 0
        results = json.loads((tmp_path / "report" / "evaluation.json").read_text())["results"]
        assert [result["degradation"] for result in results] == degradations and results[0]["split"] == "all"
        said = "brings degraded images, so --sigma and --degradation are not used; --make-degraded uses them"
        assert (said in caplog.text) == (not options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--data", "no-such-folder"], "no-such-folder"),
        (["--columns", "clean=sharp"], "--columns clean=sharp: sharp names nothing in"),
        (["--columns", "sharp"], "give each role once and its name"),
        (["--split", "tset"], "has no split 'tset'"),
        (["--seed", "-1"], "The seed is -1"),
        (["--dataset-revision", "v1"], "is a folder here, which has no --dataset-revision 'v1': leave that out"),
        (["--limit", "0"], "--limit must be at least 1, got 0"),
        (["--degradation", "blur:3"], "unknown kind 'blur'"),
        (["--output", "/dev/null/x"], "cannot write to '/dev/null/x'"),
    ],
)
def test_bad_input_is_one_sentence(photos, tmp_path, options, sentence, capsys):
    assert main(["evaluate", "--data", str(photos), "-o", str(tmp_path / "out"), *options]) == 2
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
