"""Time and memory of a probe, over the size of the picture."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import machine
from benchmarks.shared.pictures import noisy_gradient

SIZES = (1.0, 12.0, 100.0)  # megapixels
CHILD = """
import json, sys, time
from PIL import Image
Image.MAX_IMAGE_PIXELS = None
from benchmarks.shared.machine import peak_bytes
from hf_denoise import Denoiser
import numpy as np
denoiser = Denoiser.from_pretrained(device="cpu")
denoiser(np.zeros((256, 256, 3), np.uint8))
picture = np.load(sys.argv[1])
before = peak_bytes()
start = time.perf_counter()
denoiser.probe(picture)
print(json.dumps({"seconds": time.perf_counter() - start, "mib": (peak_bytes() - before) / 2**20}))
"""


def cost_rows(quick: bool) -> list[dict[str, Any]]:
    """Seconds and MiB above the idle process with the decoded picture, in a process of its own for each size."""
    found = []
    with tempfile.TemporaryDirectory(prefix="hf_denoise-probe-") as name:
        for megapixels in SIZES[:1] if quick else SIZES:
            path = Path(name) / "picture.npy"
            np.save(path, noisy_gradient(megapixels))
            command = [sys.executable, "-c", CHILD, str(path)]
            done = subprocess.run(command, env=machine.child_environment(), stdout=subprocess.PIPE, check=True)
            found.append({"megapixels": megapixels, **json.loads(done.stdout)})
    return found
