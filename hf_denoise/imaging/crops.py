"""What a report shows of a large picture: a square around a defect, and a line around its mask."""

import numpy as np
from scipy.ndimage import find_objects, label
from skimage.segmentation import find_boundaries

from hf_denoise.arrays import ByteImage, Mask

Box = tuple[slice, slice]

OUTLINE = (255, 0, 200)  # of a mask: a colour that surfaces rarely have


def square_around(centre: tuple[int, int], side: int, shape: tuple[int, ...]) -> Box:
    """Rows and columns of a square of `side` pixels around (y, x), moved to lie in the picture, as far as it fits."""
    first = [
        min(max(middle - side // 2, 0), max(length - side, 0)) for middle, length in zip(centre, shape[:2], strict=True)
    ]
    return slice(first[0], min(first[0] + side, shape[0])), slice(first[1], min(first[1] + side, shape[1]))


def defect_centre(mask: Mask) -> tuple[int, int]:
    """(y, x) of a pixel in the middle of what is masked; the middle of the picture where nothing is."""
    places = np.argwhere(mask)
    if not len(places):
        return mask.shape[0] // 2, mask.shape[1] // 2
    y, x = places[np.square(places - np.median(places, axis=0)).sum(axis=1).argmin()]
    return int(y), int(x)


def largest_defect(mask: Mask) -> Box:
    """Rows and columns of the defect with most pixels; the mask must not be empty."""
    labels, _ = label(mask, np.ones((3, 3)))
    return find_objects(labels)[int(np.bincount(labels.ravel())[1:].argmax())]


def outlined(picture: ByteImage, mask: Mask) -> ByteImage:
    """`picture` (H, W, 3) with a line around the mask, outside it, so that the defect stays in sight."""
    picture = picture.copy()
    picture[find_boundaries(mask, mode="outer")] = OUTLINE
    return picture
