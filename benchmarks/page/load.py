"""Many people at once on the page."""

import io
import statistics
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from benchmarks.page.server import Outcome, PageServer
from benchmarks.shared import machine
from benchmarks.shared.machine import MIB
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import Photo, to_bytes
from hf_denoise.errors import UserError

OWN = 0.95  # correlation with the own clean picture; that of two different ones is near 0
LIMIT = 600.0  # seconds that a client waits


@dataclass(frozen=True)
class Served:
    """What a client got: the answer, the correlation with each clean picture, and whether size and format were kept."""

    outcome: Outcome
    correlations: list[float]
    kept: bool


def clean_picture(seed: int, megapixels: float) -> Photo:
    """(H, W, 3) in [0, 1], 4 : 3: smooth random shapes, another for each seed."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(megapixels * 1e6 / height)
    noise = np.random.default_rng(seed).standard_normal((height, width, 3), dtype=np.float32)
    shapes = gaussian_filter(noise, (12, 12, 0), mode="wrap")
    return (0.5 + 0.2 * shapes / shapes.std()).clip(0, 1)


def noisy_file(clean: Photo, seed: int) -> bytes:
    """The picture with Gaussian noise of sigma 25 of 255, as a PNG."""
    noise = np.random.default_rng(seed).standard_normal(clean.shape, dtype=np.float32) * np.float32(25 / 255)
    file = io.BytesIO()
    Image.fromarray(to_bytes(clean + noise)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def correlation(one: Photo, other: Photo) -> float:
    """Pearson's, over all samples."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def judged(outcome: Outcome, page: PageServer, index: int, cleans: Sequence[Photo]) -> Served:
    """Compare what client `index` got with the clean pictures of all."""
    if outcome.kind != "result":
        return Served(outcome, [], False)
    image = Image.open(io.BytesIO(page.download(outcome.data[1])))
    pixels = np.asarray(image, np.float32) / np.float32(255)
    kept = image.format == "PNG" and pixels.shape == cleans[index].shape
    return Served(outcome, [correlation(pixels, clean) for clean in cleans] if kept else [], kept)


def serve(clients: int, megapixels: float, model: str | None) -> tuple[list[Served], dict[str, float], bool]:
    """All clients at the same moment: what each got, the figures of the table, and whether the page lived."""
    cleans = [clean_picture(seed, megapixels) for seed in range(clients)]
    files = [noisy_file(clean, seed) for seed, clean in enumerate(cleans)]
    barrier = threading.Barrier(clients)
    with PageServer(model) as page, tqdm(total=clients, desc="load_page", unit="client") as bar:

        def served(index: int) -> Served:
            barrier.wait()
            # All have the same name, as photographs of one phone may: what is told apart is the contents.
            outcome = page.denoise("picture.png", files[index], LIMIT)
            bar.update()
            return judged(outcome, page, index, cleans)

        page.denoise("first.png", noisy_file(clean_picture(12344, megapixels), 0), LIMIT)
        alone = page.denoise("alone.png", noisy_file(clean_picture(12345, megapixels), 1), LIMIT)
        before = page.settled_memory()
        page.peak = before
        start = time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            results = list(pool.map(served, range(clients)))
        elapsed = time.monotonic() - start
        alive = page.alive()
        after = page.settled_memory() if alive else 0
        peak, traces = page.peak, page.log().count("Traceback")
    waits = sorted(each.outcome.seconds for each in results)
    others = [value for i, each in enumerate(results) for j, value in enumerate(each.correlations) if i != j]
    figures = {
        "alone_s": alone.seconds,
        "first_s": waits[0],
        "median_s": statistics.median(waits),
        "last_s": waits[-1],
        "per_picture_s": elapsed / clients,
        "before_mib": before / MIB,
        "peak_mib": peak / MIB,
        "after_mib": after / MIB,
        "least_own_correlation": min((each.correlations[i] for i, each in enumerate(results) if each.kept), default=0),
        "greatest_other_correlation": max(others, default=0.0),
        "traces": traces,
    }
    return results, figures, alive


def run(options: Options) -> None:
    """Serve all clients; write load_page.md and load_page.json.

    Raises:
        UserError: the page died, or a client did not get its own picture; the report is written all the same.
    """
    clients, megapixels = (4, 0.1) if options.quick else (20, 0.5)
    about = machine.describe(("gradio", "torch"))
    served, figures, alive = serve(clients, megapixels, options.model)
    own = sum(bool(each.kept and np.argmax(each.correlations) == index) for index, each in enumerate(served))
    results = {"machine": about, "clients": clients, "megapixels": megapixels, "own": own, **figures}
    machine.write(options.output, "load_page", results, paragraphs(results, alive))
    if own < clients or figures["least_own_correlation"] < OWN or not alive:
        failures = {each.outcome.text or each.outcome.kind for each in served if each.outcome.kind != "result"}
        raise UserError(f"{clients - own} clients did not get their picture; {failures or 'see above'}")


def paragraphs(results: dict[str, Any], alive: bool) -> list[str]:
    """The report."""
    clients = results["clients"]
    rows = (
        ("alone, nobody else there", "alone_s", "{:.2f} s"),
        ("first of all answered after", "first_s", "{:.2f} s"),
        ("median", "median_s", "{:.2f} s"),
        ("last", "last_s", "{:.2f} s"),
        ("time per picture, all together", "per_picture_s", "{:.2f} s"),
        ("resident memory before", "before_mib", "{:.0f} MiB"),
        ("at the peak", "peak_mib", "{:.0f} MiB"),
        ("after", "after_mib", "{:.0f} MiB"),
        ("least correlation with the own clean picture", "least_own_correlation", "{:.3f}"),
        ("greatest with that of another client", "greatest_other_correlation", "{:.3f}"),
    )
    return [
        f"# {clients} people at once on the page",
        machine.sentence(results["machine"]),
        f"{clients} clients upload a picture of their own at the same moment, {results['megapixels']:g} "
        "megapixels, PNG, all of the same name, and call `/denoise` of `python app.py`. The page denoises one "
        "after another; the rest wait in its queue. A client got its own picture back where the download "
        f"correlates with its own clean picture above {OWN} and more than with any other.",
        f"Own picture back: {results['own']} of {clients}. Traces in the log of the server: {results['traces']}. The "
        f"page {'lived' if alive else 'died'}.",
        machine.table(("figure", "value"), [(name, form.format(results[key])) for name, key, form in rows]),
    ]
