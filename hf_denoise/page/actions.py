"""What the page does with a picture: denoise it, show it, write it, measure it. No tensor is touched here."""

from typing import Any

import gradio as gr
import numpy as np

from hf_denoise.arrays import to_8_bits
from hf_denoise.errors import UserError
from hf_denoise.imaging.blending import check_strength
from hf_denoise.inference.removed import removed_view
from hf_denoise.page.companions import companions_of, keep_companions, read_companions
from hf_denoise.page.comparison import comparison_of
from hf_denoise.page.errors import shown_errors
from hf_denoise.page.events import download_update
from hf_denoise.page.keeping import NO_MASK, Asked, Shown, mix_of
from hf_denoise.page.measuring import Measured
from hf_denoise.page.results import (
    PAGE_SIDE,
    PREVIEW_SIDE,
    Preview,
    in_its_colours,
    kept_result,
    new_folder,
    read_picture,
    save_previews,
)
from hf_denoise.page.samples import EXAMPLES
from hf_denoise.page.saving import QUALITY, save_as
from hf_denoise.page.scores import Scores, mix_scores, quality_scores
from hf_denoise.page.status import FIGURES, FILE, has_come, is_complete, is_missing, is_seen, new_result
from hf_denoise.page.stop import Watch, register_request


def denoise(
    image: str | None,
    strength: float | str = 1.0,
    reference: str | None = None,
    mask: str | None = None,
    model: str | None = None,
    protect: str = "",
    keep: float | None = None,
    luminance: float = 1.0,
    color: float = 1.0,
    grain: float = 0.0,
    self_ensemble: bool = False,
    format: str = "",
    quality: float = QUALITY,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[tuple[str, str], str, Scores, str, str | None]:
    """Denoise a picture, and measure how much better it became and what was taken away.

    Args:
        image: picture file of any size and depth. None takes the first example; examples know their own reference.
        strength: from 0, the picture as it is, to 1, fully denoised; or "auto", the strongest at which a scratch of the
            contrast `keep` survives.
        reference: clean version of the picture, of the same size, to measure PSNR and SSIM against.
        mask: picture of the same size, white where a defect is, to measure how much of its contrast is kept, and with
            a reference PSNR and SSIM inside it.
        model: id of a public model on the Hub, as user/name. Empty takes the packaged one.
        protect: places that are denoised less: "mask", or "auto", wherever a scratch of the contrast `keep` would not
            survive. Empty: nowhere.
        keep: contrast of the faintest defect that is to survive, in grey levels, 0 to 255. None leaves the pixels of a
            mask as they were.
        luminance: from 0, none of the luminance noise is removed, to 1.5; beyond 1 what is left is smoothed as well.
        color: the same of colour noise.
        grain: share, from 0 to 1, of the finest luminance noise that stays.
        self_ensemble: the mean over the eight turns and flips of the picture: better, for eight times the time.
        format: of the result: PNG, JPEG, TIFF or WebP. Empty keeps that of the picture.
        quality: of a JPEG that `format` asks for, 1 to 100; one that was a JPEG is never made coarser than it came.

    Returns:
        Previews before and after: PNG, at most 2048 pixels a side.
        The result in full quality: size, mode and bit depth of the picture, and its format where none is asked for.
        Of each metric its name, unit, before, after, which way is better, what it is about, and the same said in words.
            PSNR and SSIM, or the noise level where there is no reference. Contrast kept: 1 is all of that of the defect
            in the reference, 0 is none. With `protect`, how much is protected, and the noise that stays there.
        Preview of what was taken away, the picture minus the result, 4 times amplified around mid-grey: PNG.
        Preview of what is still wrong, the distance between the result and the reference, 4 times amplified: PNG, or
            none without a reference.
    """
    with shown_errors():
        auto = strength == "auto"
        fixed = 1.0 if auto else number(strength)
        further = luminance, color, grain, self_ensemble, format, quality
        asked = Asked(image, fixed, reference, mask, model, protect, keep, auto, *further)
        asked.complete().wishes.check()
    pair, removed, error, *_ = show(asked, progress=progress)
    return pair, write(asked, progress=progress), figures(asked, progress=progress), removed, error


def number(strength: float | str) -> float:
    """A strength that may have come as text.

    Raises:
        UserError: it is no number.
    """
    try:
        return float(strength)
    except ValueError:
        raise UserError(f"strength must be a number from 0 to 1, or 'auto', got '{str(strength)[:100]}'") from None


def show(
    asked: Asked,
    at: float | None = None,
    side: int = PREVIEW_SIDE,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[tuple[str, str], str, str | None, str | None, str]:
    """The pictures of `denoise`, without what takes longer for a large picture; one of what is protected; a sentence.

    Args:
        asked: what is wanted.
        at: see `register_request`.
        side: pixels that a side of the pictures has at most. Those that the page makes smaller are JPEGs, which is
            quicker, others PNGs.
        progress: of the network.
    """
    register_request(at)
    watch = Watch()
    with shown_errors(), new_folder() as folder:
        check_strength(asked.strength)
        known = asked.complete()
        image, reference, mask, model, best, wishes = known
        result = kept_result(image, model, best)
        companions = None
        if result is None and (reference or mask):  # they are read before the network runs
            companions = read_companions(reference, mask, read_picture(image).upright().header.size)
        result = result or known.result(progress)
        companions = keep_companions(result, companions) if companions else companions_of(result, reference, mask)
        mix = mix_of(result, wishes, model, progress)
        watch.check_view()
        before, after = (pixels.astype(np.float32) for pixels in result.small(side))
        times = max(result.before.header.size) / max(before.shape[:2])
        after = mix.preview(before, after, times)
        previews = {name: in_its_colours(result.before, each) for name, each in (("before", before), ("after", after))}
        previews["removed"] = Preview(to_8_bits(removed_view(before - after)))
        if (clean := companions.small(side)) is not None:
            previews["difference"] = Preview(to_8_bits(4 * np.abs(after - clean)))
        if (protected := mix.protected(before)) is not None:
            previews["protected"] = Preview(protected)
        paths = save_previews(previews, folder, lossy=times > 1 and side < PREVIEW_SIDE)
        watch.check_view()
        said = f"Nothing is protected: {NO_MASK}." if wishes.lacks_mask else mix.said
        pair = paths["before"], paths["after"]
        return pair, paths["removed"], paths.get("difference"), paths.get("protected"), said


def write(
    asked: Asked,
    at: float | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> str:
    """The file of `denoise`; `at`: see `register_request`."""
    register_request(at, view=False)
    watch = Watch()
    with shown_errors(), new_folder() as folder:
        known = asked.complete()
        result = known.result(progress)
        stored = mix_of(result, known.wishes, known.model, progress).stored(result)
        watch.check_view()
        path = save_as(stored, known.image, folder, asked.format, asked.quality)
        watch.check_view()
        return str(path)


def figures(
    asked: Asked,
    at: float | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> Scores:
    """The metrics of `denoise`; `at`: see `register_request`."""
    register_request(at, view=False)
    watch = Watch()
    with shown_errors():
        known = asked.complete()
        result = known.result(progress)
        mix = mix_of(result, known.wishes, known.model, progress)
        progress(0, desc="Measuring")
        companions = companions_of(result, known.reference, known.mask)
        watch.check_view()
        scores = quality_scores(Measured(result, mix, companions))
        watch.check_view()
        return [*scores, *mix_scores(mix)]


# What the page itself asks for


def show_result(
    image: str | None,
    strength: float,
    reference: str | None,
    mask: str | None,
    model: str | None,
    protect: str,
    keep: float | None,
    auto: bool,
    luminance: float,
    color: float,
    grain: float,
    best: bool,
    format: str,
    quality: float,
    at: float,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[Any, ...]:
    """`show`, what empties the download and the metrics of the result before, what it was asked with, and its number.

    `luminance`, `color` and `grain` are in percent.
    """
    shares = luminance / 100, color / 100, grain / 100
    asked = Asked(image, strength, reference, mask, model, protect, keep, auto, *shares, best, format, quality)
    pair, *pictures = show(asked, at, PAGE_SIDE, progress)
    watch = Watch()
    with shown_errors():
        compared = comparison_of(asked, pair, progress)
    watch.check_view()
    number = new_result(asked.image or EXAMPLES[0].noisy)
    return compared, *pictures, download_update(None), None, Shown(asked, number), number


def figures_of_shown(
    shown: Shown,
    number: int,
    at: float,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> Any:
    """`figures` of the result that is shown, unless they are.

    Args:
        shown: the result that was made last; not this but a later event is for it while it is on its way.
        number: of the result that the browser shows.
        at: see `register_request`.
        progress: where the result is no longer in memory.
    """
    is_seen(number)
    if shown.number != number or not is_missing(FIGURES, number):
        return gr.skip()
    found = figures(shown.asked, at, progress)
    return found if has_come(FIGURES, number) else gr.skip()


def download_of_shown(
    shown: Shown,
    number: int,
    at: float,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[Any, Any]:
    """`write` of the result that is shown, for the button of the page, unless it is; that is complete then.

    The arguments are those of `figures_of_shown`.
    """
    is_seen(number)
    if shown.number != number or not is_missing(FILE, number):
        return gr.skip(), gr.skip()
    path = write(shown.asked, at, progress)
    return (download_update(path), is_complete()) if has_come(FILE, number) else (gr.skip(), gr.skip())
