"""Time of a training run: what counts against the budget, how fast it goes, and how much of it is spent on waiting."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

import torch
from accelerate import Accelerator

Item = TypeVar("Item")


class Pace:
    """Measures the training of this process; evaluations do not count."""

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self.restart()

    def restart(self) -> None:
        """Leave the time since the last look out: it was no training."""
        self._agreed = self._looked = time.monotonic()
        self._waited, self._steps = 0.0, 0

    def agree(self, minutes: float, stop: bool) -> tuple[float, bool]:
        """Minutes of training so far, and whether to stop: the largest of all processes, the same on every one.

        Clocks and signals differ between processes, and the learning rate and the last step follow from them.

        Args:
            minutes: what this gave last time.
            stop: whether this process was asked to.
        """
        now = time.monotonic()
        minutes, self._agreed = minutes + (now - self._agreed) / 60, now
        if self.accelerator.num_processes > 1:
            mine = torch.tensor([[minutes, stop]], device=self.accelerator.device)
            minutes, stop = self.accelerator.gather(mine).amax(dim=0).tolist()
        return minutes, bool(stop)

    def wait_for(self, items: Iterator[Item], count: int) -> list[Item]:
        """The next `count` items, those of one step; the time until they are there counts as waiting."""
        began = time.monotonic()
        taken = list(islice(items, count))
        self._waited += time.monotonic() - began
        self._steps += 1
        return taken

    def figures(self, images: int) -> dict[str, float]:
        """Images per second, `images` in each step, and the share of the time spent waiting, since the last look."""
        elapsed = time.monotonic() - self._looked
        figures = {"images_per_second": self._steps * images / elapsed, "waiting_for_data": self._waited / elapsed}
        self._looked, self._waited, self._steps = time.monotonic(), 0.0, 0
        return figures
