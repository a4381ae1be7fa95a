"""The pictures that benchmarks measure on."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from benchmarks.shared.options import Options
from hf_denoise.errors import UserError
from hf_denoise.imaging.formats import FORMATS
from hf_denoise.imaging.images import read_image

Photo = NDArray[np.float32]  # (H, W, 3) in [0, 1]
QUICK_SIDE = 96  # pixels: the middle of a photograph is enough to see that a benchmark runs
ROWS = 256  # of a large picture that are drawn at once


def picture_files(folder: Path) -> list[Path]:
    """All picture files below a folder, sorted.

    Raises:
        UserError: it is not a folder, or holds none.
    """
    if not folder.is_dir():
        raise UserError(f"'{folder}' is not a folder; give one with pictures")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in FORMATS)
    if not paths:
        raise UserError(f"'{folder}' holds no pictures; give another folder")
    return paths


def read_photo(path: Path) -> Photo:
    """A file, upright, in colour."""
    return read_image(path).upright().rgb


def middle(photo: Photo, side: int) -> Photo:
    """The middle of a picture, `side` pixels a side at most."""
    top, left = (max(length - side, 0) // 2 for length in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + side, left : left + side])


def photographs(options: Options, count: int, smallest: int = 1) -> list[Photo]:
    """Up to `count` clean photographs, evenly spread over the folder of --photos; `--images` overrules the count.

    Quick runs take the middle of two of them, or of two that scikit-image ships where there is no folder.

    Args:
        options: where they lie.
        count: how many.
        smallest: side in pixels below which one is left out.

    Raises:
        UserError: the folder has no photographs of that size.
    """
    count = 2 if options.quick else options.images or count
    side = max(QUICK_SIDE, smallest)
    if options.photos is None:
        return [middle(photo, side) for photo in shipped_photographs()[:count]]
    paths = picture_files(options.photos)
    photos = [read_photo(path) for path in paths[:: max(len(paths) // count, 1)][:count]]
    photos = [photo for photo in photos if min(photo.shape[:2]) >= smallest]
    if not photos:
        raise UserError(f"'{options.photos}' has no photographs of {smallest} pixels a side; choose other --photos")
    return [middle(photo, side) for photo in photos] if options.quick else photos


def shipped_photographs() -> list[Photo]:
    """Three photographs that come with scikit-image, 0.1 to 0.3 megapixels."""
    return [
        np.asarray(photo, np.float32) / np.float32(255) for photo in (data.astronaut(), data.chelsea(), data.coffee())
    ]


def write_cut_photographs(folder: Path, side: int = 64) -> None:
    """Make a folder of a dozen small PNGs, cut out of the photographs of scikit-image: clean images to train on."""
    folder.mkdir()
    for number, photo in enumerate(shipped_photographs()):
        for row in range(4):
            top = row * (photo.shape[0] - side) // 4
            Image.fromarray(to_bytes(photo[top : top + side, 100 : 100 + side])).save(folder / f"{number}{row}.png")


def to_bytes(photo: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Floats in [0, 1], clipped, as 8 bits."""
    return np.rint(photo.clip(0, 1) * 255).astype(np.uint8)


def noisy_gradient(megapixels: float, sigma: float = 25, seed: int = 0) -> NDArray[np.uint8]:
    """A noisy colour gradient of any size, (H, W, 3), about 4 : 3; `sigma` on the 0..255 scale."""
    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    width = round(megapixels * 1e6 / height)
    pixels = np.empty((height, width, 3), np.uint8)
    rng = np.random.default_rng(seed)
    across = np.linspace((64, 128, 192), (192, 64, 128), width, dtype=np.float32)
    for top in range(0, height, ROWS):
        rows = pixels[top : top + ROWS]
        noise = rng.standard_normal(rows.shape, dtype=np.float32) * np.float32(sigma)
        rows[:] = (across + noise).clip(0, 255).round()
    return pixels
