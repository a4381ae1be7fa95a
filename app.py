"""The page: drop a picture, compare before and after, download the result in full quality.

No tensor is touched here. `HF_DENOISE_MODEL` (a folder or Hub id) replaces the packaged weights; Gradio's own
environment variables (`GRADIO_SERVER_PORT`, ...) decide all about the server.
"""

import filecmp
import json
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from numpy.typing import NDArray
from PIL import Image

from hf_denoise.degradations import KINDS, parse_degradation
from hf_denoise.errors import UserError
from hf_denoise.images import FORMATS, Picture, full_scale, read_image, to_8_bits
from hf_denoise.metrics import contrast_kept, noise_level, psnr, ssim
from hf_denoise.pipeline import Denoiser, blend_pictures
from hf_denoise.removed import difference, structure, view_picture

EXAMPLE_FOLDER = Path(__file__).resolve().parent / "examples"
PREVIEW_SIDE = 2048  # pixels; the page shows no more than this, the download has all
KEPT_RESULTS = 2  # results kept in memory, so that another strength does not run the network again

Pixels = NDArray[np.float32]
Scores = list[dict[str, Any]]


@dataclass(frozen=True)
class Example:
    """A picture in `examples/`: noisy, clean, and where there is a defect its mask."""

    name: str

    @property
    def noisy(self) -> str:
        return str(EXAMPLE_FOLDER / f"{self.name}-noisy.png")

    @property
    def clean(self) -> str:
        return str(EXAMPLE_FOLDER / f"{self.name}-clean.jpg")

    @property
    def mask(self) -> str | None:
        path = EXAMPLE_FOLDER / f"{self.name}-mask.png"
        return str(path) if path.exists() else None


EXAMPLES = [Example(name) for name in ("coffee", "cat", "wall", "astronaut")]


@cache
def denoiser() -> Denoiser:
    return Denoiser.from_pretrained(os.environ.get("HF_DENOISE_MODEL"))


# What the page can do


