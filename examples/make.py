"""Make the example pictures of the page `night`, `scan` and `tissue` again, from what scikit-image and Pillow ship.

python examples/make.py
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from skimage import data

from hf_denoise.arrays import to_8_bits
from hf_denoise.noise.degradations import parse_degradation

FOLDER = Path(__file__).resolve().parents[1] / "hf_denoise" / "page" / "examples"
TEXT = """Report on the inspection of bridge No. 14

The bearings on the north side were cleaned
and found in order. On the south side one
anchor bolt is loose, and a hairline crack of
about 40 mm runs from it towards the edge of
the plate. It was marked with chalk and is to
be measured again within three months.

   Span      Load     Deflection   Crack
    1       12.0 t      3.1 mm      none
    2       12.0 t      3.4 mm      40 mm
    3       12.0 t      3.0 mm      none
"""


def scanned_page() -> Image.Image:
    """A page in grey: text on paper that is neither white nor even, a little askew and unsharp."""
    page = Image.new("L", (1200, 800), 238)
    ImageDraw.Draw(page).multiline_text((90, 60), TEXT, fill=45, font=ImageFont.load_default(42), spacing=10)
    page = page.rotate(-0.7, Image.Resampling.BICUBIC, fillcolor=238).resize((600, 400), Image.Resampling.LANCZOS)
    page = page.filter(ImageFilter.GaussianBlur(0.5))
    shade = np.linspace(1.0, 0.86, 600)[None, :] * np.linspace(1.0, 0.96, 400)[:, None]
    return Image.fromarray((np.asarray(page) * shade).round().astype(np.uint8))


def make(name: str, clean: Image.Image, noise: str) -> None:
    """Save the clean picture as JPEG, and what the noise makes of that as PNG."""
    path = FOLDER / f"{name}-clean.jpg"
    clean.save(path, quality=92)
    pixels = np.atleast_3d(np.asarray(Image.open(path))).astype(np.float32) / np.float32(255)
    noisy, target = parse_degradation(noise).pair(pixels, np.random.default_rng(0))
    if target is not pixels:  # a camera has its own optics and colours
        Image.fromarray(to_8_bits(target)).save(path, quality=95, subsampling=0)
    Image.fromarray(to_8_bits(noisy).squeeze()).save(FOLDER / f"{name}-noisy.png", optimize=True)


if __name__ == "__main__":
    rocket = Image.fromarray(data.rocket()).crop((50, 67, 590, 427))
    make("night", rocket.resize((465, 310), Image.Resampling.LANCZOS), "camera:12")
    make("scan", scanned_page(), "poisson-gaussian:30")
    tissue = Image.fromarray(data.immunohistochemistry()).crop((56, 100, 446, 360))
    make("tissue", tissue, "poisson-gaussian:30")
