"""The report: classes, peers, intervals, its page and its table."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hf_denoise.cli.main import main

if TYPE_CHECKING:
    from playwright.sync_api import Dialog
from report_rows import HOSTILE


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
