"""Is a picture in three channels grey, but for its noise?"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit
from torch import Tensor

from hf_denoise.arrays import full_scale

STRIPE = 256  # rows looked at together; a colour picture is found out in its first stripes
SQUARE, RATIO = 8, 4  # sides in pixels of the squares, 8 and 4 x 8, over which noise averages out and colour does not
FREEDOM = SQUARE**2 - 1  # of the t tests
FALSE_ALARM = 1e-3  # of a grey picture that is taken for a colour one, for each of the tests
STRONGEST = 64 / 255  # standard deviation; there is no picture to be made out under stronger noise
EVEN = 0.2  # least share of the mean variance that a quarter of the squares must exceed: noise is everywhere


def is_grey(plane: NDArray[np.generic]) -> bool:
    """Whether nothing but white noise tells the channels of a picture apart.

    Such a picture is a grey one, and its noise can be averaged over the channels. Tests for colour find none in it:
    over squares of 8 and of 32 pixels the colour differences are zero to within what white noise leaves there (t
    tests, one for each square and one for all), neighbouring pixels are not correlated, and the differences are spread
    over the whole picture. In doubt, as for the noise of a camera, which is correlated between pixels, the answer is
    no; so it is for a picture of less than 32 pixels a side, unless its channels are equal.

    Args:
        plane: (H, W, 3) uint8, uint16 or float.
    """
    height, width = plane.shape[:2]
    full = np.float32(full_scale(plane.dtype))
    squares = max((height // SQUARE) * (width // SQUARE), 1)
    limit = _largest_t(squares)
    equal = True
    means, variances, pairs = [], [], []  # of the stripes
    for top in range(0, height, STRIPE):
        chroma = _chroma(torch.from_numpy(plane[top : top + STRIPE].astype(np.float32) / full))
        equal = equal and not chroma.any()
        if equal or min(chroma.shape[1:]) < SQUARE:
            continue
        pairs.append(_pairs(chroma))
        mean = F.avg_pool2d(chroma, SQUARE)
        variance = (F.avg_pool2d(chroma**2, SQUARE) - mean**2) * (SQUARE**2 / FREEDOM)
        if variance.mean() > STRONGEST**2 or (mean.abs() * SQUARE > limit * variance.clamp(min=0).sqrt()).any():
            return False
        means.append(mean)
        variances.append(variance)
    if equal:
        return True
    if min(height, width) < RATIO * SQUARE or not means:  # colour in the last few rows alone is in no square
        return False
    return _is_white(torch.cat(means, dim=1), torch.cat(variances, dim=1), torch.stack(pairs).sum(dim=0))


def _is_white(mean: Tensor, variance: Tensor, pairs: Tensor) -> bool:
    """The tests over the whole picture: of (2, rows, columns) means and variances of squares, and of `_pairs`."""
    if np.quantile(variance.numpy(), 0.25) < EVEN * float(variance.mean()):  # PyTorch takes 16 million numbers at most
        return False
    energy, *together = pairs.tolist()
    # The correlation of neighbours in white noise has a standard deviation of one over the root of their number.
    if max(abs(value) for value in together) > 5 * energy / math.sqrt(mean.numel() * SQUARE**2):
        return False
    for ratio in (1, RATIO):
        square = (ratio * SQUARE * F.avg_pool2d(mean, ratio)) ** 2 / F.avg_pool2d(variance, ratio)  # t, squared
        if square.max() > _largest_t(square.numel()) ** 2:
            return False
        expected = FREEDOM / (FREEDOM - 2)  # of the square of t
        if square.mean() > expected * (1 - ndtri(FALSE_ALARM) * math.sqrt(2 / square.numel())):
            return False
    return True


def _chroma(stripe: Tensor) -> Tensor:
    """Two colour differences of unit length, (H, W, 3) -> (2, H, W).

    They are at right angles: independent noise of the channels stays independent in them. As differences they are 0
    where the channels are equal; sums of products are 0 on some processors alone.
    """
    red, green, blue = stripe.unbind(-1)
    return torch.stack([(red - blue) / math.sqrt(2), ((green - red) + (green - blue)) / math.sqrt(6)])


def _largest_t(count: int) -> float:
    """What the largest of so many values of t exceeds once in a thousand times."""
    return -float(stdtrit(FREEDOM, FALSE_ALARM / count))


def _pairs(chroma: Tensor) -> Tensor:
    """Sums over (2, H, W): of the squares, and of the products of neighbours across and down."""
    across = (chroma[..., 1:] * chroma[..., :-1]).sum()
    down = (chroma[:, 1:] * chroma[:, :-1]).sum()
    return torch.stack([(chroma**2).sum(), across, down]).double()
