"""In Chromium: another model, a picture in the place of another, the keyboard, cancelling."""

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from page_server import (
    Server,
    scores,
    upload,
    wait_for_result,
    wait_until_idle,
)

if TYPE_CHECKING:
    from hub_server import HubServer
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.slow


GIVE = """([bytes, kind]) => {
    const files = new DataTransfer();
    files.items.add(new File([new Uint8Array(bytes)], "given.png", {type: "image/png"}));
    const options = {bubbles: true, cancelable: true};
    document.body.dispatchEvent(kind === "paste"
        ? new ClipboardEvent("paste", {...options, clipboardData: files})
        : new DragEvent("drop", {...options, dataTransfer: files}));
}"""


def test_a_picture_is_pasted_or_dropped_anywhere(page: "Page", pictures: Path) -> None:
    def give(kind: str, name: str) -> None:
        page.evaluate(GIVE, [[*(pictures / name).read_bytes()], kind])

    for kind, name in (("paste", "noisy.png"), ("drop", "clean.png"), ("paste", "noisy.png")):
        wait_for_result(page, functools.partial(give, kind, name))
        assert (scores(page)["Estimated noise level"][0] > 15) == (name == "noisy.png")
    assert "given" in page.locator("#picture").inner_text()


def test_a_picture_of_the_webcam(page: "Page") -> None:
    page.get_by_role("button", name="More").click()
    page.get_by_text("Click to Access Webcam").click()
    # Before the camera has given a frame there is nothing to capture.
    page.wait_for_function("document.querySelector('#webcam video')?.videoWidth > 0")
    page.wait_for_timeout(500)
    wait_for_result(page, page.locator("#webcam").get_by_label("capture photo").click)
    assert "Estimated noise level" in scores(page)


def test_cancel_stops_the_work(page: "Page", server: Server, pictures: Path) -> None:
    upload(page, "#picture", pictures / "large.png")
    page.locator("#comparison").get_by_text("/20").wait_for()  # tiles
    page.get_by_role("button", name="Cancel").first.click()
    wait_until_idle(server, 20)
    wait_for_result(page, page.locator("#picture").get_by_label("Clear").click)


def test_another_picture_takes_the_place_of_one_at_work(page: "Page", pictures: Path) -> None:
    """Whatever is asked for while the network works: what was asked for last is shown, and stays."""

    def drop(name: str) -> None:
        page.evaluate(GIVE, [[*(pictures / name).read_bytes()], "drop"])

    def strength(value: str) -> None:
        page.get_by_label("number input for Strength").first.fill(value)

    def three_pictures() -> None:
        drop("clean.png")
        page.wait_for_timeout(30)
        drop("large.png")
        drop("noisy.png")

    def a_strength_an_example_and_a_picture() -> None:
        strength("0.5")
        page.get_by_alt_text("Example: Scanned page, noisy").click()
        drop("noisy.png")

    for ask in (three_pictures, a_strength_an_example_and_a_picture):
        drop("large.png")
        page.locator("#comparison").get_by_text("/20").wait_for()  # tiles: it was stopped the time before, not finished
        ask()
        page.wait_for_function("document.querySelector('#comparison img')?.naturalWidth === 160")
        page.locator("#metrics dt").filter(has_text="Estimated noise level").wait_for()  # an example has a reference
        page.locator("#metrics dd").filter(has_text=re.compile(r"^2[1-9]\.\d → ")).wait_for()  # of the noisy one
        page.wait_for_timeout(1500)
        assert page.locator("#comparison img").last.evaluate("(image) => image.naturalWidth") == 160
        assert scores(page)["Estimated noise level"][0] == pytest.approx(25, abs=4)
        assert "given" in page.locator("#picture").inner_text()
        assert not page.get_by_test_id("toast-body").count()
        strength("1")
        page.wait_for_timeout(300)


