"""Reports that cards are rendered of, and the parts of a card."""

from typing import Any

import yaml
from huggingface_hub import ModelCard

CONFIG = {
    "encoder": "resnet18",
    "encoder_levels": 4,
    "decoder_channels": [128, 96, 64, 32],
    "decoder_depths": [1, 1, 2, 0],
    "full_resolution_skip": True,
    "residual": True,
    "gate_window": 96,
}


RESULT = {
    "dataset": "CBSD68",
    "split": "test",
    "degradation": "gaussian:25",
    "images": 68,
    "psnr": 30.9134567,
    "ssim": 0.881234,
    "defect_psnr": None,
    "input_psnr": 20.17,
    "input_ssim": 0.4012,
    "input_defect_psnr": None,
}


TRAINING: dict[str, Any] = {
    "data": "962 photographs",
    "recipe": {"patch": 96, "learning_rate": 0.001, "decoder_channels": (128, 96), "degradation": "gaussian:0-55"},
    "steps": 25000,
    "minutes": 110.2,
    "hardware": "2 CPU cores",
}


def metadata(card: ModelCard) -> dict:
    """The YAML block, parsed by YAML alone."""
    return yaml.safe_load(str(card).split("---\n")[1])


def section(card: ModelCard, title: str) -> str:
    return card.text.split(f"## {title}\n")[1].split("\n## ")[0]
