"""Several pictures probed with the same contrasts, taken together."""

from collections.abc import Sequence

import numpy as np

from hf_denoise.probing.report import ProbeReport
from hf_denoise.probing.responses import Responses
from hf_denoise.probing.survival import survival_curves


def pool_responses(responses: Sequence[Responses]) -> Responses:
    """The probes of several pictures as if they were of one.

    Args:
        responses: one or more, of the same contrasts; those of a picture without a place for a probe may be empty.

    Returns:
        All of them: `noise` is the median, `shape` is (0, 0) and `parts` is empty, since there is no such picture.

    Raises:
        ValueError: none were given, or the contrasts differ.
    """
    if not responses or any(not np.array_equal(own.contrasts, responses[0].contrasts) for own in responses):
        raise ValueError("responses are pooled where their contrasts are the same")
    joined = {
        name: np.concatenate([getattr(own, name) for own in responses])
        for name in ("kind", "level", "bright", "place", "value")
    }
    noise = float(np.median([own.noise for own in responses]))
    return Responses(**joined, contrasts=responses[0].contrasts, noise=noise, shape=(0, 0), parts=())


def pooled_report(responses: Sequence[Responses]) -> ProbeReport:
    """Curves, limits and sentences over the places of several pictures; there is no map.

    Args:
        responses: as in `pool_responses`.

    Returns:
        A report; without any curve where there are too few places.

    Raises:
        ValueError: as `pool_responses`.
    """
    pooled = pool_responses(responses)
    return ProbeReport(pooled, survival_curves(pooled), np.zeros((0, 0), np.float32))
