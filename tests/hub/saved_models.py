"""A small model with a report, saved, for the tests of the Hub."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from hf_denoise.model.unet import DenoisingUNet

SMALL = {"encoder": "resnet10t", "encoder_levels": 2, "decoder_channels": (8, 8), "decoder_depths": (1, 0)}


RESULT = {
    "dataset": "CBSD68",
    "split": "test",
    "degradation": "gaussian:25",
    "images": 68,
    "psnr": 30.91,
    "ssim": 0.8812,
}


REPORT = {
    "results": [
        {**RESULT, "input_psnr": 20.17, "input_ssim": 0.4012},
        {**RESULT, "degradation": "jpeg:40", "psnr": 33.2},
    ],
    "training": {
        "data": "962 photographs",
        "recipe": {"patch": 96},
        "steps": 25000,
        "minutes": 110.0,
        "hardware": "CPU",
    },
}


IMAGE = torch.rand(1, 3, 45, 38, generator=torch.Generator().manual_seed(1))


def build(seed: int = 0, **options) -> DenoisingUNet:
    """A small network that changes its input: a new residual one is the identity."""
    torch.manual_seed(seed)
    model = DenoisingUNet(**{**SMALL, **options}).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    return model


def output(model: DenoisingUNet) -> torch.Tensor:
    with torch.inference_mode():
        return model(IMAGE)


@functools.cache
def expected(seed: int = 0) -> torch.Tensor:
    return output(build(seed))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run_python(code: str, *arguments: object, **environment: str) -> dict:
    """Run a script in a process of its own, as a user would; it prints one line of JSON."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


PRELUDE = """
import json, os, sys
from hf_denoise.errors import UserError
from hf_denoise.training.upload import push
from hf_denoise.model.unet import DenoisingUNet

def sentence(action, *arguments, **options):
    try:
        action(*arguments, **options)
    except UserError as error:
        return str(error)
"""
