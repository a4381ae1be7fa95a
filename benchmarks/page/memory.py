"""The memory of the page's server over many pictures: it must level off."""

from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.page.load import LIMIT, clean_picture, noisy_file
from benchmarks.page.server import PageServer
from benchmarks.shared import machine
from benchmarks.shared.machine import MIB
from benchmarks.shared.options import Options
from hf_denoise.errors import UserError

MEGAPIXELS = 0.1, 4.0
LEVEL = 1.1  # what the last quarter may have over the second: more is a leak


def run(options: Options) -> None:
    """Denoise pictures of mixed size one after another; write page_memory.md and page_memory.json.

    Raises:
        UserError: the page died or did not answer, or its memory still grows; the report is written all the same.
    """
    pictures, readings = (8, 4) if options.quick else (200, 20)
    low, high = (0.05, 0.3) if options.quick else MEGAPIXELS
    sizes = np.exp(np.random.default_rng(0).uniform(np.log(low), np.log(high), pictures))
    resident: list[float] = []
    failed = 0
    with PageServer(options.model) as page:
        before = page.settled_memory() / MIB
        for number, megapixels in enumerate(tqdm(sizes, desc="page_memory", unit="picture"), start=1):
            file = noisy_file(clean_picture(number, float(megapixels)), number)
            failed += page.denoise(f"{number}.png", file, LIMIT).kind != "result"
            if number % (pictures // readings) == 0 and page.alive():
                resident.append(page.settled_memory() / MIB)
        alive, peak = page.alive(), page.peak / MIB
    quarter = readings // 4
    second, last = (float(np.mean(part)) for part in (resident[quarter : 2 * quarter], resident[-quarter:]))
    results = {
        "machine": machine.describe(("gradio", "torch")),
        "pictures": pictures,
        "megapixels": [low, high, float(sizes.sum())],
        "before_mib": before,
        "resident_mib": resident,
        "second_quarter_mib": second,
        "last_quarter_mib": last,
        "peak_mib": peak,
    }
    machine.write(options.output, "page_memory", results, paragraphs(results, pictures // readings))
    if failed or not alive:
        raise UserError(f"{failed} of {pictures} pictures got no result")
    if not options.quick and last > LEVEL * second:
        raise UserError(f"the memory still grows: {second:.0f} MiB in the second quarter, {last:.0f} in the last")


def paragraphs(results: dict[str, Any], every: int) -> list[str]:
    """The report."""
    low, high, total = results["megapixels"]
    rows = [
        ("before the first picture", f"{results['before_mib']:.0f} MiB"),
        *(
            (f"after {every * number} pictures", f"{value:.0f} MiB")
            for number, value in enumerate(results["resident_mib"], start=1)
        ),
        ("at the peak, while a picture is at work", f"{results['peak_mib']:.0f} MiB"),
    ]
    return [
        "# Memory of the page over many pictures",
        machine.sentence(results["machine"]),
        f"{results['pictures']} noisy pictures of {low:g} to {high:g} megapixels, {total:.0f} in all, one "
        "after another over `/denoise` of `python app.py`. Resident memory of the server when it is idle again.",
        f"It levels off at {results['last_quarter_mib']:.0f} MiB (mean of the last quarter; of the second "
        f"{results['second_quarter_mib']:.0f}).",
        machine.table(("", "resident"), rows),
    ]
