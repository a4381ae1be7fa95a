"""The network: a timm ResNet encoder and a U-Net decoder with SCSE."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from hf_denoise.errors import UserError
from hf_denoise.model.blocks import DecoderBlock
from hf_denoise.model.encoder import create_encoder
from hf_denoise.model.hub_mixin import HubMixin


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Extend (B, C, H, W) on the right and bottom to a multiple, by reflection, or replication where too small."""
    for axis in (-2, -1):
        missing = -x.shape[axis] % multiple
        if missing:
            mode = "reflect" if missing < x.shape[axis] else "replicate"
            x = F.pad(x, (0, 0, 0, missing) if axis == -2 else (0, missing, 0, 0), mode=mode)
    return x


class DenoisingUNet(HubMixin):
    """Image denoiser: ResNet encoder, U-Net decoder (Ronneberger et al., 2015) with SCSE (Roy et al., 2018).

    Takes and gives RGB in [0, 1]; ImageNet mean and standard deviation live inside. The output is not clamped. Saving,
    loading and pushing to the Hub come from `HubMixin`.

    Args:
        encoder: any ResNet name that timm lists, such as "resnet18", "resnet26d" or "resnet50".
        encoder_pretrained: fetch ImageNet weights for the encoder from the Hub. Only a fresh construction does
            that: a saved model records False, and `from_pretrained` never asks.
        encoder_levels: encoder feature maps used, 1 to 5; the deepest one has stride `2 ** encoder_levels`.
        decoder_channels: channels of each decoder level, deepest first, one per encoder level.
        decoder_depths: residual blocks of each decoder level, deepest first.
        full_resolution_skip: add a stride-1 skip, since a ResNet's first feature has stride 2.
        residual: predict a correction to the input instead of the image.
        gate_window: side in pixels of the local window that channel gates pool over in evaluation; 0 pools over
            the whole image.

    Raises:
        UserError: the encoder is unknown, its ImageNet weights cannot be fetched, or the options contradict.

    Shape: (B, 3, H, W) -> (B, 3, H, W), float, any H, W >= 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: str = "resnet18",
        encoder_pretrained: bool = False,
        encoder_levels: int = 3,
        decoder_channels: Sequence[int] = (64, 48, 16),
        decoder_depths: Sequence[int] = (1, 2, 0),
        full_resolution_skip: bool = True,
        residual: bool = True,
        gate_window: int = 96,
    ):
        super().__init__()
        if not 1 <= encoder_levels <= 5:
            raise UserError(f"encoder_levels must be 1 to 5, got {encoder_levels}")
        if not len(decoder_channels) == len(decoder_depths) == encoder_levels:
            raise UserError(
                f"decoder_channels and decoder_depths need one entry per encoder level ({encoder_levels}), "
                f"got {list(decoder_channels)} and {list(decoder_depths)}"
            )
        self.stride = 2**encoder_levels
        self.residual = residual
        self.encoder = create_encoder(encoder, encoder_levels, encoder_pretrained)

        feature_channels: list[int] = self.encoder.feature_info.channels()  # type: ignore[union-attr, operator]
        stem_channels = decoder_channels[-1] if full_resolution_skip else 0
        self.stem = (
            nn.Sequential(nn.Conv2d(3, stem_channels, 3, padding=1), nn.ReLU(inplace=True))
            if full_resolution_skip
            else None
        )
        skips = [*reversed(feature_channels[:-1]), stem_channels]
        inputs = [feature_channels[-1], *decoder_channels[:-1]]
        strides = [2**level for level in reversed(range(encoder_levels))]
        self.decoder = nn.ModuleList(
            DecoderBlock(below, skip, width, depth, gate_window // stride)
            for below, skip, width, depth, stride in zip(
                inputs, skips, decoder_channels, decoder_depths, strides, strict=True
            )
        )
        self.head = nn.Conv2d(decoder_channels[-1], 3, 1)
        if residual:  # start from the identity
            for parameter in self.head.parameters():
                nn.init.zeros_(parameter)
        self.register_buffer("mean", torch.tensor(IMAGENET_DEFAULT_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_DEFAULT_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Denoise a batch: (B, 3, H, W) in [0, 1] -> (B, 3, H, W), not clamped."""
        if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
            raise ValueError(f"expected a batch of shape (B, 3, H, W) with H, W >= 1, got {tuple(image.shape)}")
        height, width = image.shape[-2:]
        x = pad_to_multiple(image, self.stride)
        skips = self.encoder((x - self.mean) / self.std)
        features = skips.pop()
        skips.insert(0, self.stem(x) if self.stem is not None else None)
        for block in self.decoder:
            features = block(features, skips.pop())
        output = self.head(features)
        if self.residual:
            output = x + output
        return output[..., :height, :width]
