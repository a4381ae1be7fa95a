"""The page as people meet it: `python app.py` in a process of its own, Chromium in front of it, and its API."""

import importlib.util
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, ImageCms
from skimage import data

from hf_denoise.degradations import parse_degradation
from hf_denoise.metrics import psnr
from hf_denoise.pipeline import Denoiser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 180
WAIT_MS = 30_000  # for anything the network must run for


# The pictures the tests use


def clean_pixels() -> np.ndarray:
    """(120, 160, 3) float32 in [0, 1]: a part of a photograph."""
    return np.asarray(data.astronaut()[60:180, 160:320], dtype=np.float32) / 255


def noisy_pixels(sigma: int = 25) -> np.ndarray:
    return parse_degradation(f"gaussian:{sigma}")(clean_pixels(), np.random.default_rng(1)).clip(0, 1)


def to_8_bits(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray((pixels * 255).round().astype(np.uint8))


def from_file(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with noisy.png, clean.png, mask.png and small-mask.png, and all the bad files of `BAD_FILES`."""
    folder = tmp_path_factory.mktemp("pictures")
    to_8_bits(noisy_pixels()).save(folder / "noisy.png")
    to_8_bits(clean_pixels()).save(folder / "clean.png")
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 50:100] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(mask[:60]).save(folder / "small-mask.png")

    to_8_bits(noisy_pixels()).save(folder / "whole.jpg")
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("this is not a picture\n")
    (folder / "empty.png").write_bytes(b"")
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (folder / "huge.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b""))
        )
    )
    return folder


BAD_FILES = ["truncated.jpg", "text.png", "empty.png", "huge.png"]


# The server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Server"]:
    """The page at a free port, started from another folder. It must still run when all tests are done."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    environment = {
        **os.environ,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
    }
    environment.pop("HF_DENOISE_MODEL", None)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py")], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    running = Server(process, f"http://127.0.0.1:{port}/", folder)
    try:
        running.wait_until_it_answers()
        yield running
        assert process.poll() is None, running.log()
    finally:
        process.terminate()
        process.wait(20)


class Server:
    def __init__(self, process: subprocess.Popen, url: str, folder: Path):
        self.process, self.url, self.folder = process, url, folder

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def wait_until_it_answers(self) -> None:
        for _ in range(START_SECONDS * 5):
            assert self.process.poll() is None, self.log()
            try:
                urlopen(self.url, timeout=5).close()
                return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError(self.log())


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return Client(server.url, verbose=False)


# The browser


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        installed = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if installed is None and not Path(playwright.chromium.executable_path).exists():
            reason = "no Chromium: install it with `playwright install chromium`, or the system's package"
            if os.environ.get("CI", "").lower() in ("1", "true"):
                pytest.fail(reason)
            pytest.skip(reason)
        browser = playwright.chromium.launch(executable_path=installed, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser: "Browser") -> Iterator["BrowserContext"]:
    """One for all pages, so that Gradio's scripts are fetched once."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(context: "BrowserContext", server: "Server") -> Iterator["Page"]:
    """The page, just opened. At the end: nothing was asked of another host, and the console has no error."""
    foreign, errors = [], []
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.on("request", lambda request: is_foreign(request.url, server.url) and foreign.append(request.url))
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    page.locator("#comparison img").last.wait_for()
    yield page
    page.close()
    assert not foreign
    assert not errors


def is_foreign(url: str, home: str) -> bool:
    return urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != urlsplit(home).netloc


def load_app(monkeypatch: pytest.MonkeyPatch, folder: Path) -> ModuleType:
    """app.py as a module in this process."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    spec = importlib.util.spec_from_file_location("app", ROOT / "app.py")
    assert spec and spec.loader
    app = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "app", app)
    spec.loader.exec_module(app)
    return app


def wait_for_result(page: "Page", action: Callable[[], object], figure: str = "#comparison") -> None:
    """Do something that shows a new result, and wait until both of its pictures are on the screen."""
    before = page.locator(f"{figure} img").evaluate_all("images => images.map((image) => image.src)")
    action()
    page.wait_for_function(
        """([figure, before]) => {
            const images = [...document.querySelectorAll(`${figure} img`)];
            return images.length && !before.includes(images.at(-1).src) && images.every((img) => img.naturalWidth > 0);
        }""",
        arg=[figure, before],
    )


def scores(page: "Page", where: str = "#metrics") -> dict[str, list[float]]:
    """The figures on the page: name -> [before, after]."""
    names, values = (page.locator(f"{where} {tag}").all_inner_texts() for tag in ("dt", "dd"))
    return {name: [float(v) for v in re.findall(r"[\d.]+", text)[:2]] for name, text in zip(names, values, strict=True)}


def upload(page: "Page", where: str, file: Path) -> None:
    page.locator(f"{where} input[type=file]").set_input_files(file)


# The page


