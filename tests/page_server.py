"""What all tests of the page share: `python app.py` in a process of its own, a browser, a client, and pictures."""

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
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import psutil
import pytest
from PIL import Image

# Other tests take their fixtures from the same place and must not wait for these imports.
if TYPE_CHECKING:
    from gradio_client import Client
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 180
WAIT_MS = 30_000  # for anything the network must run for


# The pictures the tests use


def clean_pixels() -> np.ndarray:
    """(120, 160, 3) float32 in [0, 1]: a part of a photograph."""
    from skimage import data

    return np.asarray(data.astronaut()[60:180, 160:320], dtype=np.float32) / 255


def noisy_pixels(sigma: int = 25) -> np.ndarray:
    from hf_denoise.noise.degradations import parse_degradation

    return parse_degradation(f"gaussian:{sigma}")(clean_pixels(), np.random.default_rng(1)).clip(0, 1)


def to_8_bits(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray((pixels * 255).round().astype(np.uint8))


def from_file(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with noisy, clean and large.png, mask.png and small-mask.png, and all the bad files of `BAD_FILES`."""
    folder = tmp_path_factory.mktemp("pictures")
    to_8_bits(noisy_pixels()).save(folder / "noisy.png")
    to_8_bits(clean_pixels()).save(folder / "clean.png")
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 50:100] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(mask[:60]).save(folder / "small-mask.png")
    Image.new("RGB", (5000, 4000), "grey").save(folder / "large.png")  # 20 tiles

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


@pytest.fixture
def picture(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A picture that nobody has asked about, where uploads are kept."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = tmp_path / "once.png"
    path.write_bytes((pictures / "noisy.png").read_bytes())
    return str(path)


BAD_FILES = ["truncated.jpg", "text.png", "empty.png", "huge.png"]


# The server

# `app.py`, with a third of the probes for a small picture, as `few_probes` of conftest.py.
START = """
import runpy, sys
from hf_denoise.probing import responses
responses.MOST_PASSES = 10
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture(scope="session")
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
    }
    environment.pop("HF_DENOISE_MODEL", None)
    environment["HF_DENOISE_PRESETS"] = "ada/nothing=magnetic tiles"
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-c", START, str(ROOT / "app.py")]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
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


@pytest.fixture(scope="session")
def client(server: Server) -> "Client":
    from gradio_client import Client

    return Client(server.url, verbose=False)


def cpu_seconds(server: "Server", within: float) -> float:
    """How long the server works within so many seconds."""
    process = psutil.Process(server.process.pid)
    before = process.cpu_times()
    time.sleep(within)
    after = process.cpu_times()
    return after.user + after.system - before.user - before.system


def wait_until_idle(server: "Server", seconds: float) -> None:
    for _ in range(round(seconds)):
        if cpu_seconds(server, 1) < 0.3:
            return
    raise AssertionError("the server still works")


# The browser


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Of one module: as long as it lives, no other test could run an event loop of its own."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        installed = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if installed is None and not Path(playwright.chromium.executable_path).exists():
            reason = "no Chromium: install it with `playwright install chromium`, or the system's package"
            if os.environ.get("CI", "").lower() in ("1", "true"):
                pytest.fail(reason)
            pytest.skip(reason)
        camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = playwright.chromium.launch(executable_path=installed, args=["--no-sandbox", *camera])
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
    foreign: list[str] = []
    errors: list[str] = []

    def note_foreign(request: "Request") -> None:
        if is_foreign(request.url, server.url):
            foreign.append(request.url)

    def note_error(message: "ConsoleMessage") -> None:
        # A page that is loaded again gives up what it still asked for.
        if message.type == "error" and not re.search("AbortError|Connection errored out", message.text):
            errors.append(message.text)

    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.on("request", note_foreign)
    page.on("console", note_error)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    page.locator("#comparison img").last.wait_for()
    yield page
    page.close()
    assert not foreign, foreign
    assert not errors, errors


def is_foreign(url: str, home: str) -> bool:
    return urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != urlsplit(home).netloc


def wait_for_result(page: "Page", action: Callable[[], object], figure: str = "#comparison") -> None:
    """Do something that shows a new result, and wait until both of its pictures and its figures are there."""
    before = page.locator(f"{figure} img").evaluate_all("images => images.map((image) => image.src)")
    action()
    page.wait_for_function(
        """([figure, before, metrics]) => {
            const images = [...document.querySelectorAll(`${figure} img`)];
            const fresh = images.length && !before.includes(images.at(-1).src);
            return fresh && images.every((img) => img.naturalWidth > 0) && document.querySelector(metrics);
        }""",
        arg=[figure, before, "#metrics dt" if figure == "#comparison" else "#noisy-metrics dt"],
    )


def scores(page: "Page", where: str = "#metrics") -> dict[str, list[float]]:
    """The figures on the page: name -> [before, after]."""
    names, values = (page.locator(f"{where} {tag}").all_inner_texts() for tag in ("dt", "dd"))
    return {name: [float(v) for v in re.findall(r"[\d.]+", text)[:2]] for name, text in zip(names, values, strict=True)}


def upload(page: "Page", where: str, file: Path) -> None:
    page.locator(f"{where} input[type=file]").set_input_files(file)