def denoise(
    image: str | None,
    strength: float = 1.0,
    reference: str | None = None,
    mask: str | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[tuple[str, str], str, Scores, str]:
    """Denoise a picture, and measure how much better it became and what was taken away.

    Args:
        image: picture file of any size and depth. None takes the first example; examples know their own reference.
        strength: from 0, the picture as it is, to 1, fully denoised.
        reference: clean version of the picture, of the same size, to measure PSNR and SSIM against.
        mask: picture of the same size, white where a defect is, to measure PSNR and SSIM inside it as well, and how
            much of its contrast is kept.

    Returns:
        Previews before and after: PNG, at most 2048 pixels a side.
        The result in full quality: size, format, mode and bit depth of the picture.
        Name, unit, before and after of each metric: PSNR and SSIM, or the noise level where there is no reference.
            Contrast kept: 1 is all of that of the defect in the reference, 0 is none. Structure removed, which has no
            before: 0 where noise alone was taken away, 1 where structure alone was, at the place where that is most.
        Preview of what was taken away, the picture minus the result, 4 times amplified around mid-grey: PNG.
    """
    image = image or EXAMPLES[0].noisy
    for example in EXAMPLES:
        if filecmp.cmp(example.noisy, image, shallow=False):
            reference, mask = reference or example.clean, mask or example.mask
    with shown_errors():
        before = read_image(image)
        upright = before.upright()
        clean = read_beside(reference, upright, "clean reference") if reference else None
        inside = read_beside(mask, upright, "mask").mean(axis=2) > 0.5 if mask else None
        after = blend_pictures(before, fully_denoised(image, before, progress), strength) if strength else before
        folder = new_folder()
        result = folder / f"{Path(image).stem}-denoised{extension(image, before)}"
        after.save(result)
        after = after.upright()
        pair = preview(upright, folder / "before.png"), preview(after, folder / "after.png")
        change = difference(upright, after)
        removed = preview(view_picture(change, upright), folder / "removed.png")
        scores = measure(upright.rgb, after.rgb, clean, inside)
        return pair, str(result), [*scores, score("Structure removed", "", None, structure(change))], removed


def add_noise(
    image: str | None,
    kind: str = "gaussian",
    amount: float = 25,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[tuple[str, str], str, Scores]:
    """Add noise to a clean picture, denoise it, and measure both against the clean picture.

    Args:
        image: clean picture file. None takes an example.
        kind: camera, gaussian, poisson-gaussian, speckle, salt-pepper or jpeg.
        amount: sigma on the 0 to 255 scale; percent of pixels for salt-pepper; quality for jpeg.
            A camera also changes the clean picture that is shown and measured against, by its optics and colours.

    Returns:
        Previews of the noisy and the denoised picture: PNG, at most 2048 pixels a side.
        Preview of the clean picture.
        Name, unit, before and after of PSNR and SSIM.
    """
    with shown_errors():
        picture = read_image(image or EXAMPLES[1].clean).upright()
        clean = picture.rgb.clip(0, 1)
        degraded, clean = parse_degradation(f"{kind}:{amount}").pair(clean, np.random.default_rng(0))
        noisy = to_8_bits(degraded)  # as an image file would hold it
        denoised = denoiser()(noisy, progress=tiles_shown(progress))
        folder = new_folder()
        pair = save_preview(noisy, folder / "noisy.png"), save_preview(denoised, folder / "denoised.png")
        scores = measure(noisy.astype(np.float32) / np.float32(255), denoised / np.float32(255), clean, None)
        return pair, save_preview(to_8_bits(clean), folder / "clean.png"), scores


# How it does it


@contextmanager
def shown_errors() -> Iterator[None]:
    """Turn what people can put right into a message on the page, with files named as they named them."""
    try:
        yield
    except UserError as error:
        message = re.sub(r"'[^']*[/\\]([^'/\\]+)'", r"'\1'", str(error))
        raise gr.Error(message, print_exception=False) from None
    except MemoryError:
        raise gr.Error("this picture needs more memory than the server has; try a smaller one") from None
    except OSError as error:
        raise gr.Error(f"the server could not store the result ({error.strerror}); try again later") from error


def tiles_shown(progress: gr.Progress) -> Any:
    """A progress callback of `Denoiser` that draws Gradio's progress bar."""
    return lambda done, total: progress((done, total), desc="Denoising", unit="tiles")


_results: dict[str, Picture] = {}  # by path: Gradio puts an upload into a folder named by its contents


def fully_denoised(path: str, picture: Picture, progress: gr.Progress) -> Picture:
    """The picture at strength 1; a result that is still kept does not run the network again."""
    if path not in _results:
        result = denoiser().picture(picture, progress=tiles_shown(progress))
        while len(_results) >= KEPT_RESULTS:
            del _results[next(iter(_results))]
        _results[path] = result
    return _results[path]


def read_beside(path: str, picture: Picture, role: str) -> Pixels:
    """The (H, W, 3) pixels of a file that belongs to a picture, upright, in [0, 1]."""
    other = read_image(path).upright()
    if other.header.size != picture.header.size:
        sizes = ["{} x {}".format(*each.header.size) for each in (other, picture)]
        raise UserError(
            f"the {role} '{path}' has {sizes[0]} pixels and the picture {sizes[1]}; give one of the same size"
        )
    return other.rgb.clip(0, 1)


def extension(path: str, picture: Picture) -> str:
    """The file name extension of the result: that of the upload, unless its contents say otherwise."""
    suffix = Path(path).suffix
    if FORMATS.get(suffix.lower()) == picture.header.format:
        return suffix
    return next(suffix for suffix, format in FORMATS.items() if format == picture.header.format)


def new_folder() -> Path:
    """An empty folder where Gradio serves files from, and deletes them later."""
    Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=get_upload_folder()))


def preview(picture: Picture, path: Path) -> str:
    """Save an upright picture as a PNG that every browser shows, colours as its profile says."""
    pixels = to_8_bits(picture.rgb)
    if picture.alpha is not None:
        opacity = np.rint(picture.alpha * (255 / full_scale(picture.alpha.dtype))).astype(np.uint8)
        pixels = np.dstack([pixels, opacity])
    # A profile of grey or ink does not fit the RGB that is shown.
    profile = picture.metadata.get("icc_profile") if picture.header.layout in ("RGB", "RGBA", "P") else None
    return save_preview(pixels, path, profile)


def save_preview(pixels: NDArray[np.uint8], path: Path, icc_profile: bytes | None = None) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
    image.save(path, compress_level=1, icc_profile=icc_profile)
    return str(path)


def measure(before: Pixels, after: Pixels, clean: Pixels | None, mask: NDArray[np.bool_] | None) -> Scores:
    """PSNR and SSIM of (H, W, 3) pixels against a clean reference, or the estimated noise where there is none."""
    if clean is None:
        if mask is not None:
            gr.Info("The mask is used together with a clean reference: give one to measure inside the mask.")
        return [score("Estimated noise level", "of 255", noise_level(before), noise_level(after))]
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


# How it looks

