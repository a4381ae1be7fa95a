"""The picture at the head of the page: a defect under noise, after a usual denoiser, and after hf_denoise."""

import numpy as np
from PIL import Image

from benchmarks.shared import machine
from benchmarks.shared.options import Options
from hf_denoise import Denoiser
from hf_denoise.arrays import ByteImage, FloatImage, to_8_bits
from hf_denoise.evaluation.peers import nl_means
from hf_denoise.imaging.crops import defect_centre
from hf_denoise.imaging.images import read_image
from hf_denoise.metrics.quality import contrast_kept, psnr
from hf_denoise.page.samples import EXAMPLES

SIGMA = 25  # of the noise in the example, which non-local means is told
CROP, PANEL = (56, 104), (72, 134)  # height and width of what is shown of each, in the picture and on the page


def run(options: Options) -> None:
    """Denoise the first example of the page; write why.md, why.json and why.webp, which the page shows."""
    about = machine.describe(("torch", "scikit-image"))
    example = EXAMPLES[0]
    assert example.mask
    noisy, clean = (read_image(path).rgb for path in (example.noisy, example.clean))
    mask = read_image(example.mask).rgb.mean(axis=2) > 0.5
    ours = Denoiser.from_pretrained(options.model)(noisy)
    shown = {"Noisy": noisy, "Non-local means": nl_means(noisy, SIGMA), "hf_denoise": ours}
    kept = {name: contrast_kept(image, clean, mask) for name, image in shown.items()}
    levels = {name: psnr(image, clean) for name, image in shown.items()}
    y, x = defect_centre(mask)
    box = slice(y - CROP[0] // 2, y + CROP[0] // 2), slice(x - CROP[1] // 2, x + CROP[1] // 2)
    options.output.mkdir(parents=True, exist_ok=True)
    strip([_panel(image[box]) for image in shown.values()]).save(options.output / "why.webp", quality=85, method=6)
    rows = [
        (name, f"{levels[name]:.2f}", f"{psnr(image, clean, mask):.2f}", f"{kept[name]:.2f}")
        for name, image in shown.items()
    ]
    results = {"machine": about, "model": options.model_name, "contrast_kept": kept, "psnr": levels}
    paragraphs = [
        "# Why hf_denoise",
        machine.sentence(about),
        f"The first example of the page, a wall with a crack under Gaussian noise of {SIGMA}. Non-local means is told "
        "sigma. The picture shows the crack in each, 1.3 times enlarged.",
        machine.table(("", "PSNR", "PSNR in the defect", "contrast kept"), rows),
    ]
    machine.write(options.output, "why", results, paragraphs)


def strip(panels: list[ByteImage]) -> Image.Image:
    """Panels side by side, with a white line between."""
    line = np.full((PANEL[0], 4, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (line, panel)][1:]
    return Image.fromarray(np.concatenate(parts, axis=1))


def _panel(pixels: FloatImage) -> ByteImage:
    image = Image.fromarray(to_8_bits(pixels.clip(0, 1)))
    return np.asarray(image.resize(PANEL[::-1], Image.Resampling.BICUBIC))
