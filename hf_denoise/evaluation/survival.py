"""Which small defects the methods of an evaluation keep: the same ones, put into a few images of a split."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from hf_denoise.arrays import FloatImage
from hf_denoise.distributed.processes import Processes
from hf_denoise.probing.pooling import pooled_report
from hf_denoise.probing.responses import Responses, contrast_ladder, noise_removed

PROBED = 4  # images of a split
LEAST_SIDE = 128  # pixels; a smaller image has places for few probes, and would have to be denoised very often

Task = tuple[int, str]  # image, method
Probe = Callable[[int, str, Sequence[float]], Responses]  # of an image, with a method and contrasts in grey levels


def spread(count: int) -> set[int]:
    """Which of so many images are probed: a few that lie evenly in their order, in which neighbours are often alike."""
    return {int(index) for index in np.linspace(0, count - 1, min(PROBED, count)).round()} if count else set()


def noise_in(noisy: FloatImage, clean: FloatImage) -> float | None:
    """The noise of an image, grey levels, as a probe estimates it; None where the image is too small to be probed.

    Args:
        noisy, clean: (H, W, 3) in [0, 1]: the image, and what the model made of it.
    """
    if min(noisy.shape[:2]) < LEAST_SIDE:
        return None
    return noise_removed(noisy, clean)


def measure_survival(
    probe: Probe, noises: dict[int, float], methods: Sequence[str], processes: Processes, title: str
) -> dict[str, Any]:
    """Probe some images with every method.

    The contrasts are those for the median of the noise, alike for all images and methods. So are the probes, but for a
    few that would leave the range of what a method makes of their place.

    Args:
        probe: puts the probes in and measures what a method leaves of them.
        noises: of the images that are probed, by their index.
        methods: which.
        processes: share the work; all get the same.
        title: of the progress bar.

    Returns:
        For each method, for each kind of defect: `contrasts` in grey levels, `share` kept (median over places), `low`
        and `high` (10th and 90th percentile), `places`, `limit_80` and `limit_50`, as `ProbeReport.as_dict` gives
        them. Empty where no image has room for probes.
    """
    if not noises:
        return {}
    contrasts = contrast_ladder(float(np.median(list(noises.values())))).tolist()
    tasks = [(index, method) for method in methods for index in noises]
    work = partial(_probe_part, probe, contrasts, processes, title)
    found = dict(zip(tasks, processes.share(tasks, work), strict=True))
    pooled = {method: pooled_report([found[index, method] for index in noises]) for method in methods}
    return {method: report.as_dict()["kinds"] for method, report in pooled.items() if report.curves}


def _probe_part(
    probe: Probe, contrasts: Sequence[float], processes: Processes, title: str, tasks: Sequence[Task]
) -> list[Responses]:
    """What the probes of one process gave, in order."""
    shown = f"{title}, what survives" + (f", process 1 of {processes.count}" if processes.count > 1 else "")
    return [
        probe(index, method, contrasts)
        for index, method in tqdm(tasks, shown, unit="probe", disable=not processes.is_main)
    ]
