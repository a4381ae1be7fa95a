"""Options of loading and saving: those of the Hub's mixin mean what they say, and a mistyped one is named."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hf_denoise import DenoisingUNet
from hf_denoise.errors import UserError
from hf_denoise.hub.files import PACKAGED
from hf_denoise.model.blocks import SCSE

BAD: dict[str, dict[str, Any]] = {
    "no option 'gate_windw'; did you mean 'gate_window'": {"gate_windw": 48},
    "no option 'map_locaton'; did you mean 'map_location'": {"map_locaton": "cpu"},
    "no option 'revison'; did you mean 'revision'": {"revison": "main"},
    "no option 'proxies'; it takes encoder, .*, revision, ": {"proxies": {}},
    "option 'gate_window' of from_pretrained must be of type int, not 'wide'": {"gate_window": "wide"},
    "option 'decoder_depths' of from_pretrained must be a list of whole numbers": {"decoder_depths": 2},
    "with decoder_depths=.1. describes no network": {"decoder_depths": [1]},
    "do not fit its config.json with encoder='resnet34'": {"encoder": "resnet34"},
    "map_location 'toaster' is not available": {"map_location": "toaster"},
    "map_location 'cuda:77' is not available": {"map_location": torch.device("cuda:77")},
    "strict=False is not supported": {"strict": False},
    "encoder_pretrained=True has no place": {"encoder_pretrained": True},
}


@pytest.mark.parametrize("reason", BAD)
def test_a_wrong_option_of_loading_is_named(reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        DenoisingUNet.from_pretrained(PACKAGED, **BAD[reason])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("location", ["cpu", torch.device("cpu"), "meta"])
def test_a_network_is_loaded_to_a_device(location: Any) -> None:
    model = DenoisingUNet.from_pretrained(PACKAGED, map_location=location, strict=True)
    assert {value.device for value in (*model.parameters(), *model.buffers())} == {torch.device(location)}


def test_options_of_the_network_replace_those_that_were_saved(tmp_path: Path) -> None:
    DenoisingUNet(decoder_channels=[32, 24, 16]).save_pretrained(tmp_path)
    model = DenoisingUNet.from_pretrained(tmp_path, gate_window=48, decoder_channels=(32, 24, 16))
    gate = model.decoder[-1].attention
    assert isinstance(gate, SCSE) and gate.window == 48
    assert model._hub_mixin_config["gate_window"] == 48


def test_a_wrong_option_of_saving_is_named_before_anything_is_written(tmp_path: Path) -> None:
    model = DenoisingUNet()
    with pytest.raises(UserError, match="save_pretrained has no option 'pushtohub'; did you mean 'push_to_hub'"):
        model.save_pretrained(tmp_path / "model", pushtohub=True)
    with pytest.raises(UserError, match="push_to_hub has no option 'privat'; did you mean 'private'"):
        model.push_to_hub("ada/denoiser", privat=True)
    assert not (tmp_path / "model").exists()
    model.save_pretrained(tmp_path / "model", private=True)  # means something where it is pushed
    assert (tmp_path / "model" / "config.json").exists()
