"""The same few validation pictures at every evaluation, for trackers that show pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from torch import Tensor, nn

from hf_denoise.data.loader import TripletDataset

IMAGES, SIDE, GAP = 4, 256, 4  # pictures, of at most so many pixels on a side, so far apart
OUTLINE = (0, 220, 255)  # cyan, which few surfaces have
# How a tracker of Accelerate wants (N, H, W, 3) arrays to be announced.
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
        mask: (h, w) bool.
    """

    name: str
    degraded: Tensor
    clean: Tensor
    mask: NDArray[np.bool_]


def choose_examples(dataset: TripletDataset, indices: Sequence[int]) -> list[Example]:
    """Parts of the first images that have a defect, around it, and then of the first others, from their middle.

    Args:
        dataset: makes the same sample of an index every time.
        indices: of the images that are evaluated.
    """
    flawed = (index for index in indices if len(dataset.triplets[index].defect_pixels))
    chosen = [index for index, _ in zip(flawed, range(IMAGES), strict=False)]
    chosen += [index for index in indices[: 2 * IMAGES] if index not in chosen]
    return [_part(dataset[index], dataset.triplets[index].defect_pixels) for index in chosen[:IMAGES]]


def _part(sample: dict[str, Any], defect: NDArray[Any]) -> Example:
    height, width = sample["clean"].shape[1:]
    centre = divmod(int(defect[len(defect) // 2]), width) if len(defect) else (height // 2, width // 2)
    top, left = (
        max(min(middle - SIDE // 2, side - SIDE), 0) for middle, side in zip(centre, (height, width), strict=True)
    )
    degraded, clean, mask = (
        sample[name][:, top : top + SIDE, left : left + SIDE] for name in ("degraded", "clean", "mask")
    )
    return Example(sample["name"], degraded.clone(), clean.clone(), mask[0].numpy() > 0)


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
        if tracker.name in SHOWING:
            tracker.log_images(pictures, step=step, **SHOWING[tracker.name])


def side_by_side(images: Sequence[Tensor], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(h, n * (w + gap) - gap, 3) of n images (3, h, w), with a line around the mask that leaves its own edge free."""
    line = binary_dilation(mask, iterations=4) & ~binary_dilation(mask, iterations=3)
    shown = []
    for image in images:
        pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy().copy()
        pixels[line] = OUTLINE
        shown += [pixels, np.full((len(pixels), GAP, 3), 255, np.uint8)]
    return np.concatenate(shown[:-1], axis=1)
