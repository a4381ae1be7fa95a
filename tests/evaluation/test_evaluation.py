"""`hf-denoise evaluate` on the packaged weights and on small data of its own."""

import csv
import inspect
import json
import math
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import skimage.data
from PIL import Image

from hf_denoise.cli.main import main
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError
from hf_denoise.evaluation.cases import CRITERIA, LARGEST_CROP, PICKS, Case, Gallery, crop_box, make_case
from hf_denoise.evaluation.measuring import gaussian_sigma
from hf_denoise.evaluation.peers import load_peers, nl_means
from hf_denoise.evaluation.report import best_methods
from hf_denoise.evaluation.run import evaluate
from hf_denoise.evaluation.summary import (
    INPUT,
    MODEL,
    Row,
    bootstrap_interval,
    jsonable,
    mean,
    measure_image,
    summarise,
    summarise_classes,
)
from hf_denoise.hub import tables
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.metrics.quality import psnr
from hf_denoise.noise.degradations import parse_degradation

if TYPE_CHECKING:
    from playwright.sync_api import Dialog


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


HOSTILE = "<img src=x onerror=alert(1)>$&"


def plate(kept: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(picture, clean, mask): a textured grey plate with a dark disc that keeps a share of its contrast."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :128]
    mask = (y - 40) ** 2 + (x - rng.integers(40, 90)) ** 2 < 8**2
    ground = 0.6 + 0.05 * np.sin(x / 9 + rng.uniform(0, 6))
    pictures = (np.repeat((ground - share * 0.3 * mask)[..., None], 3, axis=2) for share in (kept, 1))
    return *(picture.astype(np.float32) for picture in pictures), mask


@pytest.fixture(scope="module")
def plates(tmp_path_factory) -> Path:
    """Clean plates with masks: four of a class of a hostile name, two of "pit", one of "good" without a defect."""
    root = tmp_path_factory.mktemp("data") / "<b>plates"
    for number, defect in enumerate([HOSTILE] * 4 + ["pit"] * 2 + ["good"]):
        _, clean, mask = plate(seed=number)
        for role, image in (("images", clean), ("masks", mask & (defect != "good"))):
            file = root / role / defect / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            grey = image[..., 0] if image.ndim == 3 else image
            Image.fromarray((grey * 255.0).round().astype(np.uint8)).save(file)
    return root


@pytest.fixture(scope="module")
def plates_report(plates, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("plates") / "report"
    arguments = ["evaluate", "--data", str(plates), "--split", "all", "--sigma", "40", "--peers", "nl-means"]
    assert main([*arguments, "-o", str(out)]) == 0
    return out


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def test_classes_peers_and_intervals(plates_report):
    text = (plates_report / "evaluation.json").read_text()
    [result] = json.loads(text, parse_constant=refuse)["results"]
    assert result["counts"]["defect_psnr"] == result["counts"]["contrast_kept"] == 6 < result["images"] == 7
    assert result["input_contrast_kept"] == pytest.approx(1, abs=0.1)
    assert 0 < result["contrast_kept"] <= 1.1 and 0 <= result["structure"] <= 1
    peer = result["peers"]["nl-means"]
    assert peer["sigma"] == 40
    assert peer["psnr"] > result["input_psnr"] + 5
    for summary in (result, peer):
        for metric, bounds in summary["intervals"].items():
            assert bounds[0] <= summary[metric] <= bounds[1]
    assert result["lead"]["nl-means"]["psnr"] == pytest.approx(result["psnr"] - peer["psnr"])
    classes = result["classes"]
    assert [(name, group["images"]) for name, group in classes.items()] == [(HOSTILE, 4), ("good", 1), ("pit", 2)]
    assert classes["good"]["defect_psnr"] is classes["good"]["contrast_kept"] is None
    assert classes["good"]["psnr"] > 20
    assert classes["pit"]["intervals"]["psnr"] is None and classes["pit"]["peers"]["nl-means"]["psnr"] > 20
    assert 4 * classes[HOSTILE]["psnr"] + 2 * classes["pit"]["psnr"] + classes["good"]["psnr"] == pytest.approx(
        7 * result["psnr"]
    )


def test_csv_has_a_line_per_image_and_method(plates_report):
    [result] = json.loads((plates_report / "evaluation.json").read_text())["results"]
    with (plates_report / "images.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 7 * 3 and {line["degradation"] for line in lines} == {"gaussian:40"}
    for method, expected in (("input", result["input_psnr"]), ("model", result["psnr"])):
        own = [line for line in lines if line["method"] == method]
        assert np.mean([float(line["psnr"]) for line in own]) == pytest.approx(expected)
        assert sorted(line["defect"] for line in own) == sorted([HOSTILE] * 4 + ["pit"] * 2 + ["good"])
    good = next(line for line in lines if line["defect"] == "good")
    assert good["defect_psnr"] == good["contrast_kept"] == ""
    pits = [float(line["clean_contrast"]) for line in lines if line["defect"] == "pit"]
    assert pits == pytest.approx([-0.3 * 255] * 6, abs=8)


class Page(HTMLParser):
    """Tags, addresses and texts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_page_stands_alone_and_hostile_names_stay_text(plates_report):
    html = (plates_report / "evaluation.html").read_text()
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert "//" not in re.sub(r'src="data:image/jpeg;base64,[^"]*"', "", html), "an address of somewhere else"
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "b" if attributes else "script")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,"))
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["aria-label"]
    assert HOSTILE in page.texts
    assert any("<b>plates" in text for text in page.texts)
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids)), "two elements of one id: a reference may draw the wrong one"


def test_page_shows_the_numbers_of_the_report(plates_report):
    [result] = json.loads((plates_report / "evaluation.json").read_text())["results"]
    page = Page((plates_report / "evaluation.html").read_text())
    for summary in (result, result["peers"]["nl-means"], result["classes"]["pit"]):
        assert f"{summary['psnr']:.2f}" in page.texts and f"{summary['contrast_kept']:.2f}" in page.texts
    alternatives = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert None not in alternatives
    shown = {text.split(",")[0] for text in alternatives if text is not None}
    assert len(shown) == 7  # four worst and three best


@pytest.mark.slow
def test_page_opens_in_chromium(plates_report):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        installed = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if installed is None and not Path(driver.chromium.executable_path).exists():
            pytest.skip("no Chromium: install it with `playwright install chromium`, or the system's package")
        browser = driver.chromium.launch(executable_path=installed, args=["--no-sandbox"])
        for width in (1440, 390):
            view = browser.new_page(viewport={"width": width, "height": 900})
            said: list[str] = []
            asked: list[str] = []

            def dismiss(dialog: "Dialog") -> None:
                said.append(dialog.message)  # noqa: B023
                dialog.dismiss()

            view.on("console", lambda message: said.append(message.text))  # noqa: B023
            view.on("pageerror", lambda error: said.append(str(error)))  # noqa: B023
            view.on("dialog", dismiss)
            view.on("request", lambda request: asked.append(request.url))  # noqa: B023
            view.goto((plates_report / "evaluation.html").as_uri())
            assert view.evaluate("document.documentElement.scrollWidth") <= width
            assert view.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
            assert view.evaluate("document.querySelector('svg').getBoundingClientRect().height") > 100
            assert said == []
            assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        browser.close()


def row(image: str, method: str, **numbers: float) -> Row:
    nothing = dict.fromkeys(("psnr", "ssim", "defect_psnr", "contrast_kept", "structure", "clean_contrast"), math.nan)
    return Row(image=image, defect=None, degradation="", method=method, **{**nothing, **numbers})


def test_contrast_kept_is_summarised_by_the_median_and_counts_the_faded():
    kept = [1.0, 0.9, 0.95, 0.1, math.nan]
    rows = [row(str(n), method, psnr=20, contrast_kept=k) for n, k in enumerate(kept) for method in (INPUT, MODEL)]
    summary = summarise(rows)
    assert summary["contrast_kept"] == pytest.approx(0.925)
    assert (summary["faded"], summary["counts"]["contrast_kept"]) == (1, 4)
    assert summary["defect_psnr"] is None and summary["intervals"]["defect_psnr"] is None


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    for metric in ("psnr", "contrast_kept"):
        bounds = [bootstrap_interval(rng.normal(30, 2, 30).tolist(), metric) for _ in range(200)]
        assert None not in bounds
        assert 0.88 <= np.mean([low <= 30 <= high for low, high in filter(None, bounds)]) <= 0.99


def test_intervals_are_seeded_and_need_three_finite_values():
    assert bootstrap_interval([1.0, 2.0, 4.0], "psnr") == bootstrap_interval([1.0, 2.0, 4.0], "psnr")
    assert bootstrap_interval([5.0, 5.0, 5.0, math.nan], "psnr") == [5, 5]
    assert bootstrap_interval([1.0, 2.0, math.nan], "psnr") is None
    assert bootstrap_interval([1.0, 2.0, math.inf], "psnr") is None


def test_infinite_numbers_have_their_sign_and_the_largest_is_best():
    assert [tables.number(value, 1) for value in (math.inf, -math.inf, math.nan, 2.0)] == ["∞", "-∞", "-", "2.0"]
    peers = {name: {"psnr": value, "intervals": {}} for name, value in (("copy", math.inf), ("other", 40.0))}
    summary = {"psnr": 50.0, "intervals": {}, "peers": peers}
    assert best_methods(summary, [INPUT, MODEL, "copy", "other"], "psnr") == ["copy"]


def test_images_without_a_class_are_in_none():
    assert summarise_classes([row("a", method) for method in (INPUT, MODEL)]) == {}


def test_numbers_that_json_cannot_hold_become_null():
    clean = jsonable({"a": [math.inf, 1.0, {"b": math.nan}], "c": "inf"})
    assert json.dumps(clean, allow_nan=False) == '{"a": [null, 1.0, {"b": null}], "c": "inf"}'


@pytest.mark.parametrize(
    ("spec", "sigma"),
    [
        ("gaussian:25", 25),
        ("gaussian:0-55", None),
        ("gaussian:25|jpeg:40", None),
        ("gaussian:25+jpeg:40", None),
        ("speckle:25", None),
    ],
)
def test_peers_are_told_sigma_only_where_there_is_one(spec, sigma):
    assert gaussian_sigma(spec) == sigma


def test_peers_get_the_estimated_noise_where_there_is_no_sigma(plates):
    told = []

    def peer(noisy: np.ndarray, sigma: float) -> np.ndarray:
        told.append(sigma)
        return noisy

    unchanged = cast(Denoiser, lambda noisy: noisy)
    triplets = load_triplets(plates, splits=(0.0, 0.0, 1.0))["test"].select(range(2))
    for spec, low, high in (("gaussian:30", 30, 30), ("poisson-gaussian:30", 15, 35)):
        told.clear()
        evaluation, _ = evaluate(unchanged, triplets, spec, peers={"copy": peer})
        assert len(told) == 2 and all(low <= sigma <= high for sigma in told)
        assert evaluation.result["peers"]["copy"]["sigma"] == (30 if low == high else None)


@pytest.mark.parametrize("name", ["nl-means", "bm3d"])
@pytest.mark.parametrize("shape", [(48, 64), (5, 40)])
def test_peers_remove_noise_in_grey_and_colour_at_any_size(name, shape):
    if name == "bm3d":
        pytest.importorskip("bm3d")
    run = load_peers([name])[name]
    colour = skimage.data.astronaut()[: shape[0], : shape[1]].astype(np.float32) / 255
    grey = np.repeat(colour.mean(axis=2, keepdims=True), 3, axis=2)
    for clean in (colour, grey):
        noise = np.random.default_rng(0).normal(0, 25 / 255, clean.shape).astype(np.float32)
        noisy = clean + (noise if clean is colour else noise[..., :1])
        denoised = run(noisy, 25)
        assert denoised.shape == clean.shape
        assert psnr(denoised, clean) > psnr(noisy, clean) + 2
        assert clean is colour or (denoised == denoised[..., :1]).all()


def test_a_grey_picture_is_not_denoised_as_colour():
    """Its channels have the same noise: three of them together look like a colour picture that is very grainy."""
    clean = np.repeat(skimage.data.camera()[100:164, 100:164, None].astype(np.float32) / 255, 3, axis=2)
    noisy = clean + np.random.default_rng(0).normal(0, 25 / 255, (64, 64, 1)).astype(np.float32)
    as_colour = inspect.unwrap(nl_means)(noisy, 25)
    assert psnr(nl_means(noisy, 25), clean) > psnr(as_colour, clean) + 0.3


def test_a_peer_that_is_not_there_is_one_sentence(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "bm3d", None)
    out = tmp_path / "out"
    assert main(["evaluate", "--data", str(photos), "--peers", "bm3d", "-o", str(out)]) == 2
    assert "pip install bm3d" in capsys.readouterr().err
    assert not out.exists()
    with pytest.raises(UserError, match="nl-means, bm3d"):
        load_peers(["bm4d"])


def gallery_of(kept: list[float]) -> Gallery:
    """Images whose discs keep these shares of their contrast."""
    gallery = Gallery()
    for number, share in enumerate(kept):
        output, clean, mask = plate(share, seed=number)
        noisy = parse_degradation("gaussian:25")(clean, np.random.default_rng(number))
        outputs = {INPUT: noisy, MODEL: output}
        rows = {
            name: measure_image(picture, noisy, clean, mask, image=str(number)) for name, picture in outputs.items()
        }
        gallery.add(make_case(outputs, clean, mask, rows))
    return gallery


def test_the_worst_case_is_the_faded_defect_and_says_so():
    kept = [*np.linspace(0.8, 0.99, 9), 0.05, *np.linspace(0.81, 0.98, 9)]
    worst, best = gallery_of(kept).picks()
    assert (len(worst), len(best)) == (PICKS, PICKS)
    assert worst[0].case.rows[MODEL].image == "9"
    assert re.match(r"Lowest contrast kept: 0\.0\d \(median of all: 0\.[89]\d?\)", worst[0].reasons[0])
    assert best[0].case.rows[MODEL].image == "8"
    images = [pick.case.rows[MODEL].image for pick in (*worst, *best)]
    assert len(set(images)) == len(images)


def test_the_gallery_holds_few_pictures_and_still_finds_the_extremes():
    rng = np.random.default_rng(0)
    gallery = Gallery()
    numbers = rng.random((200, 5))
    for number, (kept, inside, removed, overall, similar) in enumerate(numbers):
        rows = {
            INPUT: row(str(number), INPUT, psnr=20, ssim=0.2, defect_psnr=20, contrast_kept=1),
            MODEL: row(
                str(number),
                MODEL,
                psnr=25 + 5 * overall,
                ssim=similar,
                defect_psnr=25 + 5 * inside,
                contrast_kept=kept,
                structure=removed,
            ),
        }
        gallery.add(Case(rows, {}, 1.0))
    assert len(gallery.cases) <= len(CRITERIA) * 2 * 2 * PICKS < 200
    for picks, extremes in zip(gallery.picks(), (numbers.argmin(axis=0), numbers.argmax(axis=0)), strict=True):
        assert picks[0].case.rows[MODEL].image == str(extremes[0]), "contrast kept"
        assert picks[1].case.rows[MODEL].image == str(extremes[1]), "gain in defect PSNR"
    assert gallery.picks()[0][2].case.rows[MODEL].image == str(numbers[:, 2].argmax()), "structure removed"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_images_are_shown_once(count):
    worst, best = gallery_of([0.9, 0.7, 0.5][:count]).picks()
    assert len(worst) + len(best) == count


def test_crops_show_the_largest_defect_or_else_the_largest_error():
    mask = np.zeros((600, 800), bool)
    mask[10:14, 10:14] = True
    mask[300:340, 500:530] = True
    rows, columns = crop_box(mask, np.zeros(mask.shape))
    assert rows.start <= 300 and rows.stop >= 340 and columns.start <= 500 and columns.stop >= 530
    error = np.zeros(mask.shape)
    error[590:, 790:] = 1
    rows, columns = crop_box(np.zeros_like(mask), error)
    assert rows.stop == 600 and columns.stop == 800
    rows, columns = crop_box(np.ones_like(mask), error)
    assert rows.stop - rows.start == columns.stop - columns.start == LARGEST_CROP


def test_mean_skips_what_is_not_there():
    assert mean([1.0, math.nan, 3.0]) == 2
    assert mean([math.nan]) is None
    assert mean([math.inf, 30.0]) == math.inf
