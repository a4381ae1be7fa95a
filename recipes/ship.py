"""Put a trained checkpoint into the package: half precision, with its measured report.

    python recipes/ship.py runs/packaged/last runs/cbsd68 runs/tiles

The arguments after the first are folders that `hf-denoise evaluate --model runs/packaged/last ... -o` wrote.
"""

import json
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from hf_denoise import DenoisingUNet

DATA = (
    "1 142 photographs (BSDS500 train and test, ImageNet samples, Debian's wallpapers, Urban100, Sun-Hays 80), 25 "
    "pairs of real noise (PolyU, RENOIR), 185 magnetic tiles with real defects (Huang et al., 2018); in the trainings "
    "before the network was grown, photographs with drawn defects, too"
)
LICENCES = [
    "BSDS500, the ImageNet samples, Urban100 and Sun-Hays 80: non-commercial research and education",
    "PolyU's real-world noisy images and RENOIR: offered for research",
    "Debian's wallpapers: CC BY-SA or freer",
    "Magnetic-tile-defect dataset: offered for research",
]
PACKAGED = Path(__file__).parents[1] / "hf_denoise" / "checkpoints"


def main(checkpoint: str, *evaluations: str) -> None:
    model = DenoisingUNet.from_pretrained(checkpoint)
    reports = [json.loads((Path(folder) / "evaluation.json").read_text()) for folder in evaluations]
    training = {**(model.report or {}).get("training", {}), "data": DATA, "licences": LICENCES}
    model.report = {
        "license": {"license": "apache-2.0"},
        "results": [result for report in reports for result in report["results"]],
        "training": training,
    }
    model.save_pretrained(PACKAGED)
    weights = PACKAGED / "model.safetensors"
    # Vectors (biases, BatchNorm statistics) stay in full precision: they weigh nothing and their range is wide.
    halved = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in load_file(weights).items()}
    save_file(halved, weights, metadata={"format": "pt"})
    print(f"{weights}: {weights.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
