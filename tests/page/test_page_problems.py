"""After an error or a cancel the page shows the last good result, and says what went wrong."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from page_server import scores, upload, wait_for_result
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


def shown_again(page: "Page", said: str) -> None:
    """Wait until the page says so, and all parts of a result are there and can be seen."""
    page.locator("#problem").filter(has_text=said).wait_for()
    page.wait_for_function(
        """() => {
            const images = [...document.querySelectorAll("#comparison img")];
            const seen = images.length === 2 && images.every((image) => image.naturalWidth > 0 && image.offsetParent);
            return seen && document.querySelector("#metrics dt");
        }"""
    )
    box = page.locator("#comparison").bounding_box()
    assert box
    on_top = page.evaluate(
        "([x, y]) => document.elementFromPoint(x, y).closest('#comparison img, #comparison *') !== null",
        [box["x"] + box["width"] / 4, box["y"] + box["height"] / 2],
    )
    assert on_top
    # What an error once covered with: a status over the whole panel.
    covering = page.locator("#comparison [data-testid=status-tracker]").evaluate_all(
        "trackers => trackers.some((tracker) => getComputedStyle(tracker).opacity > 0.1 && tracker.innerText.trim())"
    )
    assert not covering


def test_a_file_that_cannot_be_read_leaves_the_result_before_it(page: "Page", pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_text("no picture\n")
    before = scores(page)
    upload(page, "#picture", tmp_path / "letter.png")
    shown_again(page, "'letter.png' is not a PNG")
    page.locator("#problem").filter(has_text="still the result of the first example").wait_for()
    assert scores(page) == before
    with page.expect_download() as download:
        page.get_by_role("button", name="Download in full quality").click()
    assert download.value.suggested_filename.endswith("-denoised.png")
    wait_for_result(page, page.locator("#picture").get_by_label("Clear").click)
    page.locator("#problem").wait_for(state="hidden")


def test_a_reference_of_another_size_leaves_the_result(page: "Page", pictures: Path, tmp_path: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    noise = scores(page)["Estimated noise level"]
    Image.new("RGB", (40, 30)).save(tmp_path / "small.png")
    page.get_by_role("button", name="Measure against a reference or mask").click()
    upload(page, "#reference", tmp_path / "small.png")
    shown_again(page, "small.png")
    page.locator("#problem").filter(has_text="still the result of 'noisy.png'").wait_for()
    assert scores(page)["Estimated noise level"] == noise


def test_figures_say_which_way_is_better(page: "Page", pictures: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    words = page.locator("#metrics p").inner_text()
    before, after = scores(page)["Estimated noise level"]
    assert words.startswith(f"Noise fell from {before:.3g} to") and words.endswith("grey levels.")
    assert after < before / 2
    figure = page.locator("#metrics dl > div").first
    assert "estimated from the picture" in (figure.get_attribute("title") or "")
    assert figure.locator("[role=img]").get_attribute("aria-label") == "better"
