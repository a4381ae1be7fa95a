"""What is see-through in a file stays so."""

from pathlib import Path

import numpy as np
import pytest
from image_bytes import RNG, photo, same_pixels
from PIL import Image

from hf_denoise.imaging.images import read_image


@pytest.mark.parametrize("opacities", [1, 3])
def test_palette_transparency_is_untouched(tmp_path: Path, opacities: int) -> None:
    image = photo("P")
    image.info["transparency"] = bytes([0, 128, 40][:opacities])
    image.save(tmp_path / "in.png")
    picture = read_image(tmp_path / "in.png")
    noise = RNG.integers(0, 256, picture.planes[0].shape).astype(np.uint8)
    picture.with_planes((noise,)).save(tmp_path / "out.png")
    before, after = Image.open(tmp_path / "in.png"), Image.open(tmp_path / "out.png")
    assert after.mode == "P"
    assert after.getpalette() == before.getpalette()
    assert same_pixels(after.convert("RGBA").getchannel("A"), before.convert("RGBA").getchannel("A"))
    read_image(tmp_path / "in.png").save(tmp_path / "wide.webp")
    assert same_pixels(Image.open(tmp_path / "wide.webp"), before.convert("RGBA"))


def test_gif_transparency_is_untouched(tmp_path: Path) -> None:
    image = photo("P")
    image.save(tmp_path / "in.gif", transparency=3)
    read_image(tmp_path / "in.gif").save(tmp_path / "out.gif")
    before, after = (Image.open(tmp_path / name).convert("RGBA") for name in ("in.gif", "out.gif"))
    hidden = np.asarray(before)[..., 3] == 0
    assert hidden.any()
    assert np.array_equal(np.asarray(after)[..., 3] == 0, hidden)
    assert np.array_equal(np.asarray(after)[~hidden], np.asarray(before)[~hidden])


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_colour_that_stands_for_transparency_still_does(tmp_path: Path, mode: str) -> None:
    image = photo(mode)
    image.putpixel((4, 5), 7 if mode == "L" else (7, 8, 9))
    image.save(tmp_path / "in.png", transparency=7 if mode == "L" else (7, 8, 9))
    picture = read_image(tmp_path / "in.png")
    everywhere_the_key = np.broadcast_to(
        np.array([7, 8, 9][: 1 if mode == "L" else 3], np.uint8), (17, 23, 1 if mode == "L" else 3)
    )
    plane = everywhere_the_key[..., 0] if mode == "L" else everywhere_the_key
    picture.with_planes((np.array(plane),)).save(tmp_path / "out.png")
    before, after = Image.open(tmp_path / "in.png"), Image.open(tmp_path / "out.png")
    assert after.mode == mode
    assert same_pixels(after.convert("RGBA").getchannel("A"), before.convert("RGBA").getchannel("A"))
    assert np.ptp(np.asarray(after.convert("RGB")).reshape(-1, 3), axis=0).max() <= 1
