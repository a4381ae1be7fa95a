"""Many people at once on the page: `python benchmarks/load_page.py`."""

import io
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import machine
import numpy as np
from http_page import Outcome, PageServer
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from hf_denoise.cli.options import run
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable

MIB = 2**20
OWN = 0.95  # correlation with the own clean picture; that of two different ones is near 0


@dataclass(frozen=True)
class Load:
    """Clients that all give a picture of their own at the same moment; each must get its own back."""

    clients: int = 20
    """How many there are."""
    megapixels: float = 0.5
    """Size of each picture."""
    limit: float = 600
    """Seconds that a client waits."""
    output: Path = Path("benchmarks/results")
    """Folder for load_page.json and load_page.md."""


@dataclass(frozen=True)
class Served:
    """What a client got: the answer, the correlation with each clean picture, and whether size and format were kept."""

    outcome: Outcome
    correlations: list[float]
    kept: bool


def clean_picture(seed: int, megapixels: float) -> NDArray[np.float32]:
    """(H, W, 3) in [0, 1], 4 : 3: smooth random shapes, another for each seed."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(megapixels * 1e6 / height)
    noise = np.random.default_rng(seed).standard_normal((height, width, 3), dtype=np.float32)
    shapes = gaussian_filter(noise, (12, 12, 0), mode="wrap")
    return (0.5 + 0.2 * shapes / shapes.std()).clip(0, 1)


def noisy_file(clean: NDArray[np.float32], seed: int) -> bytes:
    """The picture with Gaussian noise of sigma 25 of 255, as a PNG."""
    noise = np.random.default_rng(seed).standard_normal(clean.shape, dtype=np.float32) * np.float32(25 / 255)
    file = io.BytesIO()
    Image.fromarray(np.rint((clean + noise).clip(0, 1) * 255).astype(np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Pearson's, over all samples."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def benchmark(options: Load) -> None:
    """Serve all clients; write load_page.json and load_page.md.

    Raises:
        UserError: the page died, or a client did not get its own picture; the report is written all the same.
    """
    make_writable(options.output)
    about = machine.describe(("gradio", "torch"))
    cleans = [clean_picture(seed, options.megapixels) for seed in range(options.clients)]
    files = [noisy_file(clean, seed) for seed, clean in enumerate(cleans)]
    barrier = threading.Barrier(options.clients)
    with PageServer() as page, tqdm(total=options.clients, desc="load", unit="client") as bar:

        def served(index: int) -> Served:
            barrier.wait()
            # All have the same name, as photographs of one phone may: what is told apart is the contents.
            outcome = page.denoise("picture.png", files[index], options.limit)
            bar.update()
            if outcome.kind != "result":
                return Served(outcome, [], False)
            image = Image.open(io.BytesIO(page.download(outcome.data[1])))
            pixels = np.asarray(image, np.float32) / 255
            kept = image.format == "PNG" and pixels.shape == cleans[index].shape
            return Served(outcome, [correlation(pixels, clean) for clean in cleans] if kept else [], kept)

        alone = page.denoise("first.png", noisy_file(clean_picture(12344, options.megapixels), 0), options.limit)
        alone = page.denoise("alone.png", noisy_file(clean_picture(12345, options.megapixels), 1), options.limit)
        before = page.settled_memory()
        page.peak = before
        start = time.monotonic()
        with ThreadPoolExecutor(options.clients) as pool:
            results = list(pool.map(served, range(options.clients)))
        elapsed = time.monotonic() - start
        after = page.settled_memory()
        peak, alive, traces = page.peak, page.alive(), page.log().count("Traceback")
    own = [bool(each.kept and np.argmax(each.correlations) == index) for index, each in enumerate(results)]
    least = min((each.correlations[i] for i, each in enumerate(results) if each.kept), default=0.0)
    others = max(
        (value for i, each in enumerate(results) for j, value in enumerate(each.correlations) if i != j), default=0.0
    )
    waits = sorted(each.outcome.seconds for each in results)
    figures = {
        "alone_s": alone.seconds,
        "first_s": waits[0],
        "median_s": statistics.median(waits),
        "last_s": waits[-1],
        "per_picture_s": elapsed / options.clients,
        "before_mib": before / MIB,
        "peak_mib": peak / MIB,
        "after_mib": after / MIB,
        "least_own_correlation": least,
        "greatest_other_correlation": others,
    }
    text = "\n\n".join(
        [
            f"# {options.clients} people at once on the page",
            machine.sentence(about),
            f"{options.clients} clients upload a picture of their own at the same moment, {options.megapixels:g} "
            "megapixels, PNG, all of the same name, and call `/denoise` of `python app.py`. The page denoises one "
            "after another; the rest wait in its queue. A client got its own picture back where the download "
            f"correlates with its own clean picture above {OWN} and more than with any other.",
            f"Own picture back: {sum(own)} of {options.clients}. Traces in the log of the server: {traces}. The page "
            f"{'lived' if alive else 'died'}.",
            machine.table(
                ("figure", "value"),
                [
                    ("alone, nobody else there", f"{alone.seconds:.2f} s"),
                    ("first of all answered after", f"{figures['first_s']:.2f} s"),
                    ("median", f"{figures['median_s']:.2f} s"),
                    ("last", f"{figures['last_s']:.2f} s"),
                    ("time per picture, all together", f"{figures['per_picture_s']:.2f} s"),
                    ("resident memory before", f"{figures['before_mib']:.0f} MiB"),
                    ("at the peak", f"{figures['peak_mib']:.0f} MiB"),
                    ("after", f"{figures['after_mib']:.0f} MiB"),
                    ("least correlation with the own clean picture", f"{least:.3f}"),
                    ("greatest with that of another client", f"{others:.3f}"),
                ],
            ),
        ]
    )
    results_json = {"machine": about, "clients": options.clients, "megapixels": options.megapixels, "own": sum(own)}
    machine.write(options.output, "load_page", {**results_json, **figures}, text)
    if not all(own) or least < OWN or not alive:
        failures = {each.outcome.text or each.outcome.kind for each in results if each.outcome.kind != "result"}
        raise UserError(f"{options.clients - sum(own)} clients did not get their picture; {failures or 'see above'}")


if __name__ == "__main__":
    sys.exit(run(Load, benchmark, sys.argv[1:]))
