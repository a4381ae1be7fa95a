"""A network is used as what it is, in whatever state it is given, and is not changed by that."""

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel

from hf_denoise import Denoiser, DenoisingUNet
from hf_denoise.errors import UserError
from hf_denoise.hub.files import PACKAGED

OPTIONS: dict[str, Any] = {"engine": "torch", "precision": "float32", "device": "cpu"}


def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)


@cache
def expected() -> NDArray[np.uint8]:
    return Denoiser.from_pretrained(**OPTIONS)(image())


STATES: dict[str, Callable[[DenoisingUNet], Any]] = {
    "half": lambda model: model.half(),
    "bfloat16": lambda model: model.bfloat16(),
    "float64": lambda model: model.double(),
    "training": lambda model: model.train(),
    "channels last": lambda model: model.to(memory_format=torch.channels_last),
    "DataParallel": nn.DataParallel,
    "compiled": lambda model: torch.compile(model),
    "averaged": AveragedModel,
    "averaged, in DataParallel": lambda model: nn.DataParallel(AveragedModel(model)),
}


@pytest.mark.parametrize("state", STATES)
def test_a_network_is_used_in_any_state_and_left_in_it(state: str) -> None:
    model = STATES[state](DenoisingUNet.from_pretrained(PACKAGED))
    before = {name: (value.clone(), value.dtype) for name, value in model.state_dict().items()}
    mode = model.training
    result = Denoiser(model, **OPTIONS)(image())
    # The weights themselves are rounded to half precision: by less than a level in the picture.
    assert np.abs(result.astype(int) - expected()).max() <= (1 if state in ("half", "bfloat16") else 0)
    assert model.training == mode
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name][0]) and value.dtype == before[name][1]


def test_a_network_that_was_prepared_for_mixed_precision_is_a_copy_as_well() -> None:
    AcceleratorState._reset_state(True)  # of other tests in this process
    prepared = Accelerator(mixed_precision="bf16", cpu=True).prepare(DenoisingUNet.from_pretrained(PACKAGED))
    denoise = Denoiser(prepared, **OPTIONS)
    for weight in prepared.parameters():
        weight.data.zero_()
    assert np.array_equal(denoise(image()), expected())


@pytest.mark.parametrize("model", ["user/repo", nn.Linear(1, 1), nn.DataParallel(nn.Linear(1, 1)), None])
def test_what_is_no_network_is_named(model: Any) -> None:
    with pytest.raises(UserError, match=f"cannot use a {type(model).__name__} as the network.*from_pretrained"):
        Denoiser(model)


def test_the_network_of_a_denoiser_is_saved_as_it_was_loaded(tmp_path: Path) -> None:
    original = DenoisingUNet.from_pretrained(PACKAGED)
    Denoiser.from_pretrained(**OPTIONS).model.save_pretrained(tmp_path / "loaded")
    Denoiser(copy.deepcopy(original).double(), **OPTIONS).model.save_pretrained(tmp_path / "given")
    for folder in (tmp_path / "loaded", tmp_path / "given"):
        again = DenoisingUNet.from_pretrained(folder)
        assert again.report == original.report
        assert again.state_dict().keys() == original.state_dict().keys()
        for name, value in again.state_dict().items():
            assert torch.equal(value, original.state_dict()[name]), name
        assert np.array_equal(Denoiser(again, **OPTIONS)(image()), expected())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_default_dtype_of_torch_does_not_matter(dtype: torch.dtype) -> None:
    options: dict[str, Any] = {"precision": "float32", "device": "cpu"}
    known, before = expected(), torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        assert np.array_equal(Denoiser.from_pretrained(engine="torch", **options)(image()), known)
        ensemble = Denoiser.from_pretrained(engine="torch", self_ensemble=True, **options)
        assert ensemble(image()).shape == known.shape
        in_openvino = Denoiser.from_pretrained(engine="openvino", **options)(image())
        assert np.abs(in_openvino.astype(int) - known).max() <= 1
        new = Denoiser(DenoisingUNet(), engine="torch", **options)
        assert np.array_equal(new(image()), image())  # a new network changes nothing
        assert DenoisingUNet.from_pretrained("packaged").head.weight.dtype == torch.float32
    finally:
        torch.set_default_dtype(before)
