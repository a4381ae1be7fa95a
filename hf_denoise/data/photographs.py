"""Crops of clean photographs, for what is calibrated on them."""

import numpy as np
from tqdm import tqdm

from hf_denoise.arrays import FloatImage
from hf_denoise.data.decoded import Decoded
from hf_denoise.data.reading import to_float
from hf_denoise.data.triplets import load_triplets


def random_crops(data: str, count: int, side: int, seed: int = 0) -> list[FloatImage]:
    """Up to `count` crops, (side, side, 3) float32 in [0, 1], each of another photograph.

    Args:
        data: as of `load_triplets`; the training split where there is one.
        count: fewer are given where fewer photographs are large enough.
        side: pixels.
        seed: of the choice.

    Raises:
        UserError: the data cannot be used.
    """
    triplets = load_triplets(data, splits=(0.0, 0.0, 1.0))
    table = Decoded(triplets["train"] if "train" in triplets else next(iter(triplets.values())))
    rng = np.random.default_rng(seed)
    found: list[FloatImage] = []
    for index in tqdm(rng.permutation(len(table)), desc="read", unit="image"):
        if len(found) == count:
            break
        stored = table[int(index)].clean
        if min(stored.shape[:2]) >= side:
            top, left = (int(rng.integers(length - side + 1)) for length in stored.shape[:2])
            found.append(to_float(stored[top : top + side, left : left + side]))
    return found
