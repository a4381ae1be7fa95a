"""Put a trained checkpoint into the package: half precision, with its measured report.

    python recipes/ship.py runs/packaged/last runs/packaged/cbsd68

The second argument is the folder that `hf-denoise evaluate --model runs/packaged/last ... -o` wrote.
"""

import json
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from hf_denoise import DenoisingUNet

DATA = "962 photographs: BSDS500 train and test, ImageNet samples, Debian's wallpapers"
LICENCES = [
    "BSDS500 and the ImageNet samples: non-commercial research and education",
    "Debian's wallpapers: CC BY-SA or freer",
]
PACKAGED = Path(__file__).parents[1] / "hf_denoise" / "checkpoints"


def main(checkpoint: str, evaluation: str) -> None:
    model = DenoisingUNet.from_pretrained(checkpoint)
    measured = json.loads((Path(evaluation) / "evaluation.json").read_text())
    training = {**(model.report or {}).get("training", {}), "data": DATA, "licences": LICENCES}
    model.report = {"results": measured["results"], "training": training}
    model.save_pretrained(PACKAGED)
    weights = PACKAGED / "model.safetensors"
    # Vectors (biases, BatchNorm statistics) stay in full precision: they weigh nothing and their range is wide.
    halved = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in load_file(weights).items()}
    save_file(halved, weights, metadata={"format": "pt"})
    print(f"{weights}: {weights.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
