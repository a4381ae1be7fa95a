"""What `hf-denoise evaluate` says of pictures with defects: how much of the noise goes and how much of them stays."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from benchmarks.shared import machine
from benchmarks.shared.options import Options
from benchmarks.shared.pictures import write_cut_photographs
from hf_denoise.errors import UserError


def hf_denoise(*words: str | Path) -> None:
    """Run a command of the package.

    Raises:
        UserError: it failed; the message is its own.
    """
    command = [sys.executable, "-m", "hf_denoise.cli", *map(str, words)]
    done = subprocess.run(command, env=machine.child_environment(), stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise UserError(f"'hf-denoise {words[0]}' failed, see above")


def run(options: Options) -> None:
    """Measure the test split at sigma 25 and 50; write tiles.md and tiles.json."""
    about = machine.describe(("torch", "timm", "scikit-image", "bm3d"))
    peers = ["nl-means"] if options.quick or importlib.util.find_spec("bm3d") is None else ["nl-means", "bm3d"]
    with tempfile.TemporaryDirectory(prefix="hf_denoise-tiles-") as name, tqdm(total=1, desc="tiles") as bar:
        folder, data = Path(name), options.tiles
        if options.quick or data is None:
            write_cut_photographs(folder / "photos")
            data = folder / "drawn defects"
            hf_denoise("make-triplets", folder / "photos", data, "--degradation", "none")
        model = ("--model", options.model) if options.model else ()
        evaluation = ("evaluate", "--data", data, "--output", folder / "report", "--sigma", "25", "50")
        hf_denoise(*evaluation, "--peers", *peers, *model)
        bar.update()
        text = (folder / "report" / "evaluation.md").read_text(encoding="utf-8")
        results = json.loads((folder / "report" / "evaluation.json").read_text(encoding="utf-8"))
    paragraphs = [
        "# Defects: how much of them is kept",
        machine.sentence(about),
        f"Weights: {options.model_name}, in float32. The test split of {data.name}, with confidence intervals in "
        "brackets. The other methods are told sigma.",
        text.strip(),
    ]
    machine.write(options.output, "tiles", {"machine": about, "model": options.model_name, **results}, paragraphs)
