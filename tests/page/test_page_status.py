"""What the page says and keeps when a picture fails, is cancelled or waits, in Chromium."""

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from page_server import Server, scores, upload, wait_for_result, wait_until_idle

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def status(page: "Page") -> "Locator":
    return page.locator("#denoise-status p")


def download(page: "Page") -> "Locator":
    return page.get_by_role("button", name="Download in full quality")


def cancel(page: "Page") -> "Locator":
    return page.locator("#denoise-cancel")


SEEN_IN_THE_MIDDLE = """(field) => {
    const box = field.getBoundingClientRect();
    const top = document.elementFromPoint(box.x + box.width / 3, box.y + box.height / 2);
    return top.closest("[data-testid=status-tracker]") === null && field.contains(top);
}"""


def assert_result_of_noisy(page: "Page") -> None:
    page.locator("#comparison").scroll_into_view_if_needed()
    assert page.locator("#comparison img").last.evaluate("(image) => image.naturalWidth") == 160
    assert page.locator("#comparison").evaluate(SEEN_IN_THE_MIDDLE)
    assert page.locator("#metrics dt").count()
    assert cancel(page).is_disabled()
    with page.expect_download() as downloaded:
        download(page).click()
    assert downloaded.value.suggested_filename == "noisy-denoised.png"


def test_a_mistake_keeps_the_last_result_and_says_why(page: "Page", server: Server, pictures: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    page.get_by_role("button", name="More").click()

    strength = page.get_by_label("number input for Strength").first
    for mistake, reason in (
        (lambda: strength.fill("3"), "Strength must lie between 0 and 1, got 3"),
        (lambda: upload(page, "#mask", pictures / "small-mask.png"), "'small-mask.png' has 160 x 60 pixels"),
        (lambda: upload(page, "#intake", pictures / "truncated.jpg"), "'truncated.jpg' is damaged"),
        (lambda: upload(page, "#intake", pictures / "huge.png"), "'huge.png'"),
    ):
        mistake()
        still_shown = status(page).filter(has_text="Still shown: the last result, of 'noisy.png'.")
        still_shown.filter(has_text=reason).wait_for()
        assert str(server.folder) not in status(page).inner_text()
        assert_result_of_noisy(page)
        if "Strength" in reason:
            strength.fill("1")
            status(page).wait_for(state="hidden")
    wait_for_result(page, page.get_by_alt_text("Example: Scanned page, noisy").click)
    status(page).wait_for(state="hidden")
    assert "Traceback" not in server.log()


def test_cancel_is_active_while_a_picture_is_at_work_and_keeps_the_last_result(
    page: "Page", server: Server, pictures: Path
) -> None:
    assert cancel(page).is_disabled()
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    page.wait_for_function("document.querySelector('#denoise-cancel').disabled")
    page.locator("#picture").get_by_label("Clear").click()
    page.wait_for_timeout(500)
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    upload(page, "#intake", pictures / "large.png")
    page.locator("#comparison").get_by_text("/20").wait_for()  # tiles
    assert page.locator("#outcome").evaluate("(outcome) => outcome.inert")  # of the picture before
    cancel(page).click()
    status(page).filter(has_text="Cancelled. Still shown: the last result, of 'noisy.png'.").wait_for()
    wait_until_idle(server, 20)
    assert_result_of_noisy(page)


def test_other_tabs_say_that_they_were_cancelled(page: "Page", server: Server, pictures: Path) -> None:
    for tab, field, start, told in (
        ("Many images", "many", "Denoise all", "#many-status"),
        ("Try it", "original", None, "#noisy-comparison"),
    ):
        page.get_by_role("tab", name=tab).click()
        name = "many" if field == "many" else "noisy"
        button, line = page.locator(f"#{name}-cancel"), page.locator(f"#{name}-status p")
        assert button.is_disabled()
        upload(page, f"#{field}", pictures / "large.png")
        if start:
            page.get_by_role("button", name=start, disabled=False).click()
        page.locator(told).get_by_text("/20").wait_for()  # tiles
        button.click()
        line.filter(has_text="Cancelled").wait_for()
        assert button.is_disabled()
        wait_until_idle(server, 20)


def test_the_log_has_no_trace_of_a_path_that_is_no_upload(server: Server) -> None:
    asked = {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, 1, None, None, "", "", None]}
    event = httpx.post(f"{server.url}gradio_api/call/denoise", json=asked).json()["event_id"]
    answer = httpx.get(f"{server.url}gradio_api/call/denoise/{event}", timeout=30).text
    assert "event: error" in answer
    assert "Traceback" not in server.log()


def test_figures_say_which_way_is_better(page: "Page", pictures: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    words = page.locator("#metrics p").inner_text()
    before, after = scores(page)["Estimated noise level"]
    assert words.startswith(f"Noise fell from {before:.3g} to") and words.endswith("grey levels.")
    assert after < before / 2
    figure = page.locator("#metrics dl > div").first
    assert "estimated from the picture" in (figure.get_attribute("title") or "")
    assert figure.locator("[role=img]").get_attribute("aria-label") == "better"
