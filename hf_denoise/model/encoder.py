"""timm ResNets as feature encoders, with ImageNet weights where they are asked for."""

import difflib

import timm
from huggingface_hub import hf_hub_download
from torch import nn

from hf_denoise.errors import UserError
from hf_denoise.hub.errors import hub_errors
from hf_denoise.hub.files import fetch

WAY_OUT = "or start from random weights with encoder_pretrained=False (train.py: --no-encoder-pretrained)"


def create_encoder(name: str, levels: int, pretrained: bool) -> nn.Module:
    """A timm ResNet that returns its first `levels` feature maps, at strides 2, 4, 8, ...

    Args:
        name: a ResNet that timm lists, with or without the tag of its weights ("resnet18", "resnet18.a1_in1k").
        levels: feature maps, 1 to 5.
        pretrained: fetch ImageNet weights from the Hub.

    Raises:
        UserError: timm knows no such ResNet, or its weights cannot be fetched.
    """
    known = timm.list_models(module="resnet")
    if name.split(".")[0] not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or ["resnet18", "resnet34", "resnet50"]
        raise UserError(f"encoder '{name}' is not a ResNet that timm knows; nearest valid names: {', '.join(near)}")
    if "." in name and name not in (tagged := timm.list_pretrained(f"{name.split('.')[0]}.*")):
        raise UserError(f"timm has no weights of encoder '{name}'; it has {', '.join(tagged) or 'none of that ResNet'}")
    weights = {"file": imagenet_weights(name)} if pretrained else None
    return timm.create_model(
        name,
        features_only=True,
        pretrained=pretrained,
        pretrained_cfg_overlay=weights,
        out_indices=tuple(range(levels)),
    )


def imagenet_repository(name: str) -> str | None:
    """Where on the Hub timm has the ImageNet weights of an encoder; None where it has none."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=False)
    return (config.hf_hub_id or None) if config else None


def imagenet_weights(name: str) -> str:
    """The safetensors file of an encoder's ImageNet weights, from the Hub or its cache.

    Left to itself, timm retries for a minute where there is no network, and falls back to a pickle.
    """
    repo = imagenet_repository(name)
    if repo is None:
        raise UserError(f"timm has no ImageNet weights for encoder '{name}'; choose another encoder, {WAY_OUT}")
    try:
        with hub_errors(repo):
            return fetch(hf_hub_download, repo, filename="model.safetensors")
    except UserError as error:
        raise UserError(f"no ImageNet weights for encoder '{name}': {error}; {WAY_OUT}") from error
