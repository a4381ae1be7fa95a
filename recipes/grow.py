"""Add residual blocks to a trained model: a deeper one that starts by doing just the same.

    python recipes/grow.py runs/packaged/last runs/grown 1 3 0

The numbers are the residual blocks of the decoder levels, deepest first, at least as many as there were. Train on with
`train.py --init-from runs/grown`.
"""

import sys

import torch

from hf_denoise import DenoisingUNet


def main(checkpoint: str, output: str, *depths: str) -> None:
    old = DenoisingUNet.from_pretrained(checkpoint)
    model = DenoisingUNet(**{**old._hub_mixin_config, "decoder_depths": [int(depth) for depth in depths]})
    added, unknown = model.load_state_dict(old.state_dict(), strict=False)
    if unknown:
        sys.exit(f"these weights would be lost: {', '.join(unknown)}")
    with torch.no_grad():
        for name in added:
            if ".conv." in name:  # the last convolution of a residual block: x + 0
                model.get_parameter(name).zero_()
    model.save_pretrained(output)
    print(f"{output}: {len(added)} new tensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
