"""From triplets to batches: paired augmentation, degradation, adaptive padding."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from hf_denoise.data.decoded import Triplets
from hf_denoise.data.reading import Triplet, to_float
from hf_denoise.noise.degradations import Degradation

Sample = dict[str, Any]
Box = tuple[int, int, int, int]
Key = int | tuple[int, int]
Array = NDArray[np.float32]
Rng = np.random.Generator


def random_box(size: tuple[int, int], patch: int, rng: Rng, pixel: tuple[int, int] | None = None) -> Box:
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
        colour: share of crops, 0..1, whose channels change places and whose saturation becomes 0.6 to 1.8 times what it
            was, before the noise: photographs are rather grey. Crops that bring noise of their own stay as they are.
        defect: share of crops, 0..1, that are cut around a defect, of images that have one. Defects are small: crops
            at random places of large images would hardly ever show one.
    """

    def __init__(
        self,
        degradation: Degradation,
        patch: int | None = None,
        *,
        grey: float = 0.0,
        defect: float = 0.0,
        colour: float = 0.0,
    ):
        self.degradation = degradation
        self.patch = patch
        self.grey = grey
        self.defect = defect
        self.colour = colour

    def __call__(self, triplet: Triplet, rng: Rng) -> Sample:
        """`degraded`, `clean` (3, H, W) float32, `mask` (1, H, W) of 0 and 1, `name`; `rng` decides everything."""
        batch = self.batch([triplet], [rng])
        return {name: batch[name][0] for name in ("degraded", "mask", "clean", "name")}

    def batch(self, triplets: Sequence[Triplet], rngs: Sequence[Rng], side: int = 0) -> Sample:
        """Samples of triplets, zero-padded right and bottom to the largest; `valid` (B, 1, H, W) marks real pixels.

        The memory of the batch is in channels-last order, as convolutions like it and images come.

        Args:
            triplets: what samples are made of.
            rngs: one for each triplet, which decides everything about its sample.
            side: height and width are at least this: where processes each pad a part of one batch, all must pad
                alike, since the statistics of BatchNorm count padding too.
        """
        cuts = [self._choose(triplet, rng) for triplet, rng in zip(triplets, rngs, strict=True)]
        height, width = (max(side, *sides) for sides in zip(*(cut.size for cut in cuts), strict=True))
        whole = all(cut.size == (height, width) for cut in cuts)
        shape = len(cuts), height, width
        degraded, clean = ((np.empty if whole else np.zeros)((*shape, 3), np.float32) for _ in range(2))
        mask, valid = np.zeros((*shape, 1), np.float32), (np.ones if whole else np.zeros)((*shape, 1), np.float32)
        for row, (triplet, cut, rng) in enumerate(zip(triplets, cuts, rngs, strict=True)):
            place = row, slice(cut.size[0]), slice(cut.size[1])
            self._make(triplet, cut, rng, degraded[place], clean[place])
            if triplet.mask is not None:
                mask[place][..., 0] = cut(triplet.mask)
            valid[place] = 1
        arrays = {"degraded": degraded, "mask": mask, "clean": clean, "valid": valid}
        tensors = {name: torch.from_numpy(array).permute(0, 3, 1, 2) for name, array in arrays.items()}
        return {**tensors, "name": [triplet.name for triplet in triplets]}

    def _choose(self, triplet: Triplet, rng: Rng) -> "Cut":
        """What to cut out of a triplet."""
        size = triplet.clean.shape[:2]
        colourless = triplet.degraded is None and triplet.clean.shape[2] == 1
        if self.patch is None:
            return Cut((0, 0, *size), 0, False, colourless, True)
        pixel = None
        if len(triplet.defect_pixels) and rng.random() < self.defect:
            y, x = divmod(int(rng.choice(triplet.defect_pixels)), size[1])
            pixel = y, x
        box = random_box(size, self.patch, rng, pixel)
        grey = bool(rng.random() < self.grey) or colourless
        return Cut(box, int(rng.integers(4)), bool(rng.integers(2)), grey, one_noise=bool(rng.integers(2)))

    def _make(self, triplet: Triplet, cut: "Cut", rng: Rng, degraded: Array, clean: Array) -> None:
        """Fill `degraded` and `clean` (H, W, 3) of a sample."""
        to_float(cut(triplet.clean), clean)
        if cut.grey:
            clean[:] = channel_mean(clean)
        if triplet.degraded is not None:
            to_float(cut(triplet.degraded), degraded)
            if cut.grey:
                degraded[:] = channel_mean(degraded)
            return
        if self.patch is not None and not cut.grey and rng.random() < self.colour:
            clean[:] = other_colours(clean, rng)
        source = clean[..., :1] if cut.grey and cut.one_noise else clean
        noisy, target = self.degradation.pair(source, rng)
        degraded[:] = noisy
        if target is not source:
            clean[:] = target


