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


def random_box(size: tuple[int, int], patch: int, rng: np.random.Generator) -> Box:
    """Left, top, right, bottom of a random square; a side shorter than `patch` is taken whole."""
    width, height = size
    left = int(rng.integers(max(width - patch, 0) + 1))
    top = int(rng.integers(max(height - patch, 0) + 1))
    return left, top, min(left + patch, width), min(top + patch, height)


class TripletDataset(Dataset[Sample]):
    """Triplets as tensors: `degraded`, `clean` (3, H, W) float32, `mask` (1, H, W) of 0 and 1.

    Every random choice of a sample follows from (seed, epoch, index) alone: a resumed run sees the same patches and
    noise, whatever the number of processes and workers, and an evaluation sees the same noise every time.

    Args:
        triplets: a split from `load_triplets`.
        degradation: makes `degraded` from `clean` where the data have none.
        patch: side in pixels of random crops, which are also flipped and turned; None takes images whole.
        grey: share of crops, 0..1, that are made grey with the same noise in all channels, as images without colour
            always are. A network that has only seen noise that differs between channels takes that of a grey picture
            for texture.
        seed: seed of all random choices.
    """

    def __init__(
        self, triplets: Any, degradation: Degradation, patch: int | None = None, grey: float = 0.0, seed: int = 0
    ):
        self.triplets = triplets
        self.degradation = degradation
        self.patch = patch
        self.grey = grey
        self.seed = seed

    def __len__(self) -> int:
        return len(self.triplets)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """One sample: `key` is (epoch, index) in training, or an index alone, which always gives the same noise."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng([self.seed, epoch, index])
        row = self.triplets[index]
        pictures = {name: row.get(name) for name in ("degraded", "mask", "clean")}
        if self.patch is not None:
            box = random_box(pictures["clean"].size, self.patch, rng)
            pictures = {name: picture and picture.crop(box) for name, picture in pictures.items()}
        clean = to_rgb(pictures["clean"])
        grey = pictures["degraded"] is None and Image.getmodebase(pictures["clean"].mode) == "L"
        if self.patch is not None:
            grey |= bool(rng.random() < self.grey)
        if grey:
            clean = np.repeat(clean.mean(axis=2, keepdims=True), 3, axis=2)
        mask = np.zeros((*clean.shape[:2], 1), np.float32)
        if pictures["mask"] is not None:
            mask[..., 0] = np.asarray(pictures["mask"].convert("L")) > 127
        given = pictures["degraded"]
        degraded, clean = (to_rgb(given), clean) if given is not None else self.degradation.pair(clean, rng)
        if grey:
            channels = slice(None) if given is not None else slice(1, 2)  # noise that was made: that of one channel
            degraded, clean = (
                np.repeat(picture[..., channels].mean(axis=2, keepdims=True), 3, axis=2)
                for picture in (degraded, clean)
            )
        arrays = {"degraded": degraded, "mask": mask, "clean": clean}
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
