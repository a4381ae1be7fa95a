"""A mask says 255 in defects and 0 outside; what says anything else is refused by name."""

import numpy as np
import pytest
from PIL import Image

from hf_denoise.data.decoded import Decoded
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError


def drawn(level: int = 255, height: int = 12) -> np.ndarray:
    mask = np.zeros((60, 80), np.uint8)
    mask[10 : 10 + height, 20:50] = level
    return mask


def with_level(level: int, height: int = 8) -> np.ndarray:
    """255 in one place, another level in another, away from it."""
    mask = drawn()
    mask[40 : 40 + height, 10:30] = level
    return mask


def scaled() -> Image.Image:
    return Image.fromarray(drawn()).resize((160, 120), Image.Resampling.BILINEAR)


def load(tmp_path, mask: Image.Image | np.ndarray, extension: str = "png", **options):
    """The mask of a data set of one image."""
    picture = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
    for name in ("clean", "mask"):
        (tmp_path / name).mkdir()
    Image.new("RGB", picture.size, (9, 8, 7)).save(tmp_path / "clean/a.png")
    picture.save(tmp_path / f"mask/a.{extension}", **options)
    return Decoded(load_triplets(tmp_path, splits=(0, 0, 1))["test"])[0].mask


@pytest.mark.parametrize(
    ("mask", "extension", "options"),
    [
        (drawn(), "png", {}),
        (drawn(200), "png", {}),
        (drawn(255), "jpg", {"quality": 60}),
        (drawn(255), "jpg", {"quality": 15}),
        (drawn(255, height=1), "jpg", {"quality": 90}),
        (drawn(255), "webp", {"quality": 50}),
        (np.dstack([drawn()] * 3), "jpg", {"quality": 75, "subsampling": 2}),
        (Image.fromarray(drawn()).convert("1"), "bmp", {}),
        (Image.fromarray(drawn()).convert("RGBA"), "png", {}),
        (drawn(255).astype(np.uint16), "png", {}),
        (drawn(255).astype(np.uint16) * 257, "tif", {}),
        (np.zeros((60, 80), np.uint8), "png", {}),
    ],
)
def test_masks_that_are_black_and_white_mark_what_is_white(tmp_path, mask, extension, options):
    found = load(tmp_path, mask, extension, **options)
    expected = np.atleast_3d(np.asarray(mask).astype(int))[..., 0] > 0
    assert (found != expected).mean() < (0.005 if options else 1e-9)


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_scaled_masks_have_fringes(tmp_path, extension):
    assert load(tmp_path, scaled(), extension).sum() == pytest.approx(4 * drawn().astype(bool).sum(), rel=0.1)


def alpha_mask(colour: int) -> Image.Image:
    picture = Image.new("RGBA", (80, 60), (colour,) * 3 + (0,))
    picture.putalpha(Image.fromarray(drawn()))
    return picture


@pytest.mark.parametrize(
    ("mask", "extension", "reason"),
    [
        (alpha_mask(255), "png", "is a mask with transparency"),
        (alpha_mask(0), "png", "is a mask with transparency"),
        (Image.new("RGBA", (80, 60), (255, 255, 255, 0)), "png", "is a mask with transparency"),
        (with_level(100), "png", "is a mask with the level 100 between 0 and 255"),
        (with_level(100, height=1), "png", "is a mask with the level 100 between"),
        (with_level(1), "png", "is a mask with the level 1 between"),
        (with_level(200), "png", "is a mask with the level 200 between"),
        (np.maximum(drawn(), drawn(100, height=20)), "png", "is a mask with the level 100 between"),
        (with_level(100), "jpg", "is a mask with the level (9|10)"),
        (with_level(100, height=2), "jpg", "is a mask with the level"),
        (255 - with_level(100), "jpg", "is a mask with the level 1[56]"),
        (with_level(100, height=2), "webp", "is a mask with the level"),
        (Image.radial_gradient("L"), "png", "is a mask with the level"),
        (drawn(100), "png", "has no white pixel, the brightest is 100 of 255"),
        (drawn(3).astype(np.uint16), "png", "has no white pixel, the brightest is 3 of 255"),
    ],
)
def test_masks_that_say_more_are_refused_by_name(tmp_path, mask, extension, reason):
    with pytest.raises(UserError, match=rf"1 problem.*mask/a\.{extension} {reason}.*255 in defects, 0 outside"):
        load(tmp_path, mask, extension)
