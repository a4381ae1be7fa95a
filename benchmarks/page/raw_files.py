"""Raw files of a camera that is made up: a DNG of a Bayer mosaic, as LibRaw develops it."""

import io
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

WHITE, BLACK = 16383, 512  # of samples of 14 bits
NEUTRAL = (0.5, 1.0, 0.625)  # what the sensor gives of grey: red and blue are weaker than green
# From XYZ to the sensor, which is that of linear sRGB here: its inverse takes the sensor's values to XYZ.
_TO_SENSOR = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))


def dng(linear: NDArray[Any], orientation: int = 1, model: str = "Made up") -> bytes:
    """A DNG of (H, W, 3) linear sRGB from 0 to 1, with even sides: each pixel of the mosaic has one of its colours."""
    sensor = linear * np.array(NEUTRAL)
    mosaic = sensor[..., 1].copy()
    mosaic[0::2, 0::2] = sensor[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = sensor[1::2, 1::2, 2]
    values = np.rint(BLACK + mosaic.clip(0, 1) * (WHITE - BLACK)).astype(np.uint16)
    matrix = tuple(part for row in _TO_SENSOR for value in row for part in (round(value * 10**4), 10**4))
    neutral = tuple(part for value in NEUTRAL for part in (round(value * 1000), 1000))
    tags = [
        (271, 2, 0, "HF", True),
        (272, 2, 0, model, True),
        (274, 3, 1, orientation, True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, bytes([0, 1, 1, 2]), True),
        (50706, 1, 4, bytes([1, 4, 0, 0]), True),
        (50708, 2, 0, model, True),
        (50714, 3, 1, BLACK, True),
        (50717, 3, 1, WHITE, True),
        (50721, 10, 9, matrix, True),
        (50728, 5, 3, neutral, True),
        (50778, 3, 1, 21, True),
    ]
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="cfa", extratags=tags, metadata=None, software=False)
    return file.getvalue()