INTRODUCTION = """# hf_denoise
Removes noise from pictures, and keeps the defects that are in them."""
ABOUT = (
    "Trained on photographs, in colour and in grey, some with drawn or real defects, with noise of unknown strength: "
    "Gaussian noise (sigma 0 to 55), sensor noise, and simulated camera pictures. Salt and pepper and visible JPEG "
    "blocks are hardly removed, and texture as fine and faint as the noise may be smoothed with it."
)
MEASURES = (
    "PSNR and SSIM against a clean picture of the same size; with a mask, white on the defect, also inside it, and how "
    "much of the contrast of the defect is kept: 1 is all of it."
)
REMOVED = (
    "Removed: what was taken away, 4 times amplified. Structure removed: 0 where that is noise alone, 1 where it is "
    "lines and shapes alone, at the place that lost most. Texture like noise does not count."
)
KIND_NAMES = {
    "gaussian": "Gaussian",
    "camera": "Camera (raw to JPEG)",
    "poisson-gaussian": "Sensor (Poisson-Gaussian)",
    "speckle": "Speckle",
    "salt-pepper": "Salt and pepper",
    "jpeg": "JPEG compression",
}
FIRST_AMOUNTS = {"gaussian": 25, "camera": 8, "poisson-gaussian": 25, "speckle": 25, "salt-pepper": 5, "jpeg": 20}

THEME = gr.themes.Default(
    primary_hue="blue",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],  # fonts of the system: nothing is fetched from another host
    font_mono=["ui-monospace", "monospace"],
).set(
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    body_text_color_subdued="*neutral_500",
    body_text_color_subdued_dark="*neutral_400",
)
CSS = """
#examples > .gallery, #originals > .gallery { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); }
.gallery-item, .gallery-item span { display: block; width: 100%; }
.gallery-item .container { width: 100%; max-width: none; height: auto; aspect-ratio: 3 / 2; }
#clean button, #clean .image-frame { width: 100%; }
#clean img { width: 100%; max-height: 420px; object-fit: contain; }
#comparison, #removed { min-height: clamp(220px, 34vw, 480px); }
#removed button, #removed .image-frame { width: 100%; }
#removed img { width: 100%; max-height: 480px; object-fit: contain; }
#metrics dl { min-height: 98px; } /* two rows, with a mask: what is below stays where it is */
@media (max-width: 640px) { #metrics dl { min-height: 134px; } }
.about * { font-size: 13px; color: var(--body-text-color-subdued); }
"""
# Gradio leaves the alternative text of these images empty.
ALTERNATIVE_TEXTS = {
    "examples": [f"Example: {example.name}, noisy" for example in EXAMPLES],
    "originals": [f"Example: {example.name}, clean" for example in EXAMPLES],
    "comparison": ["Before: the picture as it was given", "After: the denoised picture"],
    "removed": ["What was taken away, amplified around grey"],
    "noisy-comparison": ["The picture with noise added", "The denoised picture"],
    "clean": ["The clean picture"],
}
SCRIPT = f"""() => {{
    const texts = {json.dumps(ALTERNATIVE_TEXTS)};
    const describe = () => Object.entries(texts).forEach(([id, alts]) =>
        document.querySelectorAll(`#${{id}} img`).forEach((img, index) => {{ img.alt = alts[index]; }}));
    new MutationObserver(describe).observe(document.body, {{childList: true, subtree: true}});
    describe();
}}"""


class ScoreList(gr.HTML):
    """Shows `Scores` as a row of figures."""

    TEMPLATE = """<dl>${(value || []).map(({name, unit, before, after}) => {
        const figure = (x) => typeof x === "number" ? x.toPrecision(3) : x;
        const from = before === null ? "" : `${figure(before)} → `;
        return `<div><dt>${name}</dt><dd>${from}<strong>${figure(after)}</strong> ${unit}</dd></div>`;
    }).join("")}</dl>"""
    STYLE = """
    dl { display: flex; flex-wrap: wrap; gap: 8px 32px; margin: 0; min-height: 44px; }
    dt { font-size: 13px; color: var(--body-text-color-subdued); }
    dd { margin: 0; font-size: 17px; font-variant-numeric: tabular-nums; }
    """

    def __init__(self, value: Scores | None = None, **props: Any):
        super().__init__(value, html_template=self.TEMPLATE, css_template=self.STYLE, **props)

    def api_info(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "object"}, "description": "name, unit, before and after of each"}


def picture_file(label: str, elem_id: str) -> gr.File:
    """A field for a picture. Not `gr.Image`: that decodes uploads itself, and no browser shows TIFF."""
    return gr.File(label=label, file_types=["image"], height=130, elem_id=elem_id)


def thumbnails(paths: list[str], elem_id: str) -> gr.Dataset:
    image = gr.Image(render=False, show_label=False)
    samples = [[path] for path in paths]
    return gr.Dataset(components=[image], samples=samples, type="index", label="Examples", elem_id=elem_id)


def slider(pair: tuple[str, str], label: str, max_height: int, elem_id: str) -> gr.ImageSlider:
    return gr.ImageSlider(
        pair,
        label=label,
        format="png",
        interactive=False,
        max_height=max_height,
        buttons=["fullscreen"],
        elem_id=elem_id,
    )


