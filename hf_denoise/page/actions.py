"""What the endpoints of the page do. No tensor is touched here."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hf_denoise.errors import UserError
from hf_denoise.imaging.blending import blend, blend_pictures, check_strength
from hf_denoise.imaging.images import from_pil
from hf_denoise.imaging.picture import Picture, to_8_bits
from hf_denoise.inference.removed import difference, removed_view
from hf_denoise.metrics.quality import contrast_kept, noise_level, psnr, ssim
from hf_denoise.metrics.structure import structure
from hf_denoise.noise.degradations import parse_degradation
from hf_denoise.page.models import denoiser, fully_denoised
from hf_denoise.page.results import (
    Pixels,
    Preview,
    Result,
    as_url,
    extension,
    keep_file,
    kept_result,
    new_folder,
    pair_of_previews,
    read_picture,
    result_of,
    save_previews,
    shrink,
)
from hf_denoise.page.samples import EXAMPLES, example_of
from hf_denoise.page.stop import Watch, asked

VIEW = (640, 440)  # pixels of the screen that the view of single pixels takes
OVERVIEW_SIDE = 800  # pixels; of the picture that shows where they are
MASK_SIDE = 1024  # pixels; of the picture that a mask is drawn on

Scores = list[dict[str, Any]]
Mask = NDArray[np.bool_]


def denoise(
    image: str | None,
    strength: float = 1.0,
    reference: str | None = None,
    mask: str | None = None,
    model: str | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[tuple[str, str], str, Scores, str, str | None]:
    """Denoise a picture, and measure how much better it became and what was taken away.

    Args:
        image: picture file of any size and depth. None takes the first example; examples know their own reference.
        strength: from 0, the picture as it is, to 1, fully denoised.
        reference: clean version of the picture, of the same size, to measure PSNR and SSIM against.
        mask: picture of the same size, white where a defect is, to measure how much of its contrast is kept, and with
            a reference PSNR and SSIM inside it.
        model: id of a public model on the Hub, as user/name. Empty takes the packaged one.

    Returns:
        Previews before and after: PNG, at most 2048 pixels a side.
        The result in full quality: size, format, mode and bit depth of the picture.
        Name, unit, before and after of each metric: PSNR and SSIM, or the noise level where there is no reference.
            Contrast kept: 1 is all of that of the defect in the reference, 0 is none. Structure removed, which has no
            before: 0 where noise alone was taken away, 1 where structure alone was, at the place where that is most.
        Preview of what was taken away, the picture minus the result, 4 times amplified around mid-grey: PNG.
        Preview of what is still wrong, the distance between the result and the reference, 4 times amplified: PNG, or
            none without a reference.
    """
    pair, removed, error = show(image, strength, reference, mask, model, progress=progress)
    file, scores = finish(image, strength, reference, mask, model, progress)
    return pair, file, scores, removed, error


def show(
    image: str | None,
    strength: float = 1.0,
    reference: str | None = None,
    mask: str | None = None,
    model: str | None = None,
    at: float | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[tuple[str, str], str, str | None]:
    """The pictures of `denoise`, without those things that take longer for a large picture; `at`: see `asked`."""
    asked(at)
    watch = Watch()
    with shown_errors(), new_folder() as folder:
        check_strength(strength)
        image, reference, mask = with_defaults(image, reference, mask)
        result = kept_result(image, model)
        clean = None
        if reference or mask:  # they are looked at before the network runs
            clean, _ = beside(reference, mask, result.before if result else read_picture(image).upright())
        result = result or result_of(image, model, progress)
        watch.check_view()
        before, after = (pixels.astype(np.float32) for pixels in result.small)
        after = blend(before, after, strength)
        previews = pair_of_previews(result, before, after)
        previews["removed"] = Preview(to_8_bits(removed_view(before - after)))
        if clean is not None:
            previews["difference"] = Preview(to_8_bits(4 * np.abs(after - shrink(clean))))
        paths = save_previews(previews, folder)
        watch.check_view()
        return (paths["before"], paths["after"]), paths["removed"], paths.get("difference")


def finish(
    image: str | None,
    strength: float = 1.0,
    reference: str | None = None,
    mask: str | None = None,
    model: str | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[str, Scores]:
    """The file and the metrics of `denoise`."""
    file = write(image, strength, model, progress=progress)
    return file, figures(image, strength, reference, mask, model, progress=progress)


def write(
    image: str | None,
    strength: float,
    model: str | None,
    at: float | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> str:
    """The file of `denoise`; `at`: see `asked`."""
    asked(at, view=False)
    watch = Watch()
    with shown_errors(), new_folder() as folder:
        image = image or EXAMPLES[0].noisy
        stored = blend_pictures(*result_of(image, model, progress).stored, strength)
        watch.check_view()
        path = folder / f"{Path(image).stem}-denoised{extension(image, stored)}"
        stored.save(path)
        watch.check_view()
        return str(path)


def figures(
    image: str | None,
    strength: float,
    reference: str | None,
    mask: str | None,
    model: str | None,
    at: float | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> Scores:
    """The metrics of `denoise`; `at`: see `asked`."""
    asked(at, view=False)
    watch = Watch()
    with shown_errors():
        image, reference, mask = with_defaults(image, reference, mask)
        result = result_of(image, model, progress)
        progress(0, desc="Measuring")
        clean, inside = beside(reference, mask, result.before)
        after = blend_pictures(result.before, result.after, strength)
        watch.check_view()
        scores = measure(result, after.rgb, clean, inside)
        watch.check_view()
        progress(0.5, desc="Measuring")
        change = structure(difference(result.before, after))
        watch.check_view()
        return [*scores, score("Structure removed", "", None, change)]


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
        clean = read_picture(image or EXAMPLES[1].clean).upright().rgb.clip(0, 1)
        degraded, clean = parse_degradation(f"{kind}:{amount}").pair(clean, np.random.default_rng(0))
        noisy = from_pil(Image.fromarray(to_8_bits(degraded)))  # as an image file would hold it
        denoised = fully_denoised(noisy, model, progress)
        result = Result(noisy, denoised, (noisy, denoised))
        previews = pair_of_previews(result, *(pixels.astype(np.float32) for pixels in result.small))
        paths = save_previews({**previews, "clean": Preview(to_8_bits(shrink(clean)))}, folder)
        return (paths["before"], paths["after"]), paths["clean"], measure(result, denoised.rgb, clean, None)


# What the page's own events do, and what of it is in vain once the page asks for something newer


def offered(path: str | None) -> gr.DownloadButton:
    """For a function that sets a button to download: its file, or none, which switches it off.

    In one answer. Were the button switched by an event of its own, answers to earlier ones could come after it.
    """
    return gr.DownloadButton(value=path, interactive=path is not None)


def new_picture(at: float | None) -> tuple[Any, ...]:
    """Another picture: stop the work for the one before, and take the file and these fields from the page."""
    asked(at, picture=True)
    return offered(None), *(None,) * 6


def new_view(at: float | None) -> tuple[Any, None]:
    """The same picture in another way: the file and the metrics of before are not those of it."""
    asked(at)
    return offered(None), None


def offer(
    image: str | None,
    strength: float,
    model: str | None,
    at: float,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> gr.DownloadButton:
    """`write`, for the button of the page."""
    return offered(write(image, strength, model, at, progress))


def look_closely(
    open_view: str,
    image: str | None,
    strength: float,
    model: str | None,
    across: float,
    down: float,
    zoom: int,
    at: float | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[Any, Any]:
    """A part of the full picture, before and after, every pixel of it as `zoom` x `zoom` of the screen.

    Args:
        open_view: if it is another than "pixels" nobody sees this, and nothing is done.
        image, strength, model: as in `denoise`.
        across, down: percent of the way from the left or upper end to the other.
        zoom: whole number.
        at: see `asked`.

    Returns:
        Value of a `PixelView`.
        The whole picture, small, with a frame around the part.
    """
    if open_view != "pixels":
        return gr.skip(), gr.skip()
    asked(at, view=False)
    watch = Watch()
    with shown_errors(), new_folder() as folder:
        result = result_of(image or EXAMPLES[0].noisy, model, progress)
        whole = result.before.header.size
        width, height = closely_seen(whole, zoom)
        left, top = round(across / 100 * (whole[0] - width)), round(down / 100 * (whole[1] - height))

        def part(picture: Picture) -> Picture:
            planes = tuple(plane[top : top + height, left : left + width] for plane in picture.planes)
            return picture.with_planes(planes)

        before, after = part(result.before), part(result.after)
        view = {
            "before": as_url(before),
            "after": as_url(blend_pictures(before, after, strength)),
            "width": width * zoom,
            "height": height * zoom,
            "caption": f"{width} x {height} of {whole[0]} x {whole[1]} pixels, from {left}, {top}",
        }
        overview = Image.fromarray(to_8_bits(result.small[1]))
        overview.thumbnail((OVERVIEW_SIDE, OVERVIEW_SIDE))
        scale = overview.width / whole[0]
        frame = [scale * edge for edge in (left, top, left + width, top + height)]
        ImageDraw.Draw(overview).rectangle([*frame[:2], frame[2] - 1, frame[3] - 1], outline="#2563eb", width=5)
        overview.save(folder / "overview.png")
        watch.check_view()
        return view, str(folder / "overview.png")


def closely_seen(whole: tuple[int, int], zoom: int) -> tuple[int, int]:
    """Width and height in pixels of the part that `look_closely` shows."""
    width, height = (min(-(-side // zoom), length) for side, length in zip(VIEW, whole, strict=True))
    return width, height


def go_there(image: str | None, zoom: int, overview: str, event: gr.SelectData) -> tuple[float, float]:
    """Where to look closely for the place that was clicked in the overview, see `look_closely`."""
    with shown_errors():
        whole = read_picture(image or EXAMPLES[0].noisy).upright().header.size
        with Image.open(overview) as preview:
            scale = whole[0] / preview.width
        across, down = (
            min(max(100 * (place * scale - side / 2) / max(length - side, 1), 0), 100)
            for place, side, length in zip(event.index, closely_seen(whole, zoom), whole, strict=True)
        )
        return round(across, 1), round(down, 1)


def canvas(open_view: str, image: str | None, drawn_on: str | None) -> tuple[Any, Any]:
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


def drawn_mask(drawing: dict[str, Any] | None, image: str | None) -> str:
    """What was drawn on `canvas`, as a mask file of the size of the picture: white where there is paint."""
    with shown_errors(), new_folder() as folder:
        layers = [np.asarray(layer)[..., 3] > 0 for layer in (drawing or {}).get("layers") or []]
        painted = np.any(layers, axis=0) if layers else np.zeros((1, 1), bool)
        if not painted.any():
            raise UserError("nothing is drawn yet; paint over the defect first")
        size = read_picture(image or EXAMPLES[0].noisy).upright().header.size
        mask = Image.fromarray(painted.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
        mask.save(folder / "drawn-mask.png")
        return str(folder / "drawn-mask.png")


def load_model(model: str) -> tuple[str, str]:
    """Load a model, so that a mistake in its id is told at once: (the id, a sentence)."""
    with shown_errors():
        network = denoiser(model).model
        size = sum(weight.numel() for weight in network.parameters()) / 1e6
        return model.strip(), f"In use: {model.strip() or 'the model of this page'}, {size:.1f} million parameters."


# How it does it


@contextmanager
def shown_errors(seconds: float | None = 10) -> Iterator[None]:
    """Turn what people can put right into a message on the page, with files named as they named them.

    Args:
        seconds: how long it stays. None: until it is closed, where people come back late to look.
    """
    shown = partial(gr.Error, duration=seconds)
    try:
        yield
    except UserError as error:
        raise shown(without_folders(error), print_exception=False) from None
    except MemoryError:
        raise shown("this picture needs more memory than the server has; try a smaller one") from None
    except OSError as error:
        raise shown(f"the server could not store the result ({error.strerror}); try again later") from error
    except gr.Error:
        raise
    except Exception as error:  # without a text the page would show "Error" alone; the log has the trace
        raise shown("this picture could not be denoised; save it as PNG or TIFF and try that") from error


def without_folders(error: UserError) -> str:
    """The sentence, with absolute paths cut down to the name of the file."""
    return re.sub(r"'(?:/|[A-Za-z]:)[^']*[/\\]([^'/\\]+)'", r"'\1'", str(error))


def with_defaults(image: str | None, reference: str | None, mask: str | None) -> tuple[str, str | None, str | None]:
    """The first example where there is no picture, and what belongs to an example."""
    image = image or EXAMPLES[0].noisy
    example = example_of(image)
    if example:
        reference, mask = reference or example.clean, mask or example.mask
    return image, reference, mask


def beside(reference: str | None, mask: str | None, picture: Picture) -> tuple[Pixels | None, Mask | None]:
    """The clean pixels, and where the mask is white, of files that belong to an upright picture."""
    clean = read_beside(reference, picture, "clean reference") if reference else None
    return clean, read_beside(mask, picture, "mask").mean(axis=2) > 0.5 if mask else None


def read_beside(path: str, picture: Picture, role: str) -> Pixels:
    """The (H, W, 3) pixels of a file that belongs to a picture, upright, in [0, 1]."""
    keep_file(path)
    other = read_picture(path).upright()
    if other.header.size != picture.header.size:
        sizes = ["{} x {}".format(*each.header.size) for each in (other, picture)]
        raise UserError(
            f"the {role} '{path}' has {sizes[0]} pixels and the picture {sizes[1]}; give one of the same size"
        )
    return other.rgb.clip(0, 1)


def measure(result: Result, after: Pixels, clean: Pixels | None, mask: Mask | None) -> Scores:
    """PSNR and SSIM of (H, W, 3) pixels against a clean reference, or the estimated noise where there is none."""
    before = result.before.rgb
    if clean is None:
        scores = [score("Estimated noise level", "of 255", result.noise_before, noise_level(after))]
        if mask is not None:
            # Noise averages out over a defect: the noisy picture tells its contrast nearly as well as a clean one.
            scores.append(score("Contrast kept", "of the input's", None, contrast_kept(after, before, mask)))
        return scores
    scores = []
    for where, inside in (("", None), (" in the mask", mask)):
        if inside is not None or not where:
            scores += [
                score(f"PSNR{where}", "dB", psnr(before, clean, inside), psnr(after, clean, inside)),
                score(f"SSIM{where}", "", ssim(before, clean, inside), ssim(after, clean, inside)),
            ]
    if mask is not None:
        scores.append(score("Contrast kept", "", *(contrast_kept(image, clean, mask) for image in (before, after))))
    return scores


def score(name: str, unit: str, before: float | None, after: float) -> dict[str, Any]:
    def printable(value: float) -> float | str:  # JSON has neither infinity nor NaN
        return round(value, 4) if math.isfinite(value) else "∞" if value > 0 else "n/a"

    shown = None if before is None else printable(before)
    return {"name": name, "unit": unit, "before": shown, "after": printable(after)}
