"""The page as people meet it, in Chromium."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from page_server import (
    Server,
    clean_pixels,
    from_file,
    noisy_pixels,
    scores,
    to_8_bits,
    upload,
    wait_for_result,
)
from PIL import Image

from hf_denoise.metrics.quality import psnr
from hf_denoise.noise.degradations import parse_degradation

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


def test_opens_with_a_result_and_the_main_action_in_view(page: "Page") -> None:
    assert "denoise" in page.title()
    assert all(page.locator("#comparison img").evaluate_all("images => images.map((image) => image.alt)"))
    assert all(page.locator("#removed img").evaluate_all("images => images.map((image) => image.alt)"))
    assert all(page.locator("#examples img").evaluate_all("images => images.map((image) => image.alt)"))
    for name in ("Denoise", "Download in full quality"):
        box = page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box and box["y"] + box["height"] <= 900
    assert scores(page)["PSNR"][1] > scores(page)["PSNR"][0] + 3
    about = page.locator("#about").inner_text()
    assert "trained on" in about and "fails" in about and "deleted" in about


def open_measures(page: "Page") -> None:
    page.get_by_role("button", name="More").click()


def test_upload_compare_download(page: "Page", pictures: Path, tmp_path: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    noise = scores(page)["Estimated noise level"]
    assert noise[0] == pytest.approx(25, abs=4)
    given = page.locator("#facts").filter(has_text="noisy.png").inner_text()
    assert "160 x 120 pixels" in given and "PNG, colour, 8 bits" in given and f"noise {noise[0]:.1f}" in given
    assert noise[1] < noise[0] / 3

    with page.expect_download() as download:
        page.get_by_role("button", name="Download in full quality").click()
    assert download.value.suggested_filename == "noisy-denoised.png"
    download.value.save_as(tmp_path / "result.png")
    with Image.open(tmp_path / "result.png") as result:
        assert (result.size, result.mode, result.format) == ((160, 120), "RGB", "PNG")
    gain = psnr(from_file(tmp_path / "result.png"), clean_pixels()) - psnr(
        from_file(pictures / "noisy.png"), clean_pixels()
    )
    assert gain > 3

    # Half the strength leaves about half of the noise.
    wait_for_result(page, lambda: page.get_by_label("number input for Strength").first.fill("0.5"))
    assert noise[0] / 3 < scores(page)["Estimated noise level"][1] < noise[0] * 2 / 3
    # Without luminance and colour nothing goes.
    page.get_by_role("button", name="Luminance, colour and grain").click()
    wait_for_result(page, lambda: page.get_by_label("number input for Luminance").fill("0"))
    wait_for_result(page, lambda: page.get_by_label("number input for Colour").fill("0"))
    before, after = scores(page)["Estimated noise level"]
    assert after == pytest.approx(before)
    wait_for_result(page, page.get_by_role("button", name="Denoise", exact=True).click)


def test_reference_and_mask_give_psnr_and_ssim(page: "Page", pictures: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    open_measures(page)
    wait_for_result(page, lambda: upload(page, "#reference", pictures / "clean.png"))
    assert set(scores(page)) == {"PSNR", "SSIM"}
    wait_for_result(page, lambda: upload(page, "#mask", pictures / "mask.png"))
    shown = scores(page)
    assert set(shown) == {"PSNR", "SSIM", "PSNR in the mask", "SSIM in the mask", "Contrast kept"}
    assert shown.pop("Contrast kept") == pytest.approx([1], abs=0.5)
    assert shown["PSNR"][0] == pytest.approx(psnr(from_file(pictures / "noisy.png"), clean_pixels()), abs=0.06)
    assert all(after > before for before, after in shown.values())


def test_removed_is_shown_in_the_place_of_the_comparison(page: "Page", pictures: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    download = page.get_by_role("button", name="Download in full quality")
    below = download.bounding_box()
    page.get_by_role("tab", name="Removed").click()
    picture = page.get_by_alt_text("What was taken away")
    picture.wait_for()
    assert not page.locator("#comparison").is_visible()
    assert download.bounding_box() == below

    # Another strength arrives in the view that is open; half of it takes half away.
    def shown() -> np.ndarray:
        pixels = """(image) => {
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            canvas.getContext("2d").drawImage(image, 0, 0);
            return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
        }"""
        return np.array(picture.evaluate(pixels)).reshape(120, 160, 4)[..., :3]

    whole, source = shown(), picture.get_attribute("src")
    page.get_by_label("number input for Strength").first.fill("0.5")
    page.wait_for_function(
        """(source) => {
            const image = document.querySelector("#removed img");
            return image && image.src !== source && image.naturalWidth;
        }""",
        arg=source,
    )
    half = shown()
    weak = np.abs(whole - 128) < 120  # not cut off
    assert half[weak] - 128 == pytest.approx((whole[weak] - 128) / 2, abs=5)
    page.get_by_role("tab", name="Compare").click()
    assert page.locator("#comparison img").last.is_visible()
    assert download.bounding_box() == below


def test_example_is_denoised_at_a_click(page: "Page") -> None:
    wait_for_result(page, page.get_by_alt_text("Example: Scanned page, noisy").click)
    assert set(scores(page)) == {"PSNR", "SSIM"}
    wait_for_result(page, page.get_by_alt_text("Example: Inspection, with a mask, noisy").click)
    shown = scores(page)
    assert shown["PSNR"][1] > shown["PSNR"][0] + 3
    assert "PSNR in the mask" in shown


def test_try_it_adds_noise_to_a_clean_picture(page: "Page", pictures: Path) -> None:
    page.get_by_role("tab", name="Try it").click()
    wait_for_result(page, lambda: upload(page, "#original", pictures / "clean.png"), "#noisy-comparison")
    gaussian = scores(page, "#noisy-metrics")
    assert gaussian["PSNR"][1] > gaussian["PSNR"][0] + 3
    assert gaussian["SSIM"][1] > gaussian["SSIM"][0]

    page.get_by_label("Noise", exact=True).click()
    page.get_by_role("option", name="Salt and pepper").click()
    page.get_by_text("percent of pixels").wait_for()
    wait_for_result(page, page.get_by_role("button", name="Add noise and denoise").click, "#noisy-comparison")
    degraded = parse_degradation("salt-pepper:5")(clean_pixels(), np.random.default_rng(0))
    assert scores(page, "#noisy-metrics")["PSNR"][0] == pytest.approx(psnr(degraded, clean_pixels()), abs=0.06)


def test_try_it_shows_the_clean_picture_that_was_given_last(page: "Page", pictures: Path, tmp_path: Path) -> None:
    Image.new("RGB", (2000, 1500), "grey").save(tmp_path / "middle.png")  # at work for some seconds
    shown_width = "(width) => document.querySelector('#noisy-comparison img')?.naturalWidth === width"
    page.get_by_role("tab", name="Try it").click()
    upload(page, "#original", tmp_path / "middle.png")
    page.locator("#original").get_by_text("middle").first.wait_for()
    for caption in ("Scanned page", "Night photo"):  # 600 and 465 pixels wide
        page.get_by_alt_text(f"Example: {caption}, clean").click()
    page.wait_for_function(shown_width, arg=465)
    page.locator("#original").get_by_label("Clear").click()  # an example again
    upload(page, "#original", pictures / "clean.png")
    page.wait_for_function(shown_width, arg=160)


def test_bad_files_get_a_message(page: "Page", server: "Server", pictures: Path) -> None:
    for name in ("truncated.jpg", "huge.png"):
        upload(page, "#picture", pictures / name)
        message = page.get_by_test_id("toast-body").filter(has_text=name)
        message.wait_for()
        assert str(server.folder) not in message.inner_text()
        wait_for_result(page, page.locator("#picture").get_by_label("Clear").click)  # the first example again

    page.reload()  # without the messages so far
    page.get_by_role("tab", name="Try it").click()
    page.locator("#noisy-metrics dt").first.wait_for()
    upload(page, "#original", pictures / "truncated.jpg")
    page.get_by_test_id("toast-body").filter(has_text="truncated.jpg").wait_for()
    assert not page.locator("#noisy-metrics dt").count()
    wait_for_result(page, page.locator("#original").get_by_label("Clear").click, "#noisy-comparison")
    assert server.process.poll() is None


def test_phones_show_the_result_at_once_and_scroll_down_only(page: "Page", pictures: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    page.locator("#comparison img").last.wait_for()
    for tab in ("Many images", "Try it", "Denoise"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for tab, shown in (("Removed", "What was taken away"), ("Difference", "Differ")):
        page.get_by_role("tab", name=tab).click()
        page.get_by_alt_text(shown).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("tab", name="Compare").click()
    page.evaluate("scrollTo(0, 0)")
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    assert page.evaluate("scrollY") == 0
    strength = page.get_by_label("number input for Strength").first
    for seen in (strength, page.locator("#comparison"), page.get_by_role("button", name="Download in full quality")):
        box = seen.bounding_box()
        assert box and box["y"] + box["height"] <= 844


def test_a_mask_is_drawn_on_the_picture(page: "Page", tmp_path: Path) -> None:
    noisy = noisy_pixels()
    noisy[50:70, 60:100] = 0
    to_8_bits(noisy).save(tmp_path / "spot.png")
    wait_for_result(page, lambda: upload(page, "#picture", tmp_path / "spot.png"))
    page.get_by_role("tab", name="Mask").click()
    canvas = page.locator("#editor canvas").first
    canvas.wait_for()
    page.wait_for_timeout(2000)  # the editor scales the picture in, and tells nobody when it has
    box = canvas.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle[0] - 20, middle[1])
    page.mouse.down()
    page.mouse.move(middle[0] + 20, middle[1], steps=5)
    page.mouse.up()
    wait_for_metric(page, page.get_by_role("button", name="Use this mask").click, "Contrast kept")
    assert scores(page)["Contrast kept"] == pytest.approx([1], abs=0.1)
    assert "In use: 'drawn-mask.png'" in page.locator("#mask-said").inner_text()
    open_measures(page)
    assert "drawn-mask" in page.locator("#mask").inner_text()


def wait_for_metric(page: "Page", action, name: str) -> None:
    action()
    page.locator("#metrics dt").filter(has_text=name).first.wait_for()


def test_the_difference_to_the_clean_picture_is_shown(page: "Page", pictures: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    page.get_by_role("tab", name="Difference").click()
    assert not page.locator("#difference img").count()
    open_measures(page)
    upload(page, "#reference", pictures / "clean.png")
    page.get_by_alt_text("Difference between").wait_for()
