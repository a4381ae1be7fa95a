"""The picture at the head of the page says what was measured."""

import json
from pathlib import Path

from hf_denoise.page import looks
from hf_denoise.page.samples import EXAMPLE_FOLDER

RESULTS = Path(__file__).parents[2] / "benchmarks/results"


def test_the_head_shows_what_was_measured() -> None:
    kept = json.loads((RESULTS / "why.json").read_text())["contrast_kept"]
    measured = {name: f"{100 * share:.0f} %" for name, share in kept.items()}
    assert {**measured, "Noisy": "crack kept:"} == looks.WHY
    assert (EXAMPLE_FOLDER / "why.webp").read_bytes() == (RESULTS / "why.webp").read_bytes()
