"""Pixels that nobody sees: what lies under full transparency must not decide about the picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from hf_denoise.arrays import Mask

TILE, REACH = 1024, 160  # pixels; beyond its reach a network does not see what is filled in


def visible_mask(alpha: NDArray[Any] | None) -> Mask | None:
    """(H, W) True where there is any opacity; None where all is visible, or nothing is."""
    if alpha is None:
        return None
    visible = alpha > 0
    return None if visible.all() or not visible.any() else visible


def fill_hidden(plane: NDArray[Any], visible: Mask) -> NDArray[Any]:
    """Continue the visible part of a picture into the hidden one, as in a mirror: its noise goes on as well.

    Args:
        plane: (H, W) or (H, W, C) of any dtype.
        visible: (H, W), with True in it.

    Returns:
        A copy in which no hidden pixel is left as it was. Far from all that is visible it is of one value.
    """
    filled = plane.copy()
    filled[~visible] = np.median(plane[visible], axis=0).astype(plane.dtype)
    height, width = visible.shape
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            inner = slice(top, top + TILE), slice(left, left + TILE)
            if visible[inner].all():
                continue
            outer = tuple(slice(max(start - REACH, 0), start + TILE + REACH) for start in (top, left))
            seen = visible[outer]
            if seen.any():
                there = slice(top - outer[0].start, None), slice(left - outer[1].start, None)
                shown = _mirrored(plane[outer], filled[outer], seen)[there]
                filled[inner] = shown[:TILE, :TILE]
    return filled


def _mirrored(plane: NDArray[Any], filled: NDArray[Any], visible: Mask) -> NDArray[Any]:
    """`filled` with what lies as far on the other side of the nearest visible pixel, within reach of one."""
    distance, nearest = distance_transform_edt(~visible, return_indices=True)
    hidden = np.nonzero(~visible & (distance < REACH))
    result = filled.copy()
    border = nearest[:, hidden[0], hidden[1]]
    beyond = 2 * border - np.stack(hidden)
    limits = np.array(visible.shape)[:, None] - 1
    inside = ((beyond >= 0) & (beyond <= limits)).all(axis=0)
    beyond = np.where(inside, beyond, border)
    source = np.where(visible[beyond[0], beyond[1]], beyond, border)
    result[hidden] = plane[source[0], source[1]]
    return result
