"""Where a run is in its budget, and the learning rate that follows from it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from hf_denoise.training.config import TrainConfig


@dataclass
class Progress:
    """Where the run is: saved with every checkpoint."""

    step: int = 0
    pixels: int = 0  # trained on, over all processes, without padding
    loss_sum: float = 0.0  # of the steps since the last row of the log, over all processes
    loss_steps: int = 0
    minutes: float = 0.0
    saved_minutes: float = 0.0  # when the last checkpoint was written
    start_psnr: float = math.nan  # of saved weights that the run started from
    start_defect_psnr: float = math.nan
    best_psnr: float = -math.inf
    evaluations_since_best: int = 0
    evaluated: int = 0  # step of the last evaluation

    def state_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def spent(self, config: TrainConfig) -> float:
        """Share of the budget used, 0..1: steps or minutes, whichever runs out first."""
        minutes = self.minutes / config.max_minutes if config.max_minutes else 0.0
        return min(max(self.step / config.max_steps, minutes), 1.0)

    def is_unsaved(self, minutes: float) -> bool:
        """Whether the last checkpoint was written so many minutes of training ago."""
        return self.minutes - self.saved_minutes >= minutes

    def note_evaluation(self, psnr: float) -> bool:
        """Whether this evaluation is the best of the run so far."""
        improved = psnr > self.best_psnr
        self.best_psnr = max(psnr, self.best_psnr)
        self.evaluations_since_best = 0 if improved else self.evaluations_since_best + 1
        return improved


def is_due(every: int | None, step: int) -> bool:
    """Whether what is done every so many steps, if at all, is done after this one."""
    return every is not None and step % every == 0


def learning_rate(config: TrainConfig, step: int, spent: float) -> float | None:
    """Rate of the step, or None where ReduceLROnPlateau is in charge.

    Args:
        config: of the run.
        step: number of the step, from 0.
        spent: share of the budget used, 0..1.
    """
    warmup = min((step + 1) / (config.warmup_steps + 1), 1.0)
    if config.schedule == "cosine":
        return config.learning_rate * warmup * (1 + math.cos(math.pi * spent)) / 2
    if config.schedule == "constant":
        left = (config.max_steps - step) / config.decay_steps if config.decay_steps else 1.0
        return config.learning_rate * warmup * min(left, 1.0)
    return config.learning_rate * warmup if step <= config.warmup_steps else None
