"""Where the objects of a picture are, on a ground of one colour: defects of a surface end where the surface ends."""

import numpy as np
from scipy.ndimage import binary_closing, binary_erosion, binary_fill_holes, gaussian_filter, label
from skimage.filters import threshold_otsu

from hf_denoise.arrays import FloatImage, Mask

RING = 0.03  # of the shorter side: the frame that shows what the ground looks like
LEAST_DIFFERENCE = 0.06  # of the range, between ground and objects
SMALLEST_SHARE = 0.01  # of the picture: smaller objects are specks
EDGE = 2  # pixels that are left free at the border of an object, where it is blurred


def foreground(image: FloatImage) -> Mask:
    """The objects on a plain ground, which the frame of the picture shows.

    Args:
        image: (H, W, 3) in [0, 1].

    Returns:
        (H, W), True on the objects but for their very edge. All True where the frame is of many colours, as in a
        photograph or where one surface fills the picture, and where no object is found.
    """
    shape = image.shape[:2]
    everything = np.ones(shape, bool)
    width = max(round(RING * min(shape)), 2)
    if min(shape) < 8 * width:
        return everything
    frame = everything.copy()
    frame[width:-width, width:-width] = False
    smooth = gaussian_filter(image, (1.5, 1.5, 0))
    distance = np.abs(smooth - np.median(smooth[frame], axis=0)).max(axis=2)
    threshold = max(float(threshold_otsu(distance)), LEAST_DIFFERENCE)
    if np.mean(distance[frame] > threshold / 2) > 0.2:
        return everything
    closed = binary_closing(np.pad(distance > threshold, 3), iterations=3)[3:-3, 3:-3]
    objects, count = label(binary_fill_holes(closed))
    sizes = np.bincount(objects.ravel(), minlength=count + 1)
    sizes[0] = 0
    large = np.flatnonzero(sizes >= SMALLEST_SHARE * objects.size)
    found = binary_erosion(np.isin(objects, large), iterations=EDGE, border_value=1)
    return found if found.any() else everything


def one_surface(inside: Mask, rng: np.random.Generator) -> Mask:
    """One connected part of `inside`, drawn by its area; what is next to nothing counts only where all is that small.

    Args:
        inside: (H, W), with some pixel.
        rng: draws it.
    """
    parts, count = label(inside, np.ones((3, 3)))
    if count < 2:
        return inside
    sizes = np.bincount(parts.ravel())[1:].astype(float)
    chosen = int(rng.choice(count, p=sizes / sizes.sum())) + 1
    return np.asarray(parts == chosen)
