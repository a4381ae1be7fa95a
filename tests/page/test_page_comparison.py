"""The comparison: zoom and pan by wheel, pinch, drag, keyboard and buttons, and the pixels themselves at 1:1."""

import io
import re
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from page_server import noisy_pixels, to_8_bits, upload, wait_for_result
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

PART = "() => document.querySelector('#comparison .before canvas').toDataURL()"
PLACES = """() => [...document.querySelectorAll("#comparison .layer img")].map((image) => {
    const box = image.getBoundingClientRect();
    return [box.x, box.y, box.width];
})"""


def zoom(page: "Page") -> int:
    return int(page.locator("#comparison output").inner_text().split()[0])


def wait_for_zoom(page: "Page", wanted: str) -> None:
    page.wait_for_function(
        "(wanted) => eval(`parseInt(document.querySelector('#comparison output').value) ${wanted}`)", arg=wanted
    )


def seen(page: "Page") -> list[int]:
    """Width, height, left and top of the part that is shown, in pixels of the picture."""
    return [int(figure) for figure in re.findall(r"\d+", page.locator("#comparison .size").inner_text())[2:]]


def assert_halves_agree(page: "Page") -> None:
    after, before = page.evaluate(PLACES)
    assert after == before


def pinch(page: "Page", spread: float) -> None:
    """Two fingers in the middle of the comparison move apart, from 40 pixels to so many times that."""
    box = page.locator("#comparison .frame").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, apart: float) -> None:
        points = [{"x": x + sign * apart / 2, "y": y + 20, "id": number} for number, sign in enumerate((-1, 1))]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if kind != "touchEnd" else []})

    fingers("touchStart", 40)
    for step in range(1, 6):
        fingers("touchMove", 40 * (1 + (spread - 1) * step / 5))
    fingers("touchEnd", 0)
    touch.detach()


def test_zoom_and_pan(page: "Page", tmp_path: Path) -> None:
    noisy = np.tile(noisy_pixels(4), (4, 15, 1))  # 2400 x 480: more than a preview shows
    rough = np.random.default_rng(0).normal(0, 0.15, (100, 100, 3))
    noisy[200:300, 1700:1800] = (noisy[200:300, 1700:1800] + rough).clip(0, 1)
    to_8_bits(noisy).save(tmp_path / "wide.png")
    wait_for_result(page, lambda: upload(page, "#picture", tmp_path / "wide.png"))

    # It opens where most noise is, at 1:1, and what is seen there are the pixels of the file.
    assert zoom(page) == 100
    width, height, left, top = seen(page)
    assert left < 1700 and left + width > 1800 and top < 200 and top + height > 300
    page.wait_for_function("!document.querySelector('#comparison .before canvas').hidden")
    with Image.open(io.BytesIO(b64decode(page.evaluate(PART).partition(",")[2]))) as part:
        shown = np.asarray(part.convert("RGB"))
    assert np.array_equal(shown, np.asarray(to_8_bits(noisy))[top : top + height, left : left + width])
    assert_halves_agree(page)

    box = page.locator("#comparison .frame").bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 130, steps=3)
    page.mouse.up()
    assert seen(page)[2] == left - 60
    assert_halves_agree(page)
    page.mouse.wheel(0, -120)
    wait_for_zoom(page, "> 130")
    assert_halves_agree(page)
    page.mouse.dblclick(box["x"] + 100, box["y"] + 100)
    wait_for_zoom(page, "=== 100")
    page.mouse.dblclick(box["x"] + 100, box["y"] + 100)
    wait_for_zoom(page, "< 40")  # the whole picture
    assert page.locator("#comparison .overview").is_hidden()

    page.locator("#comparison .frame").focus()
    for key, wanted in (("+", "> 40"), ("-", "< 40"), ("1", "=== 100")):
        page.keyboard.press(key)
        wait_for_zoom(page, wanted)
    before = seen(page)[2]
    page.keyboard.press("ArrowRight")
    assert seen(page)[2] > before
    # A click in the overview goes there; another strength leaves the view where it is.
    page.locator("#comparison .overview").click(position={"x": 3, "y": 10})
    assert seen(page)[2] == 0
    wait_for_result(page, lambda: page.get_by_label("number input for Strength").first.fill("0.5"))
    assert seen(page)[2] == 0 and zoom(page) == 100
    page.get_by_role("button", name="Whole picture").click()
    wait_for_zoom(page, "< 40")

    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#comparison").scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#comparison .frame').clientWidth < 390")
    least = zoom(page)
    pinch(page, 4)
    wait_for_zoom(page, f"> {3 * least}")
    assert_halves_agree(page)
    pinch(page, 0.2)
    wait_for_zoom(page, f"<= {least + 1}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
