"""Grow a network without a change of what it computes: more encoder levels, wider and deeper decoder levels.

    python recipes/grow.py packaged runs/grown --channels 128 96 64 16 --depths 1 1 2 0

A training that starts from it has all that the smaller network had learned (Net2Net, Chen et al., 2016,
arXiv:1511.05641): new levels begin as the identity, new channels and blocks with weights of zero behind them.
"""

import argparse

import torch
from torch import Tensor, nn

from hf_denoise import DenoisingUNet
from hf_denoise.errors import UserError
from hf_denoise.model.blocks import DecoderBlock


def grow(small: DenoisingUNet, channels: list[int], depths: list[int]) -> DenoisingUNet:
    """A network of the same function with as many levels as `channels` names, deepest first.

    At the right and bottom border it differs where the sides are no multiple of the new stride, to which it pads.

    Raises:
        UserError: a level would become narrower or shallower.
    """
    config = {**small._hub_mixin_config, "encoder_pretrained": False}
    old_channels, old_depths = config["decoder_channels"], config["decoder_depths"]
    added = len(channels) - len(old_channels)
    for name, old, new in (("channels", old_channels, channels), ("depths", old_depths, depths)):
        if added < 0 or any(after < before for before, after in zip(old, new[added:], strict=True)):
            raise UserError(f"--{name} {new} is smaller than the {list(old)} of the network, which can only grow")
    if channels[-1] != old_channels[-1]:
        raise UserError(f"the last of --channels must stay {old_channels[-1]}: it is the width of the stem, too")
    options = {"encoder_levels": len(channels), "decoder_channels": channels, "decoder_depths": depths}
    large = DenoisingUNet(**{**config, **options})
    around = {name: tensor for name, tensor in small.state_dict().items() if not name.startswith("decoder.")}
    large.load_state_dict(around, strict=False)
    with torch.no_grad():
        blocks: list[DecoderBlock] = list(large.decoder)  # type: ignore[arg-type]
        if added:
            _pass_skip_on(blocks[added - 1])
        for block, before in zip(blocks[added:], small.decoder, strict=True):
            _copy_block(block, before)  # type: ignore[arg-type]
    return large.eval()


def _pass_skip_on(block: DecoderBlock) -> None:
    """Let a level give its skip, which is not negative: what the level above it was fed with before."""
    up, fuse = block.up.out_channels, block.fuse[0]
    skip = fuse.in_channels - up
    if fuse.out_channels < skip:
        raise UserError(f"a new level needs at least {skip} channels, the width of its skip")
    fuse.weight.zero_()
    fuse.bias.zero_()
    for channel in range(skip):
        fuse.weight[channel, up + channel, 1, 1] = 1
    for residual in block.refine:
        _silence(residual.conv)
    _silence(block.attention.channel[2])  # both gates are 1/2 then, and their sum 1
    _silence(block.attention.spatial)


def _copy_block(block: DecoderBlock, before: DecoderBlock) -> None:
    """What `before` computes is computed by the first channels of `block`; the others are new, and feed nothing yet."""
    old_up, up = before.up.out_channels, block.up.out_channels
    block.up.weight[before.up.in_channels :, :old_up] = 0
    block.up.weight[: before.up.in_channels, :old_up] = before.up.weight
    block.up.bias[:old_up] = before.up.bias
    skip = before.fuse[0].in_channels - old_up
    _copy(block.fuse[0], before.fuse[0], [*range(old_up), *range(up, up + skip)])
    for number, residual in enumerate(block.refine):
        if number < len(before.refine):
            _copy(residual.block[0], before.refine[number].block[0])
            _copy(residual.conv, before.refine[number].conv)
        else:
            _silence(residual.conv)
    for layer, old in zip(block.attention.channel, before.attention.channel, strict=True):
        if isinstance(layer, nn.Conv2d):
            _copy(layer, old)
    _copy(block.attention.spatial, before.attention.spatial)


def _copy(layer: nn.Module, old: nn.Module, inputs: list[int] | None = None) -> None:
    """The first outputs of a convolution become those of `old`, from the inputs given; the first ones by default."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    rows, columns = old.weight.shape[:2]  # type: ignore[union-attr, misc]
    weight[:rows] = 0
    weight[:rows, inputs or list(range(columns))] = old.weight  # type: ignore[assignment]
    layer.bias[:rows] = old.bias  # type: ignore[index, assignment]


def _silence(layer: nn.Module) -> None:
    """A convolution that gives zero, and learns."""
    for parameter in layer.parameters():
        parameter.zero_()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a saved model, its id on the Hub, or 'packaged'")
    parser.add_argument("output", help="folder for the larger one")
    parser.add_argument("--channels", type=int, nargs="+", required=True, help="of each decoder level, deepest first")
    parser.add_argument("--depths", type=int, nargs="+", required=True, help="residual blocks of each, deepest first")
    arguments = parser.parse_args()
    if len(arguments.channels) != len(arguments.depths):
        parser.error("--channels and --depths need as many numbers")
    try:
        small = DenoisingUNet.from_pretrained(arguments.model).eval()
        large = grow(small, arguments.channels, arguments.depths)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    picture = torch.rand(1, 3, 320, 288)
    with torch.inference_mode():
        difference = float((small(picture) - large(picture)).abs().max())
    large.save_pretrained(arguments.output)
    count = [sum(parameter.numel() for parameter in model.parameters()) for model in (small, large)]
    print(
        f"'{arguments.output}': {count[0]:,} parameters became {count[1]:,}; difference {255 * difference:.2g} of 255"
    )


if __name__ == "__main__":
    main()
