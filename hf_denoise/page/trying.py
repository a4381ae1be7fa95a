"""Noise that is added to a clean picture and taken away again."""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from hf_denoise.arrays import to_8_bits
from hf_denoise.imaging.conversion import from_pil
from hf_denoise.noise.degradations import parse_degradation
from hf_denoise.page.companions import Companions
from hf_denoise.page.comparison import compared, part_urls
from hf_denoise.page.errors import shown_errors
from hf_denoise.page.keeping import Mix, Wishes
from hf_denoise.page.measuring import Measured
from hf_denoise.page.models import fully_denoised
from hf_denoise.page.results import (
    PAGE_SIDE,
    PREVIEW_SIDE,
    Preview,
    Result,
    in_its_colours,
    keep_result,
    kept_result,
    new_folder,
    part_of,
    read_picture,
    save_previews,
    shrink,
)
from hf_denoise.page.samples import EXAMPLES
from hf_denoise.page.scores import Scores, quality_scores


def add_noise(
    image: str | None,
    kind: str = "gaussian",
    amount: float = 25,
    model: str | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[tuple[str, str], str, Scores]:
    """Add noise to a clean picture, denoise it, and measure both against the clean picture.

    Args:
        image: clean picture file. None takes an example.
        kind: camera, gaussian, poisson-gaussian, speckle, salt-pepper or jpeg.
        amount: sigma on the 0 to 255 scale; percent of pixels for salt-pepper; quality for jpeg.
            A camera also changes the clean picture that is shown and measured against, by its optics and colours.
        model: id of a public model on the Hub, as user/name. Empty takes the packaged one.

    Returns:
        Previews of the noisy and the denoised picture: PNG, at most 2048 pixels a side.
        Preview of the clean picture.
        Name, unit, before and after of PSNR and SSIM.
    """
    with shown_errors(), new_folder() as folder:
        result, beside = _tried_on(image, kind, amount, model, progress)
        paths = _previews(result, beside, PREVIEW_SIDE, folder)
        return (paths["before"], paths["after"]), paths["clean"], _scores(result, beside)


def add_noise_on_page(
    image: str | None,
    kind: str,
    amount: float,
    model: str | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[dict[str, Any], str, Scores]:
    """`add_noise`, for the comparison of the page."""
    with shown_errors(), new_folder() as folder:
        result, beside = _tried_on(image, kind, amount, model, progress)
        paths = _previews(result, beside, PAGE_SIDE, folder)
        shown = compared(result, (paths["before"], paths["after"]), (result.noisiest, 0), f"{image}")
        keep_result(result, _key(shown["version"]))  # for those who look closely
        return shown, paths["clean"], _scores(result, beside)


def part_of_tried(event: gr.EventData) -> Any:
    """A part of the full picture, see `comparison.part_of_shown`; none where the result is not kept any more."""
    result = kept_result(_key((event._data or {}).get("version")))
    return gr.skip() if result is None else part_urls(result.before, lambda box: part_of(result.after, box), event)


def _key(version: object) -> str:
    """What a result is kept by: the browser says the version, and must not reach what others have uploaded."""
    return f"tried {version}"


def _tried_on(
    image: str | None, kind: str, amount: float, model: str | None, progress: gr.Progress
) -> tuple[Result, Companions]:
    """The noisy picture with its result, and the clean one that belongs to it."""
    clean = read_picture(image or EXAMPLES[1].clean).upright().rgb.clip(0, 1)
    degraded, clean = parse_degradation(f"{kind}:{amount}").pair(clean, np.random.default_rng(0))
    noisy = from_pil(Image.fromarray(to_8_bits(degraded)))  # as an image file would hold it
    denoised = fully_denoised(noisy, model, progress)
    return Result(noisy, denoised, (noisy, denoised)), Companions(clean=noisy.with_planes((clean,)))


def _previews(result: Result, beside: Companions, side: int, folder: Path) -> dict[str, str]:
    """Files of before, after and clean, of at most so many pixels a side."""
    small = zip(("before", "after"), result.small(side), strict=True)
    previews = {name: in_its_colours(result.before, each.astype(np.float32)) for name, each in small}
    assert beside.clean is not None
    previews["clean"] = Preview(to_8_bits(shrink(beside.clean.rgb.clip(0, 1), side)))
    return save_previews(previews, folder, lossy=max(result.before.header.size) > side and side < PREVIEW_SIDE)


def _scores(result: Result, beside: Companions) -> Scores:
    return quality_scores(Measured(result, Mix(Wishes(), 1.0), beside))
