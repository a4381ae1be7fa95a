"""Timing in turns: other work on the machine then slows all alike, and ratios within a round hold."""

import statistics
from collections.abc import Callable, Mapping, Sequence

from tqdm import tqdm

Timer = Callable[[], float]  # runs once, gives seconds


def interleave(timers: Mapping[str, Timer], rounds: int, title: str) -> dict[str, list[float]]:
    """Run all in turn, `rounds` times, in alternating order.

    Returns:
        Seconds of every run but the first, which only warms up.
    """
    names = list(timers)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for index in tqdm(range(rounds + 1), desc=title, unit="round"):
        for name in names if index % 2 else reversed(names):
            elapsed = timers[name]()
            if index:
                seconds[name].append(elapsed)
    return seconds


def ratio(seconds: Sequence[float], reference: Sequence[float]) -> float:
    """Median of the ratios within a round."""
    return statistics.median(a / b for a, b in zip(seconds, reference, strict=True))
