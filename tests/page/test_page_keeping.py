"""Places that are protected, and the strength that keeps a defect: over the API, and in Chromium."""

import io
import re
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from page_server import Server, from_file, noisy_pixels, scores, to_8_bits, upload, wait_for_result
from PIL import Image

from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.page.actions import denoise, figures, show, write
from hf_denoise.page.comparison import part_of_shown
from hf_denoise.page.keeping import Asked, Shown

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_probes")]

if TYPE_CHECKING:
    from playwright.sync_api import Page

FAR = 12  # pixels from a mask where its protection has ended


def inside(pictures: Path) -> np.ndarray:
    return np.asarray(Image.open(pictures / "mask.png")) > 0


def outside(pictures: Path) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    return ~binary_dilation(inside(pictures), np.ones((3, 3)), iterations=FAR)


# The API


def test_api_leaves_a_protected_mask_as_it_was(client: Client, pictures: Path) -> None:
    given = {"mask": handle_file(pictures / "mask.png"), "api_name": "/denoise"}
    plain = client.predict(handle_file(pictures / "noisy.png"), **given)
    (before, after), result, metrics, removed, _ = client.predict(
        handle_file(pictures / "noisy.png"), protect="mask", **given
    )
    noisy, denoised, mask = from_file(before), from_file(result), inside(pictures)
    assert np.array_equal(denoised[mask], noisy[mask])
    assert np.array_equal(denoised[outside(pictures)], from_file(plain[1])[outside(pictures)])
    assert np.abs(from_file(after) - denoised).max() < 1.5 / 255
    assert np.abs(from_file(removed)[mask] - 0.5).max() < 0.005
    shown = {metric["name"]: metric["after"] for metric in metrics}
    assert shown["Contrast kept"] == pytest.approx(1, abs=0.05)
    assert 100 * mask.mean() < shown["Protected"] < 200 * mask.mean()


def test_api_protects_wherever_a_defect_would_go(client: Client, pictures: Path) -> None:
    noisy = from_file(pictures / "noisy.png")
    changes, areas = [], []
    for keep in (5, 150):
        _, result, metrics, *_ = client.predict(
            handle_file(pictures / "noisy.png"), protect="auto", keep=keep, api_name="/denoise"
        )
        changes.append(np.abs(from_file(result) - noisy).mean())
        areas.append(next(metric["after"] for metric in metrics if metric["name"] == "Protected"))
    assert areas[0] > 90 > areas[1]
    assert changes[0] < 0.5 * changes[1]
    metrics = client.predict(handle_file(pictures / "noisy.png"), strength="auto", keep=10, api_name="/denoise")[2]
    assert 0.2 <= next(metric["after"] for metric in metrics if metric["name"] == "Strength") < 1