def picture_shown(path: str, label: str, elem_id: str) -> gr.Image:
    return gr.Image(path, label=label, interactive=False, buttons=["fullscreen"], elem_id=elem_id)


def build() -> gr.Blocks:
    """The page. It opens with a result on either tab: an example of each is denoised here."""
    pair, result, scores, removed_preview = denoise(None)
    noisy_pair, clean_preview, noisy_scores = add_noise(None)

    with gr.Blocks(title="hf_denoise: noise out, defects in", delete_cache=(3600, 24 * 3600)) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Tab("Denoise"), gr.Row():
            with gr.Column(scale=1, min_width=320):
                image = picture_file("Picture", "picture")
                run = gr.Button("Denoise", variant="primary")
                strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
                examples = thumbnails([example.noisy for example in EXAMPLES], "examples")
                with gr.Accordion("Measure against a clean reference", open=False):
                    reference = picture_file("Clean reference", "reference")
                    mask = picture_file("Defect mask", "mask")
                    gr.Markdown(MEASURES, elem_classes="about")
            with gr.Column(scale=2, min_width=320):
                with gr.Tabs(elem_id="views"):
                    with gr.Tab("Before | after"):
                        comparison = slider(pair, "Before | after", 480, "comparison")
                    with gr.Tab("Removed"):
                        removed = picture_shown(removed_preview, "Removed", "removed")
                metrics = ScoreList(scores, elem_id="metrics")
                download = gr.DownloadButton("Download in full quality", value=result)
                gr.Markdown(f"{REMOVED}\n\n{ABOUT}", elem_classes="about")
        with gr.Tab("Try it on a clean picture"):
            with gr.Row():
                with gr.Column(min_width=320):
                    original = picture_file("Clean picture", "original")
                with gr.Column(min_width=320):
                    kinds = [(name, kind) for kind, name in KIND_NAMES.items()]
                    kind = gr.Dropdown(kinds, value="gaussian", label="Noise")
                    amount = gr.Slider(1, 100, 25, step=1, label=f"Strength: {KINDS['gaussian'].unit}")
                with gr.Column(min_width=320):
                    originals = thumbnails([example.clean for example in EXAMPLES], "originals")
                    add = gr.Button("Add noise and denoise", variant="primary")
            noisy_metrics = ScoreList(noisy_scores, elem_id="noisy-metrics")
            with gr.Row():
                noisy_comparison = slider(noisy_pair, "Noisy | denoised", 420, "noisy-comparison")
                clean = picture_shown(clean_preview, "Clean", "clean")

        one_at_a_time: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "network"}
        hidden: dict[str, Any] = {"api_visibility": "private"}

        results = [comparison, download, metrics, removed]
        task: dict[str, Any] = {
            "fn": denoise,
            "inputs": [image, strength, reference, mask],
            "outputs": results,
            "show_progress_on": comparison,
            **one_at_a_time,
        }
        run.click(**task, api_name="denoise")
        changes = [strength.change, reference.upload, reference.clear, mask.upload, mask.clear]
        gr.on(changes, **task, **hidden, trigger_mode="always_last")
        # Another picture: the results of the one before go first, so that none is taken for its own.
        nothing = (None, None, None, None)
        image.upload(lambda: nothing, None, results, queue=False, **hidden).then(**task, **hidden)
        others = [reference, mask, *results]
        image.clear(lambda: (None, None, *nothing), None, others, queue=False, **hidden).then(**task, **hidden)
        examples.click(
            lambda index: (EXAMPLES[index].noisy, None, None, *nothing),
            examples,
            [image, *others],
            queue=False,
            **hidden,
        ).then(**task, **hidden)
        download.change(
            lambda path: gr.DownloadButton(interactive=path is not None), download, download, queue=False, **hidden
        )

        task = {
            "fn": add_noise,
            "inputs": [original, kind, amount],
            "outputs": [noisy_comparison, clean, noisy_metrics],
            "show_progress_on": noisy_comparison,
            **one_at_a_time,
        }
        add.click(**task, api_name="add_noise")
        gr.on([original.upload, original.clear], **task, **hidden)
        originals.click(lambda index: EXAMPLES[index].clean, originals, original, queue=False, **hidden).then(
            **task, **hidden
        )
        kind.input(
            lambda kind: gr.Slider(value=FIRST_AMOUNTS[kind], label=f"Strength: {KINDS[kind].unit}"),
            kind,
            amount,
            queue=False,
            **hidden,
        )
    return page


def main() -> None:
    gr.set_static_paths([EXAMPLE_FOLDER])
    try:
        denoiser()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    build().launch(theme=THEME, css=CSS, js=SCRIPT, max_file_size="200mb", footer_links=["api", "gradio", "settings"])


if __name__ == "__main__":
    main()
