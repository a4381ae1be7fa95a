"""The format and the quality of the file that is downloaded."""

from pathlib import Path

import pytest
from page_server import noisy_pixels, to_8_bits
from PIL import Image

from hf_denoise.errors import UserError
from hf_denoise.imaging.images import read_image
from hf_denoise.page.saving import quality_of, save_as


@pytest.mark.parametrize("quality", [60, 80, 95])
def test_a_jpeg_keeps_its_quality_unless_a_better_one_is_asked_for(tmp_path: Path, quality: int) -> None:
    to_8_bits(noisy_pixels()).save(tmp_path / "given.jpg", quality=quality)
    picture = read_image(tmp_path / "given.jpg")
    assert quality_of(picture) == pytest.approx(quality, abs=1)
    for wanted, expected in ((50, quality), (100, 100)):
        saved = save_as(picture, "given.jpg", tmp_path, "JPEG", wanted)
        assert quality_of(read_image(saved)) == pytest.approx(expected, abs=1)


def test_another_format_is_written_under_its_name(tmp_path: Path) -> None:
    to_8_bits(noisy_pixels()).save(tmp_path / "given.png")
    picture = read_image(tmp_path / "given.png")
    assert quality_of(picture) is None
    for format, name in (("", "png"), ("JPEG", "jpg"), ("TIFF", "tif"), ("WebP", "webp")):
        saved = save_as(picture, str(tmp_path / "given.png"), tmp_path, format)
        assert saved.name == f"given-denoised.{name}"
        with Image.open(saved) as image:
            assert image.format == (format or "PNG").upper()
    for wrong in ({"format": "BMP"}, {"quality": 0}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            save_as(picture, "given.png", tmp_path, **wrong)