def test_calls_from_before_are_answered(client: Client, server: Server, pictures: Path) -> None:
    """With the five or seven inputs that the endpoint had, in order."""
    assert len(client.predict(handle_file(pictures / "noisy.png"), 0.5, None, None, "", api_name="/denoise")) == 5
    with (pictures / "noisy.png").open("rb") as file:
        path = httpx.post(f"{server.url}gradio_api/upload", files={"files": file}).json()[0]
    call = f"{server.url}gradio_api/call/denoise"
    file_data = {"path": path, "meta": {"_type": "gradio.FileData"}}
    for inputs in ([1.0, None, None, None], [1.0, None, None, None, "", None]):
        event = httpx.post(call, json={"data": [file_data, *inputs]}).json()["event_id"]
        assert "event: complete" in httpx.get(f"{call}/{event}", timeout=60).text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"protect": "mask"}, "there is no mask to protect"),
        ({"protect": "auto"}, "protect 'auto' needs keep"),
        ({"keep": 20}, "keep does nothing alone"),
        ({"protect": "auto", "keep": 300}, "keep must be a contrast over 0 and up to 255"),
        ({"protect": "all"}, "all"),
        ({"strength": "auto"}, "strength 'auto' needs keep"),
        ({"strength": "much"}, "strength must be a number from 0 to 1, or 'auto', got 'much'"),
        ({"luminance": 2}, "luminance must be from 0 to 1.5"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    client: Client, pictures: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(handle_file(pictures / "noisy.png"), **options, api_name="/denoise")


# The functions behind it


def test_what_is_protected_is_what_the_denoiser_protects(pictures: Path, picture: str) -> None:
    noisy = np.asarray(Image.open(picture))
    mask = str(pictures / "mask.png")
    for protect, keep in (("mask", None), ("mask", 40.0), ("auto", 25.0)):
        result = np.asarray(Image.open(write(Asked(picture, 0.8, None, mask, None, protect, keep))))
        options: dict[str, Any] = {"protect": inside(pictures) if protect == "mask" else protect, "keep": keep}
        expected = Denoiser.from_pretrained()(noisy, 0.8, **options)
        assert np.abs(result.astype(int) - expected).mean() < 0.4  # rounded twice


def test_luminance_colour_and_grain_are_those_of_the_denoiser(pictures: Path, picture: str) -> None:
    noisy = np.asarray(Image.open(picture))
    corner = gr.EventData(None, {"left": 60, "top": 30, "width": 50, "height": 40, "shrink": 1, "version": "a"})
    for balance in ((0.3, 1.2, 0.0), (1.0, 0.5, 0.4)):
        asked = Asked(picture, 0.8, None, None, None, "", None, False, *balance)
        result = np.asarray(Image.open(write(asked))).astype(int)
        luminance, color, grain = balance
        expected = Denoiser.from_pretrained()(noisy, 0.8, luminance=luminance, color=color, grain=grain)
        assert np.abs(result - expected).mean() < 0.4  # rounded twice
        part = part_of_shown(Shown(asked), 0.0, corner)
        shown = np.asarray(Image.open(io.BytesIO(b64decode(part["after"].partition(",")[2]))))
        assert np.abs(shown - result[30:70, 60:110]).mean() < 0.2
        assert np.asarray(Image.open(show(asked)[0][1])).astype(int) == pytest.approx(result, abs=1)


def test_the_strength_that_keeps_a_defect_is_that_of_the_denoiser(picture: str) -> None:
    said = show(Asked(picture, auto=True, keep=10.0))[-1]
    result = np.asarray(Image.open(write(Asked(picture, auto=True, keep=10.0))))
    expected = Denoiser.from_pretrained()(np.asarray(Image.open(picture)), "auto", keep=10.0)
    assert np.abs(result.astype(int) - expected).mean() < 0.5
    metrics = figures(Asked(picture, auto=True, keep=10.0))
    strength = next(metric["after"] for metric in metrics if metric["name"] == "Strength")
    assert f"Strength {strength:.2f}" in said
    assert 0.2 <= strength < 1


def test_what_the_strength_keeps_already_is_not_protected_as_well(picture: str) -> None:
    areas = []
    for auto in (False, True):
        metrics = figures(Asked(picture, protect="auto", keep=10.0, auto=auto))
        areas.append(next(metric["after"] for metric in metrics if metric["name"] == "Protected"))
    assert areas[1] < 0.75 * areas[0]


def test_a_turned_photo_is_protected_where_the_mask_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    exif = Image.Exif()
    exif[0x0112] = 6
    to_8_bits(noisy_pixels()).save(tmp_path / "phone.png", exif=exif)
    mask = np.zeros((160, 120), np.uint8)
    mask[20:50, 30:110] = 255  # upright
    Image.fromarray(mask).save(tmp_path / "mask.png")
    path, mask_path = str(tmp_path / "phone.png"), str(tmp_path / "mask.png")
    files = path, write(Asked(path, mask=mask_path, protect="mask"))
    before, after = (np.asarray(Image.open(file)).astype(int) for file in files)
    same = (before == after).all(axis=2)
    stored = np.rot90(mask, 1) > 0  # EXIF 6: turn right to show
    assert same[stored].all()
    assert same[~stored].mean() < 0.5


def test_another_mask_and_another_contrast_run_no_network_again(
    pictures: Path, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for name in ("picture", "probe"):
        run = getattr(Denoiser, name)

        def counted(self: Denoiser, *args: Any, name: str = name, run: Any = run, **kwargs: Any) -> Any:
            runs.append(name)
            return run(self, *args, **kwargs)

        monkeypatch.setattr(Denoiser, name, counted)
    other = np.zeros((120, 160), np.uint8)
    other[5:20, 100:150] = 255
    Image.fromarray(other).save(Path(picture).parent / "other.png")
    files = [
        np.asarray(Image.open(denoise(picture, mask=str(mask), protect=protect, keep=keep)[1])).tobytes()
        for mask in (pictures / "mask.png", Path(picture).parent / "other.png")
        for protect, keep in (("mask", None), ("mask", 60), ("mask", 20), ("", None))
    ]
    assert (sorted(runs), len(set(files))) == (["picture", "probe"], 7)


def test_a_part_of_the_full_picture_is_protected_as_well(pictures: Path, picture: str) -> None:
    mask = str(pictures / "mask.png")
    looked_at = gr.EventData(None, {"left": 40, "top": 32, "width": 80, "height": 55, "shrink": 1})

    def shown(protect: str) -> tuple[np.ndarray, np.ndarray]:
        part = part_of_shown(Shown(Asked(picture, mask=mask, protect=protect)), 0.0, looked_at)
        before, after = (io.BytesIO(b64decode(part[name].partition(",")[2])) for name in ("before", "after"))
        return np.asarray(Image.open(before)), np.asarray(Image.open(after))

    part = inside(pictures)[32:87, 40:120]
    for protect in ("", "mask"):
        before, after = shown(protect)
        assert np.array_equal(before[part], after[part]) == (protect == "mask")
        assert not np.array_equal(before[~part], after[~part])


# The page


def open_keeping(page: "Page") -> None:
    page.get_by_role("button", name="Keep defects").click()


def test_the_page_protects_a_mask_and_shows_where(page: "Page", pictures: Path, tmp_path: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    page.get_by_role("button", name="More").click()
    open_keeping(page)
    wait_for_result(page, page.get_by_label("The mask").click)
    page.get_by_text("Nothing is protected").wait_for()
    assert not page.locator("#protected").is_visible()
    page.get_by_label("Faintest defect to keep").fill("")
    wait_for_result(page, lambda: upload(page, "#mask", pictures / "mask.png"))
    page.get_by_text("% of the picture is protected").wait_for()
    page.get_by_alt_text("blue where it is protected").wait_for()
    page.locator("#metrics dt").filter(has_text="Protected").wait_for()
    assert scores(page)["Contrast kept"] == pytest.approx([1], abs=0.05)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download in full quality").click()
    download.value.save_as(tmp_path / "result.png")
    same = (from_file(tmp_path / "result.png") == from_file(pictures / "noisy.png")).all(axis=2)
    assert same[inside(pictures)].all()
    wait_for_result(page, page.get_by_label("Nothing", exact=True).click)
    assert not page.locator("#protected").is_visible()


def test_the_page_finds_places_and_a_strength_for_a_contrast(page: "Page", pictures: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    open_keeping(page)
    page.get_by_label("Faintest defect to keep").fill("10")
    wait_for_result(page, page.get_by_label("Choose the strength").click)
    page.locator("#said").get_by_text("the strongest at which").wait_for()
    assert page.get_by_label("number input for Strength").first.is_disabled()
    page.locator("#metrics dt").filter(has_text="Strength").wait_for()
    first = scores(page)["Strength"]

    # What was said of defects at one strength is gone when another contrast asks for another.
    page.get_by_role("button", name="Would a defect survive?").click()
    page.get_by_role("button", name="Find out").click()
    page.locator("#limits table").wait_for()
    said = re.match(r"At strength ([\d.]+):", page.locator("#verdict").inner_text())
    assert said and float(said[1]) == pytest.approx(first[0], abs=0.0051)  # rounded twice
    wait_for_result(page, lambda: page.get_by_label("Faintest defect to keep").fill("6"))
    page.locator("#metrics dt").filter(has_text="Strength").wait_for()
    assert scores(page)["Strength"] < first
    assert not page.locator("#limits table").count()

    wait_for_result(page, page.get_by_label("Choose the strength").click)
    wait_for_result(page, page.get_by_label("Wherever needed").click)
    page.get_by_text("% of the picture is protected").wait_for()
    page.get_by_alt_text("blue where it is protected").wait_for()
    # Protection changes nothing of what is said of defects.
    page.get_by_role("button", name="Find out").click()
    page.locator("#limits table").wait_for()
    wait_for_result(page, lambda: page.get_by_label("Faintest defect to keep").fill("8"))
    assert page.locator("#limits table").is_visible()
