"""Loading what is not there, or not right."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hub_server import HubServer
from safetensors.torch import load_file, save_file
from saved_models import REPORT, build, expected, files_of, output

from hf_denoise.errors import UserError
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.model.unet import DenoisingUNet


@pytest.mark.slow
def test_revisions(hub: HubServer, saved, load, tmp_path):
    repo = hub.host("ada/denoiser", files_of(saved))
    first = repo.tags["v1"] = repo.resolve("main")
    for seed, branch in ((7, "main"), (8, "try/8")):
        build(seed).save_pretrained(tmp_path / str(seed))
        hub.host("ada/denoiser", files_of(tmp_path / str(seed)), branch=branch)
    image = np.random.default_rng(1).random((45, 38, 3), dtype=np.float32)
    for revision, seed in ((None, 7), ("main", 7), (first, 0), ("v1", 0), ("try/8", 8)):
        model = load("ada/denoiser", revision=revision)
        assert torch.equal(output(model), expected(seed)), revision
        assert model.report == (REPORT if seed == 0 else None)
        denoiser = Denoiser.from_pretrained("ada/denoiser", revision=revision, precision="float32")
        assert np.array_equal(denoiser(image), Denoiser(model, precision="float32")(image)), revision
    with pytest.raises(UserError, match="'ada/denoiser' has no such revision"):
        Denoiser.from_pretrained("ada/denoiser", revision="v9")
    with pytest.raises(UserError, match="'ada/denoiser' has no such revision"):
        load("ada/denoiser", revision="v9")


@pytest.mark.parametrize(
    "repo_id, token, message",
    [
        ("ada/nothing", None, "'ada/nothing' is neither an existing folder nor a Hub repository that you may see"),
        ("ada/nothing", "hf_ada", "'ada/nothing' is neither an existing folder nor a Hub repository that you may see"),
        ("ada/denoiser", "hf_wrong", r"the Hub refused the token for 'ada/denoiser' \(HTTP 401\)"),
        ("ada/gated", "hf_bob", "'ada/gated' is gated on the Hub"),
        ("./no/such folder", None, "'./no/such folder' does not exist: '.' has no 'no'"),
        ("ada/card-only", None, "'ada/card-only' has no config.json"),
    ],
)
def test_load_refused(hub: HubServer, saved, load, repo_id, token, message):
    hub.host("ada/denoiser", files_of(saved))
    hub.host("ada/gated", files_of(saved), gated=True)
    hub.host("ada/card-only", {"README.md": b"# A card"})
    with pytest.raises(UserError, match=message) as caught:
        load(repo_id, token=token)
    assert "\n" not in str(caught.value)


def test_file_instead_of_folder(saved, load):
    with pytest.raises(UserError, match="is a file; give the folder it is in"):
        load(saved / "model.safetensors")


def test_packaged_weights_are_not_those_of_a_folder_of_that_name(saved, monkeypatch):
    monkeypatch.chdir(saved.parent)
    by_default, by_name = Denoiser.from_pretrained(), DenoisingUNet.from_pretrained("packaged")
    saved.rename("packaged")
    assert torch.equal(output(Denoiser.from_pretrained().model), output(by_default.model))
    assert torch.equal(output(DenoisingUNet.from_pretrained("packaged")), output(by_name))
    assert torch.equal(output(DenoisingUNet.from_pretrained("./packaged")), expected())


class Trap:
    """Unpickled, it leaves a trace."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def test_pickle_is_never_read(hub: HubServer, saved, load, tmp_path):
    files = files_of(saved)
    del files["model.safetensors"]
    files["pytorch_model.bin"] = pickle.dumps(Trap(tmp_path / "trace"))
    hub.host("ada/pickled", files)
    with pytest.raises(UserError, match=r"'ada/pickled' has no model.safetensors, and only safetensors"):
        load("ada/pickled")
    hub.host("ada/disguised", {**files, "model.safetensors": files["pytorch_model.bin"]})
    with pytest.raises(UserError, match="cut short or not a safetensors file"):
        load("ada/disguised")
    assert not any("pytorch_model.bin" in request for request in hub.requests)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("keep", [0, 7, 1000, -1])
def test_truncated_weights(hub: HubServer, saved, load, keep):
    files = files_of(saved)
    hub.host("ada/cut", {**files, "model.safetensors": files["model.safetensors"][:keep]})
    with pytest.raises(UserError, match=r"model.safetensors of 'ada/cut' is cut short or not a safetensors file"):
        load("ada/cut")


@pytest.mark.parametrize(
    "config, message",
    [
        (b"{", "config.json of 'ada/odd' is not JSON"),
        (b"\xff\xfe", "config.json of 'ada/odd' is not JSON"),
        (b"[]", "config.json of 'ada/odd' must hold one JSON object, not a list"),
        ({"hidden_size": 768}, "unknown option 'hidden_size'"),
        ({"self": 1}, "unknown option 'self'"),
        ({"decoder_batch_norm": True}, "sets 'decoder_batch_norm', which is no longer supported; use the version of"),
        ({"encoder_levels": "two"}, "option 'encoder_levels' must be of type int, not \"two\""),
        ({"encoder_levels": True}, "option 'encoder_levels' must be of type int, not true"),
        ({"residual": "no"}, "option 'residual' must be of type bool"),
        ({"decoder_channels": [8, "8"]}, "option 'decoder_channels' must be a list of whole numbers"),
        ({"decoder_channels": [8]}, "describes no network that can be built: decoder_channels and decoder_depths"),
        ({"decoder_channels": [8, -8]}, "option 'decoder_channels' must be a list of whole numbers"),
        ({"encoder": "resnet10x"}, "describes no network that can be built: encoder 'resnet10x' is not a ResNet"),
        ({"encoder": "resnet18"}, "the weights in 'ada/odd' do not fit its config.json"),
        ({"decoder_channels": [8, 16]}, "the weights in 'ada/odd' do not fit its config.json"),
        ({"full_resolution_skip": False}, "the weights in 'ada/odd' do not fit its config.json"),
    ],
)
def test_config_that_does_not_fit(hub: HubServer, saved, load, config, message):
    files = files_of(saved)
    if isinstance(config, dict):
        config = json.dumps({**json.loads(files["config.json"]), **config}).encode()
    hub.host("ada/odd", {**files, "config.json": config})
    with pytest.raises(UserError, match=message) as caught:
        load("ada/odd")
    assert "\n" not in str(caught.value)


def test_config_of_an_earlier_version(saved, load):
    """`decoder_batch_norm` was an option; without it every network is as it was."""
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "decoder_batch_norm": False}))
    assert "decoder_batch_norm" not in load(saved)._hub_mixin_config


@pytest.mark.parametrize("report", [b"{", b"[]", b'{"results": 3}', b'{"results": [3]}', b'{"training": "long"}'])
def test_report_that_is_none(hub: HubServer, saved, load, report):
    hub.host("ada/odd", {**files_of(saved), "evaluation.json": report})
    with pytest.raises(UserError, match=r"evaluation.json of 'ada/odd'"):
        load("ada/odd")


def test_missing_and_extra_weights(saved, load):
    weights = load_file(saved / "model.safetensors")
    less = {name: tensor for name, tensor in weights.items() if name != "head.bias"}
    for changed, key in (({**weights, "extra": torch.zeros(1)}, "extra"), (less, "head.bias")):
        save_file(changed, saved / "model.safetensors")
        with pytest.raises(UserError, match=f"do not fit its config.json: .*{key}"):
            load(saved)
