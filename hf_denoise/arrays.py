"""The arrays that stand for pictures, in all of the package."""

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.floating]
"""(H, W, 3) or (H, W), RGB or grey; black is 0 and white 1, noise may lie outside."""
ByteImage = NDArray[np.uint8]
"""(H, W, 3), RGB from 0 to 255."""
Mask = NDArray[np.bool_]
"""(H, W), True inside defects."""
