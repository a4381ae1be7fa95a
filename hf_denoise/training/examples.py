"""The same few validation pictures at every evaluation, for trackers that show pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from hf_denoise.arrays import ByteImage, Mask, to_8_bits
from hf_denoise.data.loader import TripletDataset
from hf_denoise.imaging.crops import defect_centre, outlined, square_around

IMAGES, SIDE, GAP = 4, 256, 4  # pictures, of at most so many pixels on a side, so far apart
# What trackers of Accelerate must be told with (N, H, W, 3) arrays.
SHOWING: dict[str, dict[str, Any]] = {"tensorboard": {"dataformats": "NHWC"}, "wandb": {}}


def shows_pictures(trackers: Iterable[str]) -> bool:
    """Whether one of these trackers, by the names that Accelerate takes, shows pictures."""
    return not {"all", *SHOWING}.isdisjoint(trackers)


@dataclass
class Example:
    """A part of a validation image.

    Attributes:
        name: of its triplet.
        degraded, clean: (3, h, w) in [0, 1].
        mask: (h, w).
    """

    name: str
    degraded: Tensor
    clean: Tensor
    mask: Mask


def choose_examples(dataset: TripletDataset, indices: Sequence[int]) -> list[Example]:
    """Parts of the first images that have a defect, around it, and then of the first others, from their middle.

    Args:
        dataset: makes the same sample of an index every time.
        indices: of the images that are evaluated.
    """
    flawed = (index for index in indices if len(dataset.triplets[index].defect_pixels))
    chosen = list(islice(flawed, IMAGES))
    chosen += [index for index in indices[: 2 * IMAGES] if index not in chosen]
    return [_part(dataset[index]) for index in chosen[:IMAGES]]


def _part(sample: dict[str, Any]) -> Example:
    mask = sample["mask"][0].numpy() > 0
    box = square_around(defect_centre(mask), SIDE, mask.shape)
    degraded, clean = (sample[name][:, box[0], box[1]].clone() for name in ("degraded", "clean"))
    return Example(sample["name"], degraded, clean, mask[box])


@torch.no_grad()
def show_examples(model: nn.Module, examples: Iterable[Example], accelerator: Accelerator, step: int) -> None:
    """Log each example as one picture: noisy, result and clean side by side, the mask outlined in all of them.

    Args:
        model: in evaluation mode; called by this process alone.
        examples: as `choose_examples` gives them.
        accelerator: for trackers, device and precision.
        step: of the evaluation.
    """
    pictures = {}
    for example in examples:
        with accelerator.autocast():
            output = model(example.degraded[None].to(accelerator.device))
        row = [example.degraded, output[0].float().cpu(), example.clean]
        pictures[f"examples/{example.name}"] = side_by_side(row, example.mask)[None]
    for tracker in accelerator.trackers:
        if pictures and tracker.name in SHOWING:
            tracker.log_images(pictures, step=step, **SHOWING[tracker.name])


def side_by_side(images: Sequence[Tensor], mask: Mask) -> ByteImage:
    """(h, n * (w + gap) - gap, 3) of n images (3, h, w), the mask outlined in each."""
    shown = []
    for image in images:
        pixels = to_8_bits(image.permute(1, 2, 0).numpy())
        shown += [outlined(pixels, mask), np.full((len(pixels), GAP, 3), 255, np.uint8)]
    return np.concatenate(shown[:-1], axis=1)