@dataclass(frozen=True)
class Cut:
    """What is cut out of a triplet, and how it is turned.

    Attributes:
        box: of the stored images.
        turns: by 90 degrees, after the flip.
        flip: left and right change places.
        grey: the sample is made grey.
        one_noise: where it is grey, the noise that is made is the same in all channels.
    """

    box: Box
    turns: int
    flip: bool
    grey: bool
    one_noise: bool

    def __call__(self, stored: NDArray[Any]) -> NDArray[Any]:
        """That part of an image (H, W, ...), turned; a view."""
        top, left, bottom, right = self.box
        part = stored[top:bottom, left:right]
        if self.flip:
            part = part[:, ::-1]
        return np.rot90(part, self.turns) if self.turns else part

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the part, turned."""
        top, left, bottom, right = self.box
        return (right - left, bottom - top) if self.turns % 2 else (bottom - top, right - left)


def channel_mean(image: Array) -> Array:
    """(H, W, 3) -> (H, W, 1); NumPy's mean over so short an axis takes ten times as long."""
    mean: Array = (image[..., :1] + image[..., 1:2] + image[..., 2:]) / np.float32(3)
    return mean


def other_colours(image: Array, rng: Rng) -> Array:
    """(H, W, 3) in [0, 1] with its channels in random order and a saturation of 0.6 to 1.8 times its own."""
    shuffled = image[..., rng.permutation(3)]
    grey = channel_mean(shuffled)
    return (grey + np.float32(rng.uniform(0.6, 1.8)) * (shuffled - grey)).clip(0, 1)


class TripletDataset(Dataset[Sample]):
    """Samples of triplets.

    Every random choice of a sample follows from (seed, draw, index) alone: a resumed run sees the same patches and
    noise, whatever the number of processes and workers, and an evaluation sees the same noise every time.

    Args:
        triplets: what they are made of.
        make_sample: makes them.
        seed: of everything random.
        side: batches are padded to at least this height and width.
    """

    def __init__(self, triplets: Triplets, make_sample: SampleMaker, seed: int = 0, side: int = 0):
        self.triplets = triplets
        self.make_sample = make_sample
        self.seed = seed
        self.side = side

    def __len__(self) -> int:
        return len(self.triplets)

    def __getitem__(self, key: Key) -> Sample:
        """One sample: `key` is (draw, index) in training, or an index alone, which always gives the same noise."""
        return self.make_sample(*self._chosen(key))

    def __getitems__(self, keys: list[Key]) -> Sample:
        """A batch of samples, made as one: what a `DataLoader` asks for where a data set has it."""
        triplets, rngs = zip(*map(self._chosen, keys), strict=True)
        return self.make_sample.batch(triplets, rngs, self.side)

    def _chosen(self, key: Key) -> tuple[Triplet, Rng]:
        draw, index = key if isinstance(key, tuple) else (0, key)
        return self.triplets[index], np.random.default_rng([self.seed, draw, index])


def already_collated(batch: Any) -> Any:
    """Stands for the collation of samples: the data set has made a batch of them."""
    return batch


class SampleStream(Sampler[tuple[int, int]]):
    """(draw, index) of every training sample from `start` on; draws are numbered from 1, 0 being that of evaluations.

    The order is a new seeded one each epoch, and batches run across epochs. One stream for the whole run makes a resume
    a matter of where to start, and small data sets fill large batches.

    Args:
        size: of the data set; an epoch has as many draws.
        total: draws of the whole run.
        seed: of the orders.
        start: draws to leave out at the beginning.
        weights: how often each row is drawn, relative to the others; None: each once an epoch. By systematic
            resampling: in an epoch a row comes as often as is due to it, rounded up or down.
    """

    def __init__(self, size: int, total: int, seed: int, start: int = 0, weights: Sequence[float] | None = None):
        self.size, self.total, self.seed, self.start = size, total, seed, start
        self._due = None if weights is None else np.cumsum(weights) * (size / sum(weights))

    def __len__(self) -> int:
        return self.total - self.start

    def __iter__(self) -> Iterator[tuple[int, int]]:
        first_epoch, offset = divmod(self.start, self.size)
        position, epoch = self.start, first_epoch
        while position < self.total:
            for index in self._order(epoch)[offset:][: self.total - position]:
                position += 1
                yield position, int(index)
            epoch, offset = epoch + 1, 0

    def _order(self, epoch: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.seed, epoch])
        if self._due is None:
            return rng.permutation(self.size)
        rows = np.searchsorted(self._due, np.arange(self.size) + rng.random(), side="right")
        return rng.permutation(rows.clip(max=self.size - 1))


def training_loader(dataset: TripletDataset, batch: int, stream: SampleStream, workers: int) -> DataLoader[Sample]:
    """Batches of random patches in the order of `stream`."""
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=stream,
        collate_fn=already_collated,
        num_workers=workers,
        worker_init_fn=stop_with_parent,
        pin_memory=torch.cuda.is_available(),
        drop_last=True,
    )


def evaluation_loader(dataset: Dataset[Sample]) -> DataLoader[Sample]:
    """Whole images one by one: an image is measured without another one's padding."""
    return DataLoader(dataset, batch_size=1, collate_fn=already_collated)


def stop_with_parent(worker: int) -> None:
    """What ends a training reaches all its processes: Ctrl-C that of a terminal, SIGTERM those of torchrun's groups.

    The training process decides, and needs its workers to finish. They end when it says so, by a SIGTERM of its own.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # macOS has none
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_told, args=(os.getppid(),), daemon=True).start()


def _end_when_told(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
