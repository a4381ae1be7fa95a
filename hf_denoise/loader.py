"""From a `datasets` split of triplets to batches: paired augmentation, degradation, adaptive padding."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hf_denoise.degradations import Degradation

Sample = dict[str, Tensor]
Box = tuple[int, int, int, int]


def to_rgb(picture: Image.Image) -> NDArray[np.float32]:
    """Pillow image of any mode -> (H, W, 3) float32 in [0, 1]; 16-bit grey keeps its depth."""
    if picture.mode.startswith("I"):
        grey = np.asarray(picture, dtype=np.float32) / np.float32(65535)
        return np.repeat(grey[..., None], 3, axis=-1)
    return np.asarray(picture.convert("RGB"), dtype=np.float32) / np.float32(255)


def random_box(
    size: tuple[int, int], patch: int, rng: np.random.Generator, pixel: tuple[int, int] | None = None
) -> Box:
    """Left, top, right, bottom of a random square, one that holds `pixel` (x, y) where that is given.

    A side of the image shorter than `patch` is taken whole.
    """
    corner = []
    for axis, side in enumerate(size):
        first, last = 0, max(side - patch, 0)
        if pixel is not None:
            first, last = max(pixel[axis] - patch + 1, 0), min(pixel[axis], last)
        corner.append(int(rng.integers(first, last + 1)))
    left, top = corner
    return left, top, min(left + patch, size[0]), min(top + patch, size[1])


class TripletDataset(Dataset[Sample]):
    """Triplets as tensors: `degraded`, `clean` (3, H, W) float32, `mask` (1, H, W) of 0 and 1.

    Every random choice of a sample follows from (seed, epoch, index) alone: a resumed run sees the same patches and
    noise, whatever the number of processes and workers, and an evaluation sees the same noise every time.

    Args:
        triplets: a split from `load_triplets`.
        degradation: makes `degraded` from `clean` where the data have none.
        patch: side in pixels of random crops, which are also flipped and turned; None takes images whole.
        grey: share of crops, 0..1, that are made grey; of images without colour all are. Half of the grey crops get
            the same noise in all channels, as whole images without colour do: a network that has only seen noise that
            differs between channels takes it for texture. The other half get noise that differs, as a colour camera
            adds to a grey scene: a network that knows the scene is grey can average it.
        defect: share of crops, 0..1, that are cut around a defect, of images that have one. Defects are small: crops
            at random places of large images would hardly ever show one.
        seed: seed of all random choices.
    """

    def __init__(
        self,
        triplets: Any,
        degradation: Degradation,
        patch: int | None = None,
        grey: float = 0.0,
        defect: float = 0.0,
        seed: int = 0,
    ):
        self.triplets = triplets
        self.degradation = degradation
        self.patch = patch
        self.grey = grey
        self.defect = defect
        self.seed = seed

    def __len__(self) -> int:
        return len(self.triplets)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """One sample: `key` is (epoch, index) in training, or an index alone, which always gives the same noise."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng([self.seed, epoch, index])
        row = self.triplets[index]
        picture, given = row["clean"], row.get("degraded")
        mask = np.zeros(picture.size[::-1], bool)
        if row.get("mask") is not None:
            mask = np.asarray(row["mask"].convert("L")) > 127
        grey, one_noise = given is None and Image.getmodebase(picture.mode) == "L", True
        if self.patch is not None:
            pixel = None
            if mask.any() and rng.random() < self.defect:
                y, x = divmod(int(rng.choice(np.flatnonzero(mask))), picture.width)
                pixel = x, y
            box = left, top, right, bottom = random_box(picture.size, self.patch, rng, pixel)
            picture, given = picture.crop(box), given and given.crop(box)
            mask = mask[top:bottom, left:right]
            grey |= bool(rng.random() < self.grey)
            one_noise = given is not None or bool(rng.integers(2))
        clean = to_rgb(picture)
        if grey:
            clean = np.repeat(clean.mean(axis=2, keepdims=True), 3, axis=2)
        degraded, clean = (to_rgb(given), clean) if given is not None else self.degradation.pair(clean, rng)
        if grey and one_noise:
            channels = slice(None) if given is not None else slice(1, 2)  # noise that was made: that of one channel
            degraded, clean = (
                np.repeat(image[..., channels].mean(axis=2, keepdims=True), 3, axis=2) for image in (degraded, clean)
            )
        arrays = {"degraded": degraded, "mask": mask[..., None].astype(np.float32), "clean": clean}
        if self.patch is not None:
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
            arrays = {name: np.rot90(a[:, ::-1] if flip else a, turns) for name, a in arrays.items()}
        return {name: torch.from_numpy(a.transpose(2, 0, 1).copy()) for name, a in arrays.items()}


def collate(samples: list[Sample]) -> Sample:
    """Stack samples, zero-padded right and bottom to the largest; `valid` (B, 1, H, W) marks real pixels."""
    height = max(sample["clean"].shape[-2] for sample in samples)
    width = max(sample["clean"].shape[-1] for sample in samples)
    samples = [{**sample, "valid": torch.ones_like(sample["mask"])} for sample in samples]
    return {
        name: torch.stack(
            [F.pad(s[name], (0, width - s[name].shape[-1], 0, height - s[name].shape[-2])) for s in samples]
        )
        for name in samples[0]
    }


class SampleStream(Sampler[tuple[int, int]]):
    """(epoch, index) of every training sample from `start` on: a new seeded order each epoch, batches run across.

    One stream for the whole run makes a resume a matter of where to start, and small data sets fill large batches.
    """

    def __init__(self, size: int, total: int, seed: int, start: int = 0):
        self.size, self.total, self.seed, self.start = size, total, seed, start

    def __len__(self) -> int:
        return self.total - self.start

    def __iter__(self) -> Iterator[tuple[int, int]]:
        first_epoch, offset = divmod(self.start, self.size)
        position, epoch = self.start, first_epoch
        while position < self.total:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.size)
            for index in order[offset:][: self.total - position]:
                yield epoch + 1, int(index)  # epoch 0 is the noise of evaluations
                position += 1
            epoch, offset = epoch + 1, 0


def training_loader(dataset: TripletDataset, batch: int, stream: SampleStream, workers: int) -> DataLoader[Sample]:
    """Batches of random patches in the order of `stream`."""
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=stream,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        drop_last=True,
    )


def evaluation_loader(dataset: TripletDataset, workers: int = 0) -> DataLoader[Sample]:
    """Whole images one by one: an image is measured without another one's padding."""
    return DataLoader(dataset, batch_size=1, collate_fn=collate, num_workers=workers)
