"""What was taken away: the difference of two pictures, and a view of it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hf_denoise.imaging.formats import Header
from hf_denoise.imaging.picture import Picture

Array = NDArray[np.floating]

STRIP = 256  # rows that are held as single floats at a time, where pictures of 100 megapixels pass


def removed_view(removed: Array, gain: float = 4.0) -> NDArray[np.float32]:
    """What was removed as a picture: mid-grey plus `gain` times the difference.

    The factor does not follow the picture: views compare, and where little was removed little is seen. With 4,
    differences of 32 of 255 reach black or white; what is beyond stays there.

    Args:
        removed: (H, W, 3) or (H, W) float: input minus output, on the scale of [0, 1] pictures.
        gain: amplification.

    Returns:
        (H, W, 3) in [0, 1].
    """
    view = (np.float32(0.5) + np.float32(gain) * removed.astype(np.float32)).clip(0, 1)
    return np.dstack([view] * 3) if view.ndim == 2 else view


def difference(noisy: Picture, clean: Picture) -> NDArray[np.float16]:
    """What was removed from a decoded file: (H, W), or (H, W, 3) of a picture with colour, in stored order.

    Half precision: what is removed is small, and 100 megapixels take 600 MB instead of 1.2 GB.
    """
    removed = np.empty(noisy.planes[0].shape, np.float16)
    for top in range(0, len(removed), STRIP):
        before, after = (
            picture.with_planes(tuple(plane[top : top + STRIP] for plane in picture.planes)).rgb
            for picture in (noisy, clean)
        )
        change = before - after
        removed[top : top + STRIP] = change[..., 0] if removed.ndim == 2 else change
    return removed


def view_header(noisy: Picture) -> Header:
    """What `view_picture` will be, to be checked before the work."""
    return Header("PNG", "L" if noisy.planes[0].ndim == 2 else "RGB", np.dtype("uint8"), noisy.header.size)


def view_picture(removed: Array, noisy: Picture) -> Picture:
    """`removed_view` as an 8-bit picture, upright.

    Args:
        removed: `difference` of a picture.
        noisy: that picture, for its EXIF orientation.
    """
    view = np.empty(removed.shape, np.uint8)
    for top in range(0, len(view), STRIP):
        strip = removed_view(removed[top : top + STRIP])
        view[top : top + STRIP] = np.rint(255 * (strip[..., 0] if view.ndim == 2 else strip))
    exif = {"exif": noisy.metadata["exif"]} if "exif" in noisy.metadata else {}
    return replace(Picture(view_header(noisy), (view,), metadata=exif).upright(), metadata={})
