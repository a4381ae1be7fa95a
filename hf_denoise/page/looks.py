"""How the page looks: texts, theme, styles, and fields that several tabs have."""

from typing import Any

import gradio as gr

from hf_denoise.imaging.formats import READ
from hf_denoise.page.components import CheckedSlider, PageImage, PictureFile

INTRODUCTION = """# hf_denoise
Removes noise from pictures, keeps the defects that are in them, and says which would not survive.
<span class="by-mouse">Drop a picture anywhere here, or paste one.</span>"""
# `python -m benchmarks --only why` makes the picture and measures how much of the contrast of the crack is left.
WHY = {"Noisy": "crack kept:", "Non-local means": "85 %", "hf_denoise": "96 %"}
WHY_SAID = "How much of the contrast of a crack is left, after a usual denoiser and after this one. Noise of 25 of 255."
ABOUT = [
    "**What it was trained on.** Photographs, in colour and in grey, some with drawn or real defects, and noise of "
    "unknown strength: Gaussian (sigma 0 to 55), of sensors, and of simulated cameras.",
    "**Where it fails.** Salt and pepper and visible JPEG blocks are hardly removed. Texture as fine and faint as the "
    "noise may go with it: ask which defects would survive before you rely on a result.",
    "**What happens to your pictures.** They and the results are deleted from the server about an hour after they were "
    "last used.",
]
MEASURES = (
    "PSNR and SSIM against a clean picture of the same size, and a view of the difference. With a mask, white on the "
    "defect, also inside it, and how much of the contrast of the defect is kept: 1 is all of it. A mask alone compares "
    "with the contrast in the noisy picture. Draw one in the view Mask."
)
PROBE = (
    "Small defects are put into a copy of the picture, and looked for in what is left after denoising: scratches, "
    "pits, cracks and stains, bright and dark, faint to strong. It takes some seconds, and no reference. Protected "
    "places keep more than that, and so does less luminance or colour noise removed; more than 100 % is not counted."
)
CURVES = (
    "What is left of a defect, over its contrast. Dashed: 80 % of it is kept, and half. Shaded: scratch 2 px in four "
    "of five places."
)
PROTECT = [("Nothing", ""), ("The mask", "mask"), ("Wherever needed", "auto")]
PROTECTED = "Denoised less in these places, so that a defect there survives; noise stays with it."
KEEP = "Contrast of a scratch 2 px wide. Empty: the mask is left as it was."
QUALITY = "A picture that came as a JPEG is never made coarser than it came."
BEST = "The mean over eight turns and flips of the picture: about 0.15 dB better, for eight times the time."
BALANCE = (
    "On top of the strength. Beyond 100 %, what is left is smoothed as well. Fine grain is luminance noise under 2 "
    "pixels: with some of it a picture looks less like plastic."
)
AUTO = "The strongest at which 80 % of it is kept in most places."
MAP = "Red: a defect must be stronger here to survive; full red, four times as strong. No red: all parts are alike."
LIMITS = (
    "The faintest contrasts that are kept, in grey levels of 255. ≤ or >: the limit lies below or above all that were "
    "tried."
)
MANY = (
    "Several pictures, or a ZIP of them: at most 500 pictures and 2 GB. The ZIP that comes back has the same names and "
    "folders, and the figures as `metrics.csv`. A row opens before and after in full; a run that was cancelled goes on "
    "where it was."
)
TRY = "Noise is added to a clean picture and removed again, and both are measured against it."
MODEL = "The id of a public model on the Hub that hf_denoise has saved, such as user/name. It is used for you alone."
PAPERS = (
    "Papers: [U-Net](https://arxiv.org/abs/1505.04597) (Ronneberger et al., 2015) · "
    "[SCSE attention](https://arxiv.org/abs/1803.02579) (Roy et al., 2018) · "
    "[ResNet](https://arxiv.org/abs/1512.03385) (He et al., 2015)"
)
OWN_MODEL = "Photographs, scans and inspection: the model of this page"
KIND_NAMES = {
    "gaussian": "Gaussian",
    "camera": "Camera (raw to JPEG)",
    "grain": "Grain (film, scans)",
    "poisson-gaussian": "Sensor (Poisson-Gaussian)",
    "speckle": "Speckle",
    "salt-pepper": "Salt and pepper",
    "jpeg": "JPEG compression",
}
FIRST_AMOUNTS = {
    "gaussian": 25,
    "camera": 8,
    "grain": 12,
    "poisson-gaussian": 25,
    "speckle": 25,
    "salt-pepper": 5,
    "jpeg": 20,
}

LOCKED = "() => ({__type__: 'update', interactive: false})"  # of a button, done by the browser alone
# A row that was opened may be far below the comparison.
TO_COMPARISON = "() => document.getElementById('opened').scrollIntoView({block: 'nearest', behavior: 'smooth'})"
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
#head { align-items: end; gap: 8px 32px; flex-wrap: wrap; }
#head > :first-child { flex: 1 1 360px; }
#why { flex: 0 0 auto !important; width: auto; }
#why figure { margin: 0; display: grid; grid-template-columns: repeat(3, 144px); gap: 2px 4px; font-size: 12px;
    line-height: 1.3; color: var(--body-text-color-subdued); }
