"""A deeper network that starts where a trained one ended.

    python recipes/grow.py MODEL GROWN --encoder resnet34 --decoder-depths 2 3 0

The added residual blocks start as identities, so that the grown network gives what the trained one gives
(Chen et al., 2016, Net2Net, arXiv:1511.05641), and further training has only to improve on it.
"""

import argparse

import torch

from hf_denoise import DenoisingUNet
from hf_denoise.layers import ResidualBlock


@torch.no_grad()
def grow(trained: DenoisingUNet, encoder: str, decoder_depths: list[int]) -> DenoisingUNet:
    """`trained` with more residual blocks in its encoder of basic blocks and in its decoder; the same function."""
    options = {**trained._hub_mixin_config, "encoder": encoder, "decoder_depths": decoder_depths}
    grown = DenoisingUNet(**options)
    missing, unexpected = grown.load_state_dict(trained.state_dict(), strict=False)
    if unexpected:
        raise SystemExit(f"the grown network has no place for {unexpected[0]}; it must not be smaller")
    for name, module in grown.named_modules():
        if f"{name}.bn2.weight" in missing:
            module.bn2.weight.zero_()  # type: ignore[operator, union-attr]
        elif isinstance(module, ResidualBlock) and f"{name}.conv.weight" in missing:
            module.conv.weight.zero_()
            module.conv.bias.zero_()  # type: ignore[union-attr]
    return grown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or Hub id of the trained model")
    parser.add_argument("output", help="folder of the grown model")
    parser.add_argument("--encoder", default="resnet34", help="a deeper ResNet of the same kind of block")
    parser.add_argument("--decoder-depths", type=int, nargs="+", default=[2, 3, 0])
    options = parser.parse_args()
    trained = DenoisingUNet.from_pretrained(options.model)
    grown = grow(trained, options.encoder, options.decoder_depths).eval()
    image = torch.rand(1, 3, 100, 132)
    with torch.inference_mode():
        difference = (trained(image) - grown(image)).abs().max().item()
    if difference > 1e-4:
        raise SystemExit(f"the grown network gives another image, by {difference:.2g}: are its blocks of another kind?")
    grown.save_pretrained(options.output)
    print(f"{options.output}: {sum(p.numel() for p in grown.parameters()) / 1e6:.2f} M parameters, same function")


if __name__ == "__main__":
    main()
