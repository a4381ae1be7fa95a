"""Time from giving a picture to the page until the result is there, in Chromium on this machine."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Error, Page, sync_playwright
from skimage import data
from tqdm import tqdm

from benchmarks.page.server import PageServer
from benchmarks.shared import machine
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import to_bytes
from hf_denoise.errors import UserError

PATIENCE_MS = 900_000
FRESH = """(before) => {
    const images = [...document.querySelectorAll("#comparison img")];
    return images.length && !before.includes(images.at(-1).src) && images.every((image) => image.naturalWidth > 0);
}"""
FIGURES = ("view", "file", "figures", "another strength")


def noisy_picture(megapixels: float) -> Image.Image:
    """A photograph, mirrored again and again up to the size, with Gaussian noise of sigma 15."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    photo = data.astronaut()
    photo = np.vstack([np.hstack([photo, photo[:, ::-1]]), np.hstack([photo, photo[:, ::-1]])[::-1]])
    times = -(-height // photo.shape[0]), -(-round(height * 1.5) // photo.shape[1]), 1
    pixels = np.tile(photo, times)[:height, : round(height * 1.5)].astype(np.float32)
    pixels += 15 * np.random.default_rng(0).standard_normal(pixels.shape, dtype=np.float32)
    return Image.fromarray(to_bytes(pixels / 255))


def seconds_until_shown(page: Page, action: Callable[[], object]) -> float:
    """How long the view takes to change after an action."""
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


@contextmanager
def opened(url: str) -> Iterator[Page]:
    """The page in a browser, with its example on show.

    Raises:
        UserError: there is no Chromium.
    """
    installed = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=installed, args=["--no-sandbox"])
        except Error as error:
            raise UserError("Chromium does not start; install it with: playwright install chromium") from error
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(url)
        page.locator("#comparison img").last.wait_for()
        yield page
        browser.close()


def run(options: Options) -> None:
    """Measure a JPEG and a PNG of each size; write page_time.md and page_time.json."""
    sizes = (0.2,) if options.quick else (1, 12, 24, 48)
    about = machine.describe(("torch", "gradio"))
    rows: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="hf_denoise-page_time-") as scratch,
        PageServer(options.model) as server,
        opened(server.url) as page,
        tqdm(total=2 * len(sizes), desc="page_time", unit="picture") as bar,
    ):
        for megapixels in sizes:
            picture = noisy_picture(megapixels)
            for kind in ("jpg", "png"):
                path = Path(scratch) / f"picture-{megapixels:g}.{kind}"
                picture.save(path, quality=95)
                seconds = dict(zip(FIGURES, measure(page, path), strict=True))
                rows.append({"megapixels": megapixels, "kind": kind.upper(), "seconds": seconds})
                bar.update()
    paragraphs = [
        "# From drop to result",
        machine.sentence(about),
        "Seconds from dropping a noisy picture on the page in Chromium until the before | after view, until the file "
        "can be downloaded, until the figures are there; and until the view of another strength, which runs no "
        "network.",
        machine.table(
            ("megapixels", *(f"{figure}, s" for figure in FIGURES)),
            [
                (f"{row['megapixels']:g} {row['kind']}", *(f"{row['seconds'][figure]:.1f}" for figure in FIGURES))
                for row in rows
            ],
        ),
    ]
    machine.write(options.output, "page_time", {"machine": about, "rows": rows}, paragraphs)