#why img { grid-column: 1 / 4; width: 100%; margin: 0; border-radius: var(--radius-sm); }
#why span { white-space: nowrap; }
#why b { font-weight: 600; color: var(--body-text-color); }
/* The picture that is given, the result, and what can be set: in this order by keyboard and on a phone. */
#work { display: grid; gap: 16px; grid-template: "give shown" auto "adjust shown" 1fr / minmax(0, 1fr) minmax(0, 2fr); }
#give { grid-area: give; }
#shown { grid-area: shown; }
#adjust { grid-area: adjust; }
#examples > .gallery, #originals > .gallery { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); }
.gallery-item, .gallery-item span { display: block; width: 100%; }
.gallery-item .container { width: 100%; max-width: none; height: auto; aspect-ratio: 3 / 2; }
#clean button, #clean .image-frame { width: 100%; }
#clean img { width: 100%; max-height: 420px; object-fit: contain; }
:root { --frame: clamp(206px, 34vw, 480px); }
#removed, #difference { min-height: calc(var(--frame) + 46px); }
#removed button, #removed .image-frame, #difference button, #difference .image-frame { width: 100%; }
#removed img, #difference img { width: 100%; max-height: 480px; object-fit: contain; }
:focus-visible { outline: 3px solid var(--color-accent) !important; outline-offset: 1px; }
.tab-container :focus-visible, .gallery :focus-visible, .block :focus-visible { outline-offset: -3px; }
.about code { background: none !important; } /* or grey on grey is hard to read */
#metrics dl { min-height: 48px; }
/* What a probe found is there once its pictures are. */
#findings:not(:has(img)) { display: none; }
#findings, #probe-pictures { gap: 12px 16px; }
#curves button, #curves .image-frame, #map button, #map .image-frame { width: 100%; }
#curves img, #map img { width: 100%; max-height: 420px; object-fit: contain; }
#probe .html-container { padding: 0; }
#protected:not(:has(img)) { display: none; }
#protected button, #protected .image-frame, #protected img { width: 100%; }
.about * { font-size: 13px; color: var(--body-text-color-subdued); }
#about { gap: 16px 32px; flex-wrap: wrap; }
#about > * { flex: 1 1 260px; }
#intake, #original-intake { display: none; }
/* While a file is dragged over the page: where it goes. */
.file-dragged :is(#picture, #many, #original) { outline: 3px dashed var(--color-accent); outline-offset: 2px; }
#offer { position: fixed; z-index: 50; left: 50%; bottom: 16px; transform: translateX(-50%); display: flex; gap: 12px;
    flex-wrap: wrap; align-items: center; width: max-content; max-width: calc(100vw - 32px); padding: 10px 14px;
    font-size: 14px; background: var(--background-fill-primary); color: var(--body-text-color);
    box-shadow: 0 4px 16px #0005; border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg); }
#offer button { padding: 6px 12px; border-radius: var(--radius-md); background: var(--button-secondary-background-fill);
    color: var(--button-secondary-text-color); }
#offer button:first-of-type { background: var(--button-primary-background-fill);
    color: var(--button-primary-text-color); }
/* The line above a result tells the reason, and what is below this layer is still good. */
[data-testid="status-tracker"]:has(> .error) { display: none; }
:is(.status-line, #facts, #comparison, #many-comparison, #noisy-comparison, #opened, #table, #metrics, #noisy-metrics)
    .html-container { padding: 0; }
/* What is there in a moment needs no veil: of a slider there would be one at every step. */
:is(#comparison, #many-comparison, #noisy-comparison) [data-testid="status-tracker"]
    { opacity: 0; animation: veil 0.2s 0.5s forwards; }
@keyframes veil { to { opacity: 1; } }
.status-line:has(p:empty), .status-line [data-testid="status-tracker"] { display: none; }
#many-comparison:not(:has(img[src])), #opened:not(:has(p)) { display: none; }
#outcome { gap: 16px; }
#outcome[inert] { opacity: 0.5; }
#difference .empty, #removed .empty { height: 100%; flex-direction: column; gap: 8px; }
#difference .empty::after { content: "To see what is still wrong, give a clean reference"; font-size: 14px;
    padding: 0 16px; text-align: center; }
@media (max-width: 800px) { #work { grid-template: "give" "shown" "adjust" / minmax(0, 1fr); } }
@media (max-width: 640px) {
    .by-mouse, #why { display: none; } /* the result is to be in sight */
    .tab-container button { padding: 0 5px; font-size: 13px; }
}
"""


def picture_file(label: str, elem_id: str, **props: Any) -> PictureFile:
    """A field for a picture. Not `gr.Image`: that decodes uploads itself, and no browser shows TIFF."""
    return PictureFile(label=label, elem_id=elem_id, **{"file_types": ["image", *sorted(READ)], "height": 130, **props})


def strength_slider() -> CheckedSlider:
    return CheckedSlider(0, 1, 1, step=0.05, label="Strength")


def thumbnails(paths: list[str], label: str, elem_id: str) -> gr.Dataset:
    image = gr.Image(render=False, show_label=False)
    samples = [[path] for path in paths]
    return gr.Dataset(components=[image], samples=samples, type="index", label=label, elem_id=elem_id)


def picture_shown(path: str | None, label: str, elem_id: str, **props: Any) -> PageImage:
    return PageImage(path, label=label, interactive=False, elem_id=elem_id, **{"buttons": ["fullscreen"], **props})
