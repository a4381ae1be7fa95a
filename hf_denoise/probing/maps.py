"""Where a picture keeps less: how far the survival curves are moved, place by place."""

import numpy as np
from numpy.typing import NDArray

from hf_denoise.defects.probes import PROBE_KINDS
from hf_denoise.probing.places import BLOCK, blocks
from hf_denoise.probing.responses import Plane, Responses
from hf_denoise.probing.survival import SurvivalCurve

Map = NDArray[np.float32]

SHIFTS = np.arange(-3, 3.01, 0.25)  # octaves of contrast by which the curves may be moved
REACH = 40.0  # pixels over which responses are taken together where all of a picture was probed
ALIKE = 0.5  # standard deviations of brightness and texture over which they are where parts of it were
PRIOR = 0.3  # per octave squared: without evidence a place is like the others


def limit_shifts(responses: Responses, curves: dict[str, SurvivalCurve], plane: Plane) -> Map:
    """By how many octaves of contrast defects must be stronger than the curves say, for each square of 32 pixels.

    Every response says something about its place: how far the curve of its kind would have to be moved along the
    contrasts to go through it. For a square, the shift is that of least squares over the responses around it. Where
    only parts of the picture were probed, they are those from squares of like brightness and texture.

    Args:
        responses, curves: of the picture.
        plane: the picture.

    Returns:
        (rows, columns) float32, positive where less is kept.
    """
    names = [kind.name for kind in PROBE_KINDS]
    told = np.array([names[kind] in curves for kind in responses.kind], dtype=bool)
    features = blocks(plane)
    shape = features.shape[:2]
    if not told.any():
        return np.zeros(shape, np.float32)
    kind, value, place = responses.kind[told], responses.value[told], responses.place[told]
    octave = np.log2(responses.contrast[told])
    costs = np.empty((len(value), len(SHIFTS)))
    for index, name in enumerate(names):
        own = kind == index
        if own.any():
            expected = curves[name].at(2 ** (octave[own, None] - SHIFTS))
            spread = max(float(np.median(np.abs(value[own] - expected[:, len(SHIFTS) // 2]))) / 0.6745, 0.05)
            costs[own] = np.minimum(((value[own, None] - expected) / spread) ** 2, 9)
    if len(responses.parts) == 1 and _is_whole(responses):
        centres, same = np.indices(shape).reshape(2, -1).T * BLOCK + BLOCK / 2, np.arange(shape[0] * shape[1])
        positions, scale = place.astype(float), REACH
    else:
        flat = features.reshape(-1, 2)
        size = np.maximum(flat.std(axis=0), 1e-6)
        # Of the squares of a large picture many are alike: each likeness is worked out once.
        centres, same = np.unique(np.round(flat / size, 1), axis=0, return_inverse=True)
        positions, scale = features[place[:, 0] // BLOCK, place[:, 1] // BLOCK] / size, ALIKE
    found = np.empty(len(centres), np.float32)
    for first in range(0, len(centres), 4096):
        part = slice(first, first + 4096)
        squared = ((centres[part, None] - positions[None]) ** 2).sum(axis=2) / scale**2
        total = np.exp(-squared / 2) @ costs + PRIOR * SHIFTS**2
        found[part] = SHIFTS[total.argmin(axis=1)]
    return found[same.ravel()].reshape(shape)


def _is_whole(responses: Responses) -> bool:
    rows, columns = responses.parts[0]
    return (rows.stop - rows.start, columns.stop - columns.start) == responses.shape
