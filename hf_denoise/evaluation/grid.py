"""The before/after picture of an evaluation: rows of degraded, denoised and clean crops."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from hf_denoise.arrays import FloatImage, Mask, to_8_bits
from hf_denoise.files import written_beside
from hf_denoise.imaging.crops import defect_centre, square_around

CROP = 256  # side of the crops, pixels
GRID_ROWS = 6

Crops = tuple[FloatImage, FloatImage, FloatImage]  # degraded, denoised, clean


def crops_of(degraded: FloatImage, denoised: FloatImage, clean: FloatImage, mask: Mask) -> Crops:
    """The same square of three pictures (H, W, 3), around the defect or else in the middle."""
    box = square_around(defect_centre(mask), CROP, mask.shape)
    return degraded[box], denoised[box], clean[box]


def write_grid(target: Path, crops: Sequence[Crops]) -> None:
    """Write `grid` as PNG."""
    with written_beside(target) as file:
        grid(crops).save(file, "PNG")


def grid(crops: Sequence[Crops]) -> Image.Image:
    """Rows of degraded, denoised and clean crops, with a header."""
    header, gap = 24, 4
    height = header + sum(row[0].shape[0] + gap for row in crops)
    sheet = Image.new("RGB", (3 * (CROP + gap) - gap, height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(("degraded", "denoised", "clean")):
        draw.text((column * (CROP + gap) + 4, 4), title, fill="black", font_size=14)
    top = header
    for row in crops:
        for column, image in enumerate(row):
            sheet.paste(Image.fromarray(to_8_bits(image)), (column * (CROP + gap), top))
        top += row[0].shape[0] + gap
    return sheet
