"""ImageNet weights of the encoder, and life without a network."""

import json
import socket

import pytest
import timm
import torch
from hub_server import HubServer
from safetensors.torch import save
from saved_models import files_of, output, run_python

from hf_denoise.model.unet import DenoisingUNet


def closed_port() -> socket.socket:
    """A port that is taken but where nobody listens: connections are refused as long as the socket lives."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


@pytest.fixture(scope="module")
def imagenet() -> dict[str, torch.Tensor]:
    """Stands for timm's ImageNet weights: the right names and shapes, other numbers than a new network has."""
    torch.manual_seed(3)
    return timm.create_model("resnet18", pretrained=False).state_dict()


def host_imagenet(hub: HubServer, weights: dict[str, torch.Tensor]) -> None:
    config = timm.get_pretrained_cfg("resnet18")
    assert config is not None
    files = {
        "model.safetensors": save({name: tensor.contiguous() for name, tensor in weights.items()}),
        "config.json": json.dumps({"architecture": "resnet18"}).encode(),
    }
    hub.host(f"timm/{config.architecture}.{config.tag}", files)


def test_encoder_starts_from_imagenet_weights_and_is_saved_with_them(hub: HubServer, imagenet, tmp_path):
    host_imagenet(hub, imagenet)
    model = DenoisingUNet(encoder="resnet18", encoder_pretrained=True)
    encoder = model.encoder.state_dict()
    assert len(encoder) == 60  # the stem and the two stages that three levels use
    for name, tensor in encoder.items():
        assert torch.equal(tensor, imagenet[name]), name
    torch.nn.init.normal_(model.head.weight, std=0.1)
    model.save_pretrained(tmp_path / "model")
    asked = len(hub.requests)
    again = DenoisingUNet.from_pretrained(tmp_path / "model")
    assert torch.equal(output(again), output(model.eval()))
    assert len(hub.requests) == asked


@pytest.mark.slow
def test_no_network_and_offline_mode(hub: HubServer, saved, load, imagenet, tmp_path):
    """What is cached or on disk still loads; everything else is one sentence."""
    hub.host("ada/denoiser", files_of(saved))
    load("ada/denoiser")
    model = DenoisingUNet(encoder="resnet18")
    model.encoder.load_state_dict({name: imagenet[name] for name in model.encoder.state_dict()})
    model._hub_mixin_config["encoder_pretrained"] = True  # as an older or foreign config may say
    model.save_pretrained(tmp_path / "from_imagenet")
    assert json.loads((tmp_path / "from_imagenet" / "config.json").read_text())["encoder_pretrained"]
    code = """
folder, cache, from_imagenet = sys.argv[1:]
load = DenoisingUNet.from_pretrained
offline = os.environ.get("HF_HUB_OFFLINE") == "1"
print(json.dumps({
    "cached": load("ada/denoiser", cache_dir=cache).report is not None,
    "encoder": load(from_imagenet).encoder.conv1.weight.double().sum().item(),
    "messages": {
        "load": sentence(load, "ada/other", cache_dir=cache),
        "revision": sentence(load, "ada/denoiser", revision="v2", cache_dir=cache),
        "push": sentence(push, folder, "ada/new", token="hf_ada"),
        "push itself": sentence(load(folder).push_to_hub, "ada/new", token="hf_ada"),
    },
    "imagenet": offline and sentence(DenoisingUNet, encoder="resnet18", encoder_pretrained=True),
}))
"""
    arguments = (saved, tmp_path / "cache", tmp_path / "from_imagenet")
    with closed_port() as nobody:
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home")}
        down = run_python(code, *arguments, **environment)
        offline = run_python(code, *arguments, HF_HUB_OFFLINE="1", **environment)
    for found, reason in ((down, "the Hub could not be reached for 'ada/"), (offline, "HF_HUB_OFFLINE is set")):
        assert found["cached"]
        assert found["encoder"] == pytest.approx(imagenet["conv1.weight"].double().sum().item())
        for case, message in found["messages"].items():
            assert reason in message, case
    assert "encoder 'resnet18'" in offline["imagenet"] and "--no-encoder-pretrained" in offline["imagenet"]


@pytest.mark.slow
def test_cache_that_cannot_be_written(hub: HubServer, saved, tmp_path):
    """As on a read-only or full disk, which root would not notice: the place of the cache is inside a file."""
    host_imagenet(hub, {"conv1.weight": torch.zeros(1)})
    hub.host("ada/denoiser", files_of(saved))
    (tmp_path / "file").write_bytes(b"")
    code = """
print(json.dumps([
    sentence(DenoisingUNet.from_pretrained, "ada/denoiser"),
    sentence(DenoisingUNet, encoder="resnet18", encoder_pretrained=True),
    sentence(push, sys.argv[1], "ada/denoiser"),
]))
"""
    messages = run_python(code, saved, HF_HOME=str(tmp_path / "file" / "home"), HF_TOKEN="hf_ada")
    for message in messages:
        assert f"could not write to the cache '{tmp_path / 'file'}" in message
        assert "(Not a directory); free space or set HF_HOME to a folder that can be written" in message
        assert "\n" not in message
    assert "--no-encoder-pretrained" in messages[1]
    assert hub.repos["models", "ada/denoiser"].messages["main"] == ["hosted"]
