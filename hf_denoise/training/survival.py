"""While training: from which contrast on a scratch survives, on crops of a few validation images."""

from collections.abc import Iterable

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn

from hf_denoise.arrays import FloatImage
from hf_denoise.data.loader import TripletDataset
from hf_denoise.metrics.quality import noise_level
from hf_denoise.probing.report import REFERENCE
from hf_denoise.probing.responses import contrast_ladder, measure_responses
from hf_denoise.probing.survival import KEPT, survival_curves

IMAGES = 2
PIXELS = 2_000_000  # that pass through the network at an evaluation
SIDE, LEAST_SIDE = 192, 96  # pixels; smaller images have too few places for probes


def probe_crops(dataset: TripletDataset, indices: Iterable[int]) -> NDArray[np.float32] | None:
    """Degraded crops from the middle of the first images that are large enough.

    They are side by side, so that the probes of all of them are put in at once: that takes fewer pixels than one by
    one, as many probes are wanted of any picture.

    Args:
        dataset: makes the same sample of an index every time.
        indices: of the images, in the order in which they are looked at.

    Returns:
        (side, n * side, 3); None where no image is large enough.
    """
    chosen: list[FloatImage] = []
    for index in indices:
        if min(dataset.triplets[index].clean.shape[:2]) >= LEAST_SIDE:
            chosen.append(dataset[index]["degraded"].permute(1, 2, 0).numpy())
        if len(chosen) == IMAGES:
            break
    if not chosen:
        return None
    side = min(SIDE, *(length for image in chosen for length in image.shape[:2]))
    corners = [[(length - side) // 2 for length in image.shape[:2]] for image in chosen]
    crops = [image[top : top + side, left : left + side] for image, (top, left) in zip(chosen, corners, strict=True)]
    return np.ascontiguousarray(np.concatenate(crops, axis=1), np.float32)


@torch.no_grad()
def scratch_limit(model: nn.Module, crops: FloatImage, accelerator: Accelerator) -> float | None:
    """The faintest contrast, in grey levels, of which 80 % of a scratch 2 px wide is kept.

    On about 2 megapixels: some 26 runs of the network on two crops of 192 pixels. No random number of the training is
    drawn, and the contrasts and the probes are the same at every evaluation.

    Args:
        model: in evaluation mode; called by this process alone.
        crops: as `probe_crops` gives them.
        accelerator: for device and precision.

    Returns:
        From half the noise, the least that is tried; infinite where even 8 times the noise is not kept, and None where
        too few probes have room.
    """

    def run(noisy: FloatImage) -> FloatImage:
        batch = torch.from_numpy(noisy).permute(2, 0, 1)[None].to(accelerator.device)
        with accelerator.autocast():
            output = model(batch)
        return output.float().clamp(0, 1)[0].permute(1, 2, 0).cpu().numpy()

    contrasts = contrast_ladder(noise_level(crops))[1:].tolist()
    curves = survival_curves(measure_responses(crops, run, contrasts=contrasts, pixels=PIXELS))
    return curves[REFERENCE].limit(KEPT).value if REFERENCE in curves else None
