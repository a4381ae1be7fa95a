"""The views of a result that show single pixels, and the one to paint a mask on."""

from typing import Any

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

from hf_denoise.arrays import ByteImage, to_8_bits
from hf_denoise.errors import UserError
from hf_denoise.page.companions import with_defaults
from hf_denoise.page.errors import shown_errors
from hf_denoise.page.keeping import Asked, Wishes, mix_of
from hf_denoise.page.results import as_url, new_folder, part_of, read_picture, result_of, shrink
from hf_denoise.page.samples import EXAMPLES
from hf_denoise.page.stop import Watch, register_request

VIEW = (640, 440)  # pixels of the screen that the view of single pixels takes
OVERVIEW_SIDE = 800  # pixels; of the picture that shows where they are
MASK_SIDE = 1024  # pixels; of the picture that a mask is painted on


def pixel_view(
    open_view: str,
    image: str | None,
    strength: float,
    mask: str | None,
    model: str | None,
    protect: str,
    keep: float | None,
    auto: bool,
    across: float,
    down: float,
    zoom: int,
    at: float | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[Any, Any]:
    """A part of the full picture, before and after, every pixel of it as `zoom` x `zoom` of the screen.

    Args:
        open_view: if it is another than "pixels" nobody sees this, and nothing is done.
        image, strength, mask, model, protect, keep: as in `denoise`.
        auto: see `Wishes`.
        across, down: percent of the way from the left or upper end to the other.
        zoom: whole number.
        at: see `register_request`.

    Returns:
        Value of a `PixelView`.
        The whole picture, small, with a frame around the part.
    """
    if open_view != "pixels":
        return gr.skip(), gr.skip()
    register_request(at, view=False)
    watch = Watch()
    with shown_errors(), new_folder() as folder:
        image, _, mask = with_defaults(image, None, mask)
        result = result_of(image, model, progress)
        mix = mix_of(result, Wishes(strength, protect, keep, auto, mask), model, progress)
        whole = result.before.header.size
        width, height = size_seen(whole, zoom)
        left, top = round(across / 100 * (whole[0] - width)), round(down / 100 * (whole[1] - height))
        box = slice(top, top + height), slice(left, left + width)

        before, after = part_of(result.before, box), part_of(result.after, box)
        view = {
            "before": as_url(before),
            "after": as_url(mix.part(before, after, box)),
            "width": width * zoom,
            "height": height * zoom,
            "caption": f"{width} x {height} of {whole[0]} x {whole[1]} pixels, from {left}, {top}",
        }
        edges = left, top, left + width, top + height
        framed(to_8_bits(result.small[1]), edges, whole[0]).save(folder / "overview.png")
        watch.check_view()
        return view, str(folder / "overview.png")


def pixels_of_shown(
    open_view: str,
    asked: Asked,
    across: float,
    down: float,
    zoom: int,
    at: float,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[Any, Any]:
    """`pixel_view` of the result that is shown."""
    image, strength, _, mask, model, protect, keep, auto = asked
    return pixel_view(open_view, image, strength, mask, model, protect, keep, auto, across, down, zoom, at, progress)


def framed(pixels: ByteImage, edges: tuple[int, int, int, int], whole_width: int) -> Image.Image:
    """A small picture of a whole one, with a frame at these edges of that: left, upper, right and lower."""
    overview = Image.fromarray(pixels)
    overview.thumbnail((OVERVIEW_SIDE, OVERVIEW_SIDE))
    frame = [overview.width / whole_width * edge for edge in edges]
    ImageDraw.Draw(overview).rectangle([*frame[:2], frame[2] - 1, frame[3] - 1], outline="#2563eb", width=5)
    return overview


def size_seen(whole: tuple[int, int], zoom: int) -> tuple[int, int]:
    """Width and height in pixels of the part that `pixel_view` shows."""
    width, height = (min(-(-side // zoom), length) for side, length in zip(VIEW, whole, strict=True))
    return width, height


def centre_view(asked: Asked, zoom: int, overview: str, event: gr.SelectData) -> tuple[float, float]:
    """Where to look closely for the place that was clicked in the overview, see `pixels_of_shown`."""
    with shown_errors():
        whole = read_picture(asked.image or EXAMPLES[0].noisy).upright().header.size
        with Image.open(overview) as preview:
            scale = whole[0] / preview.width
        across, down = (
            min(max(100 * (place * scale - side / 2) / max(length - side, 1), 0), 100)
            for place, side, length in zip(event.index, size_seen(whole, zoom), whole, strict=True)
        )
        return round(across, 1), round(down, 1)


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
