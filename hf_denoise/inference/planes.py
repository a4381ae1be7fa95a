"""The planes of one picture denoised: hidden pixels aside, as strongly as was asked for, protected places spared."""

from functools import partial
from typing import Protocol

import numpy as np

from hf_denoise.arrays import Mask
from hf_denoise.imaging.balance import rebalance
from hf_denoise.imaging.hidden import fill_hidden
from hf_denoise.inference.protection import Protection, Treatment
from hf_denoise.probing.report import probe_plane
from hf_denoise.probing.responses import Progress

Planes = tuple[np.ndarray, ...]


class RunPlane(Protocol):
    """Denoises (H, W) or (H, W, 3); `visible` (H, W) says which pixels belong to the picture, None all."""

    def __call__(
        self, plane: np.ndarray, strength: float, progress: Progress | None, visible: Mask | None = None
    ) -> np.ndarray: ...


def denoise_planes(
    run: RunPlane, planes: Planes, visible: Mask | None, options: Treatment, tiles: int, progress: Progress | None
) -> tuple[Planes, float, Protection | None]:
    """Denoise the planes of one picture.

    Args:
        run: denoises one of them.
        planes: each (H, W) or (H, W, 3); the first is probed where that is needed.
        visible: (H, W), None where all is. What is hidden stays as it is, and changes nothing.
        options: how far.
        tiles: that each plane takes.
        progress: called with (tiles done, tiles in all).

    Returns:
        The result, the strength that was taken, and what was protected.
    """
    filled = planes if visible is None else tuple(fill_hidden(plane, visible) for plane in planes)

    def probed(part: np.ndarray) -> np.ndarray:
        return rebalance(part, run(part, 1.0, None), options.balance)

    probe = partial(probe_plane, filled[0], probed, visible=visible)
    strength, protection = options.decide(filled[0], probe)
    clean = []
    for number, (given, plane) in enumerate(zip(planes, filled, strict=True)):

        def advance(done: int, steps: int, before: int = number * tiles) -> None:
            if progress:
                progress(before + tiles * done // steps, tiles * len(planes))

        result = rebalance(plane, run(plane, strength, advance, visible), options.balance)
        if protection:
            protection.apply(plane, result)
        if visible is not None:
            result[~visible] = given[~visible]
        clean.append(result)
    return tuple(clean), strength, protection
