"""What a finished run left behind, read for tests."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def logged(output: Path, name: str) -> list[float]:
    events = EventAccumulator(str(output / "hf_denoise"))
    events.Reload()
    return [event.value for event in events.Scalars(name)]


def all_weights(output: Path) -> torch.Tensor:
    tensors = load_file(output / "last/model.safetensors")
    return torch.cat([tensor.float().flatten() for _, tensor in sorted(tensors.items())])


def assert_trained_alike(one: Path, two: Path) -> None:
    for name in ("loss", "validation/psnr", "validation/defect_psnr"):
        assert logged(one, name) == pytest.approx(logged(two, name), rel=1e-3), name
    ours, theirs = all_weights(one), all_weights(two)
    assert (ours - theirs).norm() < 1e-2 * ours.norm()


def report(checkpoint: Path) -> dict:
    return json.loads((checkpoint / "evaluation.json").read_text())