def test_another_model_is_for_one_visitor_alone(
    page: "Page", context: "BrowserContext", server: Server, pictures: Path, hub: "HubServer", tmp_path: Path
) -> None:
    from hf_denoise.model.unet import DenoisingUNet
    from hf_denoise.training.upload import push

    # A new residual network changes nothing: easily told from one that denoises.
    model = DenoisingUNet(encoder="resnet10t", encoder_levels=2, decoder_channels=(8, 8), decoder_depths=(1, 0))
    model.save_pretrained(tmp_path / "model")
    push(tmp_path / "model", "ada/nothing", token="hf_ada")

    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    page.get_by_role("button", name="Model").first.click()
    field = page.get_by_label("Model on the Hub")
    for wrong, sentence in (
        ("ada/missing", "there is no public model 'ada/missing'"),
        ("/etc", "is not the id of a model on the Hub"),
    ):
        field.fill(wrong)
        page.get_by_role("button", name="Load model").click()
        page.get_by_test_id("toast-body").filter(has_text=sentence).wait_for()
    field.fill("ada/nothing")
    wait_for_result(page, page.get_by_role("button", name="Load model").click)
    page.get_by_text("In use: ada/nothing").wait_for()
    before, after = scores(page)["Estimated noise level"]
    assert after == pytest.approx(before, rel=0.05)

    presets = page.locator("#presets")
    for purpose, said in (
        ("the model of this page", "In use: the model of this page"),
        ("magnetic tiles", "In use: ada/"),
    ):
        wait_for_result(page, presets.get_by_label(purpose).check)
        page.get_by_text(said).wait_for()

    other = context.new_page()
    other.goto(server.url)
    other.locator("#comparison img").last.wait_for()
    wait_for_result(other, lambda: upload(other, "#picture", pictures / "noisy.png"))
    before, after = scores(other)["Estimated noise level"]
    assert after < before / 3
    other.close()


def tab_to(page: "Page", name: str) -> None:
    """Press Tab until what has the focus is called so. All on the way can be seen to have it, and has a name."""
    for _ in range(60):
        page.keyboard.press("Tab")
        page.wait_for_function(
            "['auto', 'solid'].includes(getComputedStyle(document.activeElement).outlineStyle)"
            "&& parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 3"
        )
        called = page.evaluate(
            """() => {
                const focused = document.activeElement;
                const label = focused.labels?.[0]?.innerText;
                return focused.ariaLabel || focused.innerText || focused.title || label
                    || focused.querySelector("img")?.alt;
            }"""
        )
        assert called
        if name in called:
            return
    raise AssertionError(f"{name} is not reached")


def test_all_can_be_done_by_keyboard(page: "Page", pictures: Path) -> None:
    page.on("filechooser", lambda _: None)  # the browser must know before the key is pressed that it is wanted
    tab_to(page, "Click to upload")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    wait_for_result(page, lambda: chooser.value.set_files(pictures / "noisy.png"))
    for name in ("Denoise", "range slider for Strength"):
        tab_to(page, name)
    wait_for_result(page, lambda: page.keyboard.press("ArrowLeft"))
    assert page.get_by_label("number input for Strength").first.input_value() == "0.95"
    for name in ("Compare", "Removed", "Difference", "Mask"):
        tab_to(page, name)
    tab_to(page, "Before and after")
    tab_to(page, "Place of the line")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    line = page.locator("#comparison [role=slider]")
    assert line.get_attribute("aria-valuenow") == "44"
    assert page.locator("#comparison .before").evaluate("(layer) => getComputedStyle(layer).clipPath").count("56%")
    tab_to(page, "Download in full quality")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "noisy-denoised.png"
    tab_to(page, "Would a defect survive?")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Find out").wait_for()
    tab_to(page, "Find out")
    page.keyboard.press("Enter")
    page.locator("#limits table").wait_for()
    tab_to(page, "Download all trials")
    tab_to(page, "Example: Scanned page")
    wait_for_result(page, lambda: page.keyboard.press("Enter"))
    assert "PSNR" in scores(page)
    for name in ("Keep defects", "More", "Model"):
        tab_to(page, name)
    page.get_by_role("tab", name="Many images").focus()
    page.keyboard.press("Enter")
    tab_to(page, "Click to upload")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(pictures / "noisy.png")
    page.get_by_role("button", name="Denoise all", disabled=False).wait_for()
    for name in ("Strength", "Denoise all"):
        tab_to(page, name)
