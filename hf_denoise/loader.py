"""From triplets to batches: paired augmentation, degradation, adaptive padding."""

import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from hf_denoise.decoded import Triplet, Triplets, to_float
from hf_denoise.degradations import Degradation

Sample = dict[str, Any]
Box = tuple[int, int, int, int]


def random_box(
    size: tuple[int, int], patch: int, rng: np.random.Generator, pixel: tuple[int, int] | None = None
) -> Box:
    """Top, left, bottom, right of a random square, one that holds `pixel` (y, x) where that is given.

    A side of the image shorter than `patch` is taken whole.
    """
    corner = []
    for axis, side in enumerate(size):
        first, last = 0, max(side - patch, 0)
        if pixel is not None:
            first, last = max(pixel[axis] - patch + 1, 0), min(pixel[axis], last)
        corner.append(int(rng.integers(first, last + 1)))
    top, left = corner
    return top, left, min(top + patch, size[0]), min(left + patch, size[1])


class SampleMaker:
    """Makes a sample of a triplet: crop, flips and turns, degradation where the data have none.

    Args:
        degradation: makes `degraded` from `clean` where the data have none.
        patch: side in pixels of random crops, which are also flipped and turned; None takes images whole.
        grey: share of crops, 0..1, that are made grey; of images without colour all are. Half of the grey crops get
            the same noise in all channels, as whole images without colour do: a network that has only seen noise that
            differs between channels takes it for texture. The other half get noise that differs, as a colour camera
            adds to a grey scene: a network that knows the scene is grey can average it.
        defect: share of crops, 0..1, that are cut around a defect, of images that have one. Defects are small: crops
            at random places of large images would hardly ever show one.
    """

    def __init__(self, degradation: Degradation, patch: int | None = None, grey: float = 0.0, defect: float = 0.0):
        self.degradation = degradation
        self.patch = patch
        self.grey = grey
        self.defect = defect

    def __call__(self, triplet: Triplet, rng: np.random.Generator) -> Sample:
        """`degraded`, `clean` (3, H, W) float32, `mask` (1, H, W) of 0 and 1, `name`; `rng` decides everything."""
        size = triplet.clean.shape[:2]
        box, turns, flip = (0, 0, *size), 0, False
        grey, one_noise = triplet.degraded is None and triplet.clean.shape[2] == 1, True
        if self.patch is not None:
            pixel = None
            if len(triplet.defect_pixels) and rng.random() < self.defect:
                y, x = divmod(int(rng.choice(triplet.defect_pixels)), size[1])
                pixel = y, x
            box = random_box(size, self.patch, rng, pixel)
            grey |= bool(rng.random() < self.grey)
            one_noise = triplet.degraded is not None or bool(rng.integers(2))
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))

        def cut(stored: NDArray[Any]) -> NDArray[Any]:
            part = stored[box[0] : box[2], box[1] : box[3]]
            return np.rot90(part[:, ::-1] if flip else part, turns)

        clean = to_float(cut(triplet.clean))
        if grey:
            clean = np.repeat(clean.mean(axis=2, keepdims=True), 3, axis=2)
        if triplet.degraded is not None:
            degraded = to_float(cut(triplet.degraded))
        else:
            degraded, clean = self.degradation.pair(clean, rng)
        if grey and one_noise:
            # Of noise that was made, that of one channel.
            channels = slice(None) if triplet.degraded is not None else slice(1, 2)
            degraded, clean = (
                np.repeat(image[..., channels].mean(axis=2, keepdims=True), 3, axis=2) for image in (degraded, clean)
            )
        mask = np.zeros((*clean.shape[:2], 1), np.float32)
        if triplet.mask is not None:
            mask[..., 0] = cut(triplet.mask)
        arrays = {"degraded": degraded, "mask": mask, "clean": clean}
        tensors = {name: torch.from_numpy(array).permute(2, 0, 1) for name, array in arrays.items()}
        return {**tensors, "name": triplet.name}


class TripletDataset(Dataset[Sample]):
    """Samples of triplets.

    Every random choice of a sample follows from (seed, epoch, index) alone: a resumed run sees the same patches and
    noise, whatever the number of processes and workers, and an evaluation sees the same noise every time.
    """

    def __init__(self, triplets: Triplets, make_sample: SampleMaker, seed: int = 0):
        self.triplets = triplets
        self.make_sample = make_sample
        self.seed = seed

    def __len__(self) -> int:
        return len(self.triplets)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """One sample: `key` is (epoch, index) in training, or an index alone, which always gives the same noise."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        return self.make_sample(self.triplets[index], np.random.default_rng([self.seed, epoch, index]))


def collate(samples: list[Sample], side: int = 0) -> Sample:
    """Stack samples, zero-padded right and bottom to the largest; `valid` (B, 1, H, W) marks real pixels.

    The memory of the batch is in channels-last order, as convolutions like it and images come.

    Args:
        samples: as from `SampleMaker`.
        side: height and width are at least this: where processes each pad a part of one batch, all must pad alike,
            since the statistics of BatchNorm count padding too.
    """
    height, width = (max(side, *(sample["clean"].shape[axis] for sample in samples)) for axis in (-2, -1))
    batch: Sample = {"name": [sample["name"] for sample in samples]}
    for name, channels in (("degraded", 3), ("mask", 1), ("clean", 3), ("valid", 1)):
        batch[name] = torch.zeros(len(samples), height, width, channels).permute(0, 3, 1, 2)
        for row, sample in zip(batch[name], samples, strict=True):
            value = sample.get(name, 1.0)
            row[:, : sample["clean"].shape[-2], : sample["clean"].shape[-1]] = value
    return batch


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


def training_loader(
    dataset: TripletDataset, batch: int, stream: SampleStream, workers: int, side: int = 0
) -> DataLoader[Sample]:
    """Batches of random patches in the order of `stream`, padded to at least `side`."""
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=stream,
        collate_fn=partial(collate, side=side),
        num_workers=workers,
        worker_init_fn=ignore_interrupt,
        pin_memory=torch.cuda.is_available(),
        drop_last=True,
    )


def evaluation_loader(dataset: Dataset[Sample]) -> DataLoader[Sample]:
    """Whole images one by one: an image is measured without another one's padding."""
    return DataLoader(dataset, batch_size=1, collate_fn=collate)


def ignore_interrupt(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal: the training process decides, and needs its workers to finish."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
