"""The view to paint a mask on."""

from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from hf_denoise.arrays import to_8_bits
from hf_denoise.errors import UserError
from hf_denoise.page.errors import shown_errors
from hf_denoise.page.results import new_folder, read_picture, shrink
from hf_denoise.page.samples import EXAMPLES

MASK_SIDE = 1024  # pixels; of the picture that a mask is painted on


def picture_to_paint(open_view: str, image: str | None, drawn_on: str | None) -> tuple[Any, Any]:
    """The picture, small, to draw a mask on: (H, W, 3).

    Args:
        open_view: if it is another than "mask" nobody sees this, and nothing is done.
        image: picture file, None takes the first example.
        drawn_on: the picture that is there to draw on already, None where there is none.

    Returns:
        The pixels, and what `drawn_on` is now.
    """
    image = image or EXAMPLES[0].noisy
    if open_view != "mask" or image == drawn_on:
        return gr.skip(), gr.skip()
    with shown_errors():
        picture = Image.fromarray(to_8_bits(shrink(read_picture(image).upright().rgb)))
        picture.thumbnail((MASK_SIDE, MASK_SIDE), Image.Resampling.LANCZOS)
        return np.asarray(picture), image


def painted_mask(drawing: dict[str, Any] | None, image: str | None) -> str:
    """What was drawn on `picture_to_paint`, as a mask file of the size of the picture: white where there is paint."""
    with shown_errors(), new_folder() as folder:
        layers = [np.asarray(layer)[..., 3] > 0 for layer in (drawing or {}).get("layers") or []]
        painted = np.any(layers, axis=0) if layers else np.zeros((1, 1), bool)
        if not painted.any():
            raise UserError("nothing is drawn yet; paint over the defect first")
        size = read_picture(image or EXAMPLES[0].noisy).upright().header.size
        mask = Image.fromarray(painted.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
        mask.save(folder / "drawn-mask.png")
        return str(folder / "drawn-mask.png")