def test_opens_with_a_result_and_the_main_action_in_view(page: "Page") -> None:
    assert "denoise" in page.title()
    assert all(page.locator("#comparison img").evaluate_all("images => images.map((image) => image.alt)"))
    assert all(page.locator("#removed img").evaluate_all("images => images.map((image) => image.alt)"))
    assert all(page.locator("#examples img").evaluate_all("images => images.map((image) => image.alt)"))
    for name in ("Denoise", "Download in full quality"):
        box = page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box and box["y"] + box["height"] <= 900
    assert scores(page)["PSNR"][1] > scores(page)["PSNR"][0] + 3
    assert "Gaussian noise" in page.locator(".about").first.inner_text()


def test_upload_compare_download(page: "Page", pictures: Path, tmp_path: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    noise = scores(page)["Estimated noise level"]
    assert noise[0] == pytest.approx(25, abs=4)
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
    wait_for_result(page, page.get_by_role("button", name="Denoise", exact=True).click)


def test_reference_and_mask_give_psnr_and_ssim(page: "Page", pictures: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    page.get_by_role("button", name="Measure against a clean reference").click()
    wait_for_result(page, lambda: upload(page, "#reference", pictures / "clean.png"))
    assert set(scores(page)) == {"PSNR", "SSIM", "Structure removed"}
    wait_for_result(page, lambda: upload(page, "#mask", pictures / "mask.png"))
    shown = scores(page)
    assert shown.pop("Structure removed")[0] < 0.05
    assert set(shown) == {"PSNR", "SSIM", "PSNR in the mask", "SSIM in the mask", "Contrast kept"}
    assert shown.pop("Contrast kept") == pytest.approx([1, 1], abs=0.5)
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
    page.get_by_role("tab", name="Before").click()
    assert page.locator("#comparison img").last.is_visible()
    assert download.bounding_box() == below


def test_structure_is_a_low_number_for_noise_and_a_high_one_for_a_lost_defect(
    monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path
) -> None:
    app = load_app(monkeypatch, tmp_path)
    clean = from_file(pictures / "clean.png")
    noisy = clean + np.random.default_rng(0).normal(0, 0.05, clean.shape)
    noisy[60:63, 30:110] -= 0.4
    to_8_bits(noisy.clip(0, 1)).save(tmp_path / "scratched.png")
    kept = app.denoise(str(tmp_path / "scratched.png"))[2][-1]
    (path,) = app._results
    lost = app._results[path].with_planes(((255 * clean).round().astype(np.uint8),))
    monkeypatch.setitem(app._results, path, lost)
    assert kept["after"] < 0.1
    assert app.denoise(str(tmp_path / "scratched.png"))[2][-1]["after"] > 0.3


def test_example_is_denoised_at_a_click(page: "Page") -> None:
    wait_for_result(page, page.get_by_alt_text("Example: wall, noisy").click)
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


def test_bad_files_get_a_message(page: "Page", server: "Server", pictures: Path) -> None:
    for name in ("truncated.jpg", "huge.png"):
        upload(page, "#picture", pictures / name)
        message = page.get_by_test_id("toast-body").filter(has_text=name)
        message.wait_for()
        assert str(server.folder) not in message.inner_text()
        # No result of another picture is left to be taken for this one's.
        assert page.get_by_role("button", name="Download in full quality").is_disabled()
        assert not page.locator("#metrics dt").count()
        wait_for_result(page, page.locator("#picture").get_by_label("Clear").click)  # the first example again
    assert server.process.poll() is None


def test_phones_scroll_down_only(page: "Page") -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.get_by_role("button", name="Denoise", exact=True).bounding_box()["y"] < 800
    for tab in ("Denoise", "Try it on a clean picture"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("tab", name="Denoise").click()
    page.get_by_role("tab", name="Removed").click()
    page.get_by_alt_text("What was taken away").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


# The API


def test_api_has_two_documented_endpoints(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/denoise", "/add_noise"}
    names = [parameter["parameter_name"] for parameter in endpoints["/denoise"]["parameters"]]
    assert names == ["image", "strength", "reference", "mask"]
    assert all(endpoint["description"] for endpoint in endpoints.values())


def test_api_denoise(client: Client, pictures: Path) -> None:
    (before, after), result, metrics, removed = client.predict(
        handle_file(pictures / "noisy.png"), reference=handle_file(pictures / "clean.png"), api_name="/denoise"
    )
    assert np.array_equal(from_file(before), from_file(pictures / "noisy.png"))  # not through lossy WebP
    assert np.array_equal(from_file(after), from_file(result))
    expected = (0.5 + 4 * (from_file(before) - from_file(after))).clip(0, 1)
    assert np.abs(from_file(removed) - expected).max() < 0.005
    assert [metric["name"] for metric in metrics] == ["PSNR", "SSIM", "Structure removed"]
    assert metrics[2]["before"] is None
    assert metrics[2]["after"] < 0.05
    assert metrics[0]["after"] == pytest.approx(psnr(from_file(result), clean_pixels()), abs=0.05)
    assert metrics[0]["after"] > metrics[0]["before"] + 3


def test_strength_0_gives_the_picture_back_unchanged(client: Client, pictures: Path) -> None:
    _, result, metrics, removed = client.predict(handle_file(pictures / "noisy.png"), 0, api_name="/denoise")
    assert np.array_equal(from_file(result), from_file(pictures / "noisy.png"))
    assert metrics[-1]["after"] == 0
    assert np.abs(from_file(removed) - 0.5).max() < 0.005


def test_16_bits_and_the_colour_profile_stay(client: Client, tmp_path: Path) -> None:
    import tifffile

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noisy = (noisy_pixels() * 65535).round().astype(np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", noisy, photometric="rgb", iccprofile=profile)
    (before, after), result, *_ = client.predict(handle_file(tmp_path / "deep.tif"), api_name="/denoise")
    assert Path(result).name == "deep-denoised.tif"
    with tifffile.TiffFile(result) as tiff:
        denoised = tiff.asarray()
        assert tiff.pages[0].tags[34675].value == profile
    assert (denoised.dtype, denoised.shape) == (np.uint16, noisy.shape)
    assert len(np.unique(denoised % 257)) > 200  # the lower bits are in use
    # A browser cannot show TIFF: the previews are PNG, and look like the picture.
    assert np.abs(from_file(before) - noisy_pixels()).max() < 0.01
    assert psnr(from_file(after), clean_pixels()) > psnr(from_file(before), clean_pixels()) + 3


def test_16_bit_grey_is_shown_as_it_looks(client: Client, tmp_path: Path) -> None:
    grey = noisy_pixels()[..., 1]
    Image.fromarray((grey * 65535).round().astype(np.uint16)).save(tmp_path / "grey.png")
    (before, _), result, *_ = client.predict(handle_file(tmp_path / "grey.png"), api_name="/denoise")
    assert np.abs(from_file(before)[..., 0] - grey).max() < 0.01
    with Image.open(result) as image:
        assert image.mode.startswith("I;16")


def test_a_turned_phone_photo_is_shown_upright(client: Client, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn right to show
    to_8_bits(noisy_pixels()).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    (before, after), result, _, removed = client.predict(handle_file(tmp_path / "phone.jpg"), api_name="/denoise")
    assert Image.open(before).size == Image.open(after).size == Image.open(removed).size == (120, 160)
    with Image.open(result) as image:
        assert (image.format, image.size, image.getexif()[0x0112]) == ("JPEG", (160, 120), 6)


def test_a_large_picture_is_shown_small_and_given_back_whole(client: Client, tmp_path: Path) -> None:
    Image.new("L", (2200, 40), 90).save(tmp_path / "wide.png")
    (before, after), result, _, removed = client.predict(handle_file(tmp_path / "wide.png"), api_name="/denoise")
    assert Image.open(before).width == Image.open(after).width == Image.open(removed).width == 2048
    assert Image.open(result).size == (2200, 40)


def test_mask_of_another_size_is_refused(client: Client, pictures: Path) -> None:
    with pytest.raises(AppError, match=r"small-mask\.png.*160 x 60.*160 x 120"):
        client.predict(
            handle_file(pictures / "noisy.png"),
            reference=handle_file(pictures / "clean.png"),
            mask=handle_file(pictures / "small-mask.png"),
            api_name="/denoise",
        )


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_give_one_sentence_and_no_path(client: Client, server: "Server", pictures: Path, name: str) -> None:
    for endpoint in ("/denoise", "/add_noise"):
        with pytest.raises(AppError) as refusal:
            client.predict(handle_file(pictures / name), api_name=endpoint)
        assert name in str(refusal.value)
        assert str(server.folder) not in str(refusal.value)
    assert "Traceback" not in server.log()
    assert not list((server.folder / "gradio").rglob(f"{Path(name).stem}-denoised*"))


@pytest.mark.parametrize("kind", ["gaussian", "camera", "poisson-gaussian", "speckle", "salt-pepper", "jpeg"])
def test_api_add_noise(client: Client, pictures: Path, kind: str) -> None:
    (noisy, denoised), clean, metrics = client.predict(
        handle_file(pictures / "clean.png"), kind, 20, api_name="/add_noise"
    )
    # A camera has its own optics and colours, and is measured against what it would have seen without noise.
    assert np.array_equal(from_file(clean), from_file(pictures / "clean.png")) == (kind != "camera")
    assert [metric["name"] for metric in metrics] == ["PSNR", "SSIM"]
    assert metrics[0]["before"] == pytest.approx(psnr(from_file(noisy), from_file(clean)), abs=0.05)
    assert metrics[0]["after"] == pytest.approx(psnr(from_file(denoised), from_file(clean)), abs=0.05)
    if kind == "gaussian":
        assert metrics[0]["after"] > metrics[0]["before"] + 3


def test_another_strength_does_not_run_the_network_again(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = load_app(monkeypatch, tmp_path)
    runs = []
    run = Denoiser.picture
    monkeypatch.setattr(Denoiser, "picture", lambda self, *args, **kwargs: runs.append(1) or run(self, *args, **kwargs))
    for strength in (1, 0.5, 0):
        app.denoise(str(pictures / "noisy.png"), strength)
        os.utime(pictures / "noisy.png")  # an upload of the same file is written again
    assert len(runs) == 1
