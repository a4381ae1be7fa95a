"""Losses and pixels of the steps since the row before, for the log and the progress bar."""

import math

import torch
from accelerate.utils import gather_object
from torch import Tensor
from tqdm import tqdm

from hf_denoise.errors import UserError
from hf_denoise.training.pace import Pace
from hf_denoise.training.setup import Training
from hf_denoise.training.summary import say_time_left

Step = tuple[Tensor, Tensor, list[str]]

READ_EVERY = 10  # steps that are read together: a reading makes a GPU wait


class RecentSteps:
    """Collects what steps gave, and logs their mean loss.

    The sum is part of the run's progress, and so of its checkpoints: a row after a resume is the one that it would have
    been. Losses are added one by one in double precision, since a sum of sums would depend on when they were read.
    """

    def __init__(self, training: Training):
        self.training = training
        self._steps: list[Step] = []
        self._read = 0  # in this sitting
        self._told = False

    def add(self, loss: Tensor, pixels: Tensor, names: list[str]) -> None:
        """Keep what a step gave: its loss, its valid pixels over all processes, and the names of its triplets here."""
        self._steps.append((loss, pixels, names))

    def report(self, pace: Pace, bar: "tqdm[None]") -> None:
        """Show and log the figures of the steps since the last report."""
        self.read()
        config, accelerator, progress = self.training.config, self.training.accelerator, self.training.progress
        per_step = config.batch * config.accumulate * accelerator.num_processes
        figures = {
            "loss": progress.loss_sum / progress.loss_steps,
            "megapixels": progress.pixels / 1e6,
            "learning_rate": self.training.optimizer.param_groups[0]["lr"],
            **pace.figures(per_step),
        }
        progress.loss_sum, progress.loss_steps = 0.0, 0
        accelerator.log(figures, step=progress.step)
        left = config.max_steps - progress.step
        if not self._told and self._read >= 2 * READ_EVERY:  # the first steps are slower
            self._told = True
            if left and not config.max_minutes and accelerator.is_main_process:
                say_time_left(left * per_step / figures["images_per_second"], left)
        bar.total = round(progress.step / progress.spent(config))  # minutes may well run out before steps
        bar.set_postfix(
            {"psnr": f"{self.training.scores['psnr']:.2f}"} if self.training.scores else {},
            loss=f"{figures['loss']:.3g}",
            lr=f"{figures['learning_rate']:.1e}",
            images_s=f"{figures['images_per_second']:.0f}",
            data=f"{figures['waiting_for_data']:.0%}",
        )

    def read(self) -> None:
        """Count the losses and the pixels of the steps that were added into the run's progress, and forget the steps.

        Raises:
            UserError: one of the losses is not finite.
        """
        if not self._steps:
            return
        steps, self._steps = self._steps, []
        self._read += len(steps)
        accelerator, progress = self.training.accelerator, self.training.progress
        losses = torch.stack([loss for loss, _, _ in steps])
        pixels = torch.stack([count for _, count, _ in steps])
        progress.pixels += int(pixels.sum().item())
        shared = losses if accelerator.num_processes == 1 else accelerator.reduce(losses.double(), reduction="mean")
        for loss in shared.tolist():
            progress.loss_sum += loss
        progress.loss_steps += len(steps)
        if not math.isfinite(progress.loss_sum):
            self._raise_not_finite(losses.tolist(), [names for _, _, names in steps])

    def _raise_not_finite(self, losses: list[float], names: list[list[str]]) -> None:
        # The weights of all processes are lost with the first of them that met it.
        own = [(index, names[index]) for index, loss in enumerate(losses) if not math.isfinite(loss)][:1]
        found = gather_object(own)
        first = min(index for index, _ in found)
        batch = ", ".join(name for index, batch in found for name in batch if index == first)
        last = self.training.run.last
        saved = last.exists()
        raise UserError(
            f"the loss is no longer finite at step {self.training.progress.step - len(losses) + first + 1}, in the "
            f"batch of {batch}; "
            + (f"'{last}' holds the last good checkpoint; " if saved else "")
            + "look at those images, or lower --learning-rate"
            + (", and use --resume" if saved else "")
        )
