"""The tab Many images, in Chromium."""

import csv
import io
import os
import re
import shutil
import time
import zipfile
from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from page_server import Server, from_file, noisy_pixels, to_8_bits, upload, wait_until_idle
from PIL import Image

from hf_denoise.page import batch_run
from hf_denoise.page.batch_run import denoise_all

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

NO_ROWS = "A row for each picture comes here, before and after."


def open_tab(page: "Page") -> None:
    page.get_by_role("tab", name="Many images").click()


def denoise_all_button(page: "Page") -> "Locator":
    return page.get_by_role("button", name="Denoise all", disabled=False)


def status(page: "Page", text: str | re.Pattern[str]) -> "Locator":
    return page.locator("#many-status p").filter(has_text=text)


def results(page: "Page", to: Path) -> zipfile.ZipFile:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all results").click()
    download.value.save_as(to)
    return zipfile.ZipFile(to)


def test_a_row_for_each_picture_opens_in_the_comparison_and_what_failed_is_tried_again(
    page: "Page", server: Server, pictures: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:
        archive.write(pictures / "noisy.png", "line 1/a.png")
    shutil.copy(pictures / "truncated.jpg", tmp_path / "b & c.jpg")
    open_tab(page)
    files = [tmp_path / "shots.zip", tmp_path / "b & c.jpg", pictures / "clean.png"]
    page.locator("#many input[type=file]").set_input_files(files)
    page.get_by_text("shots").first.wait_for()
    denoise_all_button(page).click()
    status(page, "2 of 3, 1 failed.").wait_for()
    retry = page.get_by_role("button", name="Retry 1 failed")
    retry.wait_for()
    rows = page.locator("#table tbody tr")
    assert rows.evaluate_all("rows => rows.map((row) => row.className)") == ["done", "failed", "done"]
    assert "'b & c.jpg' is damaged" in rows.nth(1).inner_text()
    assert rows.locator("img").evaluate_all("images => images.map((image) => image.naturalWidth)") == [96] * 4

    rows.first.get_by_role("button").click()
    page.wait_for_function(
        "[...document.querySelectorAll('#many-comparison img')].every((image) => image.naturalWidth === 160)"
    )
    opened = page.locator("#opened").inner_text()
    assert "line 1/a.png" in opened and "of 255" in opened
    page.wait_for_function(  # no veil any more
        """() => {
            for (let seen = document.querySelector("#many-comparison .size"); seen; seen = seen.parentElement)
                if (getComputedStyle(seen).opacity !== "1") return false;
            return true;
        }"""
    )
    own = {"include": [["#table"], ["#many-comparison"], ["#opened"], ["#many-status"]]}
    found = Axe().run(page, own).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, [node["html"] + str(node["any"]) for each in serious for node in each["nodes"]]

    for given in (server.folder / "gradio").rglob("b & *.jpg"):  # as if it had been read while it was written
        given.write_bytes((pictures / "whole.jpg").read_bytes())
    retry.click()
    status(page, "All 3 are done.").wait_for()
    retry.wait_for(state="hidden")
    with results(page, tmp_path / "results.zip") as archive:
        assert set(archive.namelist()) == {"line 1/a.png", "b & c.jpg", "clean.png", "metrics.csv"}
        table = list(csv.DictReader(io.StringIO(archive.read("metrics.csv").decode())))
    assert [row["File"] for row in table] == ["line 1/a.png", "b & c.jpg", "clean.png"]
    assert float(table[0]["Noise before"]) > 3 * float(table[0]["Noise after"])
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_is_done_when_a_run_is_cancelled_is_there_and_the_rest_goes_on(
    page: "Page", server: Server, pictures: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (3000, 1000), "grey").save(tmp_path / "wide.png")
    open_tab(page)
    page.locator("#many input[type=file]").set_input_files([pictures / "noisy.png", tmp_path / "wide.png"])
    denoise_all_button(page).click()
    status(page, re.compile(r"1 of 2\. 'wide\.png': tile \d")).wait_for()
    page.locator("#many-cancel").click()
    status(page, "Cancelled. 1 of 2.").wait_for()
    page.get_by_role("button", name="Continue with 1").wait_for()
    assert page.locator("#many-cancel").is_disabled()
    with results(page, tmp_path / "first.zip") as found:
        assert set(found.namelist()) == {"noisy.png", "metrics.csv"}
    wait_until_idle(server, 20)
    page.get_by_role("button", name="Continue with 1").click()
    status(page, "All 2 are done.").wait_for()
    with results(page, tmp_path / "second.zip") as found:
        assert set(found.namelist()) == {"noisy.png", "wide.png", "metrics.csv"}


def test_other_files_take_the_place_of_those_at_work(page: "Page", pictures: Path) -> None:
    open_tab(page)
    files, table = page.locator("#many"), page.locator("#table")
    upload(page, "#many", pictures / "large.png")
    files.get_by_text("large").first.wait_for()
    denoise_all_button(page).click()
    status(page, "/20").wait_for()  # tiles
    files.get_by_label("Clear").click()
    upload(page, "#many", pictures / "noisy.png")
    files.get_by_text("noisy").first.wait_for()
    assert page.get_by_role("button", name="Download all results").is_disabled()
    denoise_all_button(page).click()
    status(page, "All 1 are done.").wait_for()
    assert table.get_by_text("noisy.png").count() and not table.get_by_text("large.png").count()


def test_a_picture_added_stops_the_run_without_it(page: "Page", server: Server, pictures: Path) -> None:
    open_tab(page)
    files, run = page.locator("#many"), page.get_by_role("button", name="Denoise all")
    assert run.is_disabled()
    upload(page, "#many", pictures / "large.png")
    files.get_by_text("large").first.wait_for()
    run.click()
    status(page, "/20").wait_for()  # tiles
    upload(page, "#many", pictures / "noisy.png")
    page.locator("#many-status p").filter(has_not_text="/20").wait_for(state="attached")
    wait_until_idle(server, 20)
    assert page.locator("#table").inner_text() == NO_ROWS  # what was stopped is no error
    assert page.get_by_role("button", name="Download all results").is_disabled()


# The functions behind it


@pytest.fixture
def run(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> batch_run.BatchRun:
    """Of a picture larger than its preview."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    to_8_bits(np.tile(noisy_pixels(), (3, 9, 1))).save(tmp_path / "wide.png")
    *_, (_, _, last) = denoise_all([str(tmp_path / "wide.png"), str(pictures / "noisy.png")], 0.8, None, 0)
    return last


def looked_at(**data: Any) -> Any:
    return SimpleNamespace(_data=data)


def test_what_is_seen_at_1_1_are_the_pixels_of_the_file(run: batch_run.BatchRun) -> None:
    shown, opened, row = batch_run.open_row(run, looked_at(row=0))
    assert (shown["width"], shown["preview"], opened["name"], row) == (1440, 1280, "wide.png", 0)
    where = {"left": 700, "top": 100, "width": 60, "height": 50, "shrink": 1}
    part = batch_run.part_of_row(run, row, looked_at(**where, version="x"))
    for name, file in (("before", run.members[0].path), ("after", run.rows[0].file)):
        seen = Image.open(io.BytesIO(b64decode(part[name].partition(",")[2])))
        assert np.array_equal(np.asarray(seen, np.float32) / 255, from_file(str(file))[100:150, 700:760])


@pytest.mark.parametrize("row", [2, -1, "0", None])
def test_a_row_that_is_not_there_is_one_sentence(run: batch_run.BatchRun, row: object) -> None:
    with pytest.raises(Exception, match="no result of this picture"):
        batch_run.open_row(run, looked_at(row=row))


def test_pictures_that_wait_for_long_are_not_swept_away(run: batch_run.BatchRun) -> None:
    uploads = Path(os.environ["GRADIO_TEMP_DIR"])
    waiting = [uploads / f"{name}.png" for name in "ab"]
    for file in waiting:
        to_8_bits(noisy_pixels()).save(file)
    work = denoise_all([str(file) for file in waiting], 1.0, None, 0)
    next(work)
    old = time.time() - 3500
    for file in waiting:
        os.utime(file, (old, old))
    for _, _, now in work:
        if now.rows[0].file:
            break
    assert all(time.time() - file.stat().st_mtime < 600 for file in waiting)
