"""Time from giving a picture to the page until the result is there, in Chromium on this machine.

    python benchmarks/page_time.py --megapixels 1 12 48

Starts `app.py`, uploads a noisy JPEG and a noisy PNG of each size, and writes a table: seconds until the
before | after view, until the file can be downloaded, until the figures are there, and until the view of another
strength, which runs no network.
Needs `playwright` and Chromium.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import machine
import numpy as np
import tyro
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_MS = 900_000
FRESH = """(before) => {
    const images = [...document.querySelectorAll("#comparison img")];
    return images.length && !before.includes(images.at(-1).src) && images.every((image) => image.naturalWidth > 0);
}"""

HEADER = ["megapixels", "view, s", "file, s", "figures, s", "another strength, s"]


def noisy_picture(megapixels: float) -> Image.Image:
    """A photograph, mirrored again and again up to the size, with Gaussian noise of sigma 15."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    photo = data.astronaut()
    photo = np.vstack([np.hstack([photo, photo[:, ::-1]]), np.hstack([photo, photo[:, ::-1]])[::-1]])
    times = -(-height // photo.shape[0]), -(-round(height * 1.5) // photo.shape[1]), 1
    pixels = np.tile(photo, times)[:height, : round(height * 1.5)].astype(np.float32)
    pixels += 15 * np.random.default_rng(0).standard_normal(pixels.shape, dtype=np.float32)
    return Image.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8))


def seconds_until_shown(page: Page, action: Callable[[], object]) -> float:
    before = page.locator("#comparison img").evaluate_all("images => images.map((image) => image.src)")
    start = time.perf_counter()
    action()
    page.wait_for_function(FRESH, arg=before)
    return time.perf_counter() - start


def measure(page: Page, path: Path) -> tuple[float, float, float, float]:
    """Seconds until the view, the file and the figures; then until the view of another strength."""
    page.reload()
    page.locator("#comparison img").last.wait_for()
    start = time.perf_counter()
    view = seconds_until_shown(page, lambda: page.locator("#intake input[type=file]").set_input_files(path))
    page.locator("button:enabled", has_text="Download in full quality").wait_for()
    file = time.perf_counter() - start
    page.locator("#metrics dt").first.wait_for()
    figures = time.perf_counter() - start
    other = seconds_until_shown(page, lambda: page.get_by_label("number input for Strength").first.fill("0.5"))
    return view, file, figures, other


def main(megapixels: tuple[float, ...] = (1, 12, 48), kinds: tuple[str, ...] = ("jpg", "png")) -> None:
    """Measure the page.

    Args:
        megapixels: sizes of the pictures.
        kinds: of files.
    """
    with socket.socket() as free, tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        environment = {
            **machine.child_environment(),
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_TEMP_DIR": f"{scratch}/gradio",
        }
        server = subprocess.Popen([sys.executable, str(ROOT / "app.py")], env=environment, stdout=subprocess.DEVNULL)
        try:
            while server.poll() is None:
                with suppress(OSError):
                    urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
                    break
                time.sleep(0.2)
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(PATIENCE_MS)
            page.goto(f"http://127.0.0.1:{port}/")
            page.locator("#comparison img").last.wait_for()
            described = machine.sentence(machine.describe(("torch", "gradio")))
            rows = []
            for size in megapixels:
                picture = noisy_picture(size)
                for kind in kinds:
                    path = Path(scratch) / f"picture-{size:g}.{kind}"
                    picture.save(path, quality=95)
                    rows.append([f"{size:g} {kind.upper()}", *(f"{seconds:.1f}" for seconds in measure(page, path))])
                    print(*rows[-1], flush=True)
                    text = f"# From drop to result\n\n{described}\n\n{machine.table(HEADER, rows)}\n"
                    (ROOT / "benchmarks" / "results" / "page_time.md").write_text(text)
            browser.close()
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    tyro.cli(main)
