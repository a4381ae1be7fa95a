"""How the page looks: texts, theme, styles, scripts, and two components of its own."""

import json
from typing import Any

import gradio as gr

from hf_denoise.imaging.formats import READ
from hf_denoise.page.components import CheckedSlider, PageImage, PictureFile
from hf_denoise.page.samples import EXAMPLES

INTRODUCTION = """# hf_denoise
Removes noise from pictures, and keeps the defects that are in them.
<span class="by-mouse">Drop a picture anywhere here, or paste one.</span>"""
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
    "places keep more than that."
)
CURVES = (
    "What is left of a defect, over its contrast. Dashed: 80 % of it is kept, and half. Shaded: scratch 2 px in four "
    "of five places."
)
PROTECT = [("Nothing", ""), ("The mask", "mask"), ("Wherever needed", "auto")]
PROTECTED = "Denoised less in these places, so that a defect there survives; noise stays with it."
KEEP = "Contrast of a scratch 2 px wide. Empty: the mask is left as it was."
AUTO = "The strongest at which 80 % of it is kept in most places."
MAP = "Red: a defect must be stronger here to survive; full red, four times as strong. No red: all parts are alike."
LIMITS = (
    "The faintest contrasts that are kept, in grey levels of 255. ≤ or >: the limit lies below or above all that were "
    "tried."
)
MANY = (
    "Several pictures, or a ZIP of them: at most 500 pictures and 2 GB. The ZIP that comes back has the same names and "
    "folders, and the table of figures as `metrics.csv`. Noise is of 255."
)
TRY = "Noise is added to a clean picture and removed again, and both are measured against it."
MODEL = "The id of a public model on the Hub that hf_denoise has saved, such as user/name. It is used for you alone."
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
#comparison, #removed, #difference { min-height: clamp(220px, 34vw, 480px); }
#removed button, #removed .image-frame, #difference button, #difference .image-frame { width: 100%; }
#removed img, #difference img { width: 100%; max-height: 480px; object-fit: contain; }
#overview img { cursor: crosshair; }
:focus-visible { outline: 3px solid var(--color-accent) !important; outline-offset: 1px; }
.tab-container :focus-visible, .gallery :focus-visible, .block :focus-visible { outline-offset: -3px; }
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
#intake { display: none; }
/* The line above a result tells the reason, and what is below this layer is still good. */
[data-testid="status-tracker"]:has(> .error) { display: none; }
.status-line .html-container { padding: 0; }
.status-line:has(p:empty), .status-line [data-testid="status-tracker"] { display: none; }
#outcome { gap: 16px; }
#outcome[inert] { opacity: 0.5; }
#difference .empty, #comparison .empty, #removed .empty { height: 100%; flex-direction: column; gap: 8px; }
#difference .empty::after { content: "To see what is still wrong, give a clean reference"; font-size: 14px;
    padding: 0 16px; text-align: center; }
@media (max-width: 800px) { #work { grid-template: "give" "shown" "adjust" / minmax(0, 1fr); } }
@media (max-width: 640px) {
    .by-mouse { display: none; }
    .tab-container button { padding: 0 5px; font-size: 13px; }
}
"""
# Gradio leaves the alternative text of these images empty.
ALTERNATIVE_TEXTS = {
    "examples": [f"Example: {example.caption}, noisy" for example in EXAMPLES],
    "originals": [f"Example: {example.caption}, clean" for example in EXAMPLES],
    "comparison": ["Before: the picture as it was given", "After: the denoised picture"],
    "removed": ["What was taken away, amplified around grey"],
    "difference": ["Difference between the result and the clean reference, amplified"],
    "overview": ["The whole picture, with a frame around the part that is shown"],
    "noisy-comparison": ["The picture with noise added", "The denoised picture"],
    "clean": ["The clean picture"],
    "webcam": ["Picture of the camera"],
    "protected": ["The picture in grey, blue where it is protected"],
    "curves": ["Share of a defect that is kept over its contrast, a curve for each kind"],
    "map": ["The picture in grey, red where a defect must be stronger to survive"],
}
# What is dropped or pasted where no field takes it goes to a hidden field, which is emptied after each use: the field
# that is seen takes no second file before the first is cleared.
SCRIPT = f"""() => {{
    const texts = {json.dumps(ALTERNATIVE_TEXTS)};
    const describe = () => Object.entries(texts).forEach(([id, alts]) =>
        document.querySelectorAll(`#${{id}} img`).forEach((img, index) => {{
            if (alts[index] && img.alt !== alts[index]) img.alt = alts[index];
        }}));
    // The line of Gradio's slider can be dragged, but not be reached by keyboard.
    const handles = () => document.querySelectorAll("#comparison .outer, #noisy-comparison .outer");
    const share = (handle) => {{
        const [line, whole] = [handle, handle.parentElement].map((part) => part.getBoundingClientRect());
        return {{x: line.x + line.width / 2, y: line.y + line.height / 2, width: whole.width,
            percent: Math.round(100 * (line.x + line.width / 2 - whole.x) / whole.width)}};
    }};
    const reach = () => handles().forEach((handle) => {{
        if (handle.tabIndex === 0) return;
        handle.tabIndex = 0;
        const told = {{role: "slider", "aria-label": "Place of the line between before and after",
            "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": share(handle).percent}};
        Object.entries(told).forEach(([name, value]) => handle.setAttribute(name, value));
        handle.addEventListener("keydown", (event) => {{
            const steps = {{ArrowLeft: -2, ArrowRight: 2, ArrowDown: -2, ArrowUp: 2, PageDown: -20, PageUp: 20,
                Home: -100, End: 100}};
            if (!(event.key in steps)) return;
            event.preventDefault();
            const {{x, y, width, percent}} = share(handle);
            const to = Math.min(Math.max(percent + steps[event.key], 0), 100);
            const mouse = (kind, target, clientX) => target.dispatchEvent(
                new MouseEvent(kind, {{bubbles: true, cancelable: true, view: window, clientX, clientY: y}}));
            mouse("mousedown", handle, x);
            mouse("mousemove", window, x + (to - percent) * width / 100);
            mouse("mouseup", window, x + (to - percent) * width / 100);
            handle.setAttribute("aria-valuenow", to);
        }});
    }});
    const tend = () => {{ describe(); reach(); }};
    new MutationObserver(tend).observe(document.body, {{childList: true, subtree: true}});
    tend();

    const take = (files) => {{
        const input = document.querySelector("#intake input[type=file]");
        if (!input || !files.length || !document.querySelector("#picture")?.offsetParent) return;
        const transfer = new DataTransfer();
        transfer.items.add(files[0]);
        input.files = transfer.files;
        input.dispatchEvent(new Event("change", {{bubbles: true}}));
    }};
    document.addEventListener("paste", (event) => take(event.clipboardData.files));
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {{
        if (event.defaultPrevented) return;
        event.preventDefault(); // or the browser would leave the page for the picture
        take(event.dataTransfer.files);
    }});
}}"""


def picture_file(label: str, elem_id: str, **props: Any) -> PictureFile:
    """A field for a picture. Not `gr.Image`: that decodes uploads itself, and no browser shows TIFF."""
    return PictureFile(label=label, elem_id=elem_id, **{"file_types": ["image", *sorted(READ)], "height": 130, **props})


def strength_slider() -> CheckedSlider:
    return CheckedSlider(0, 1, 1, step=0.05, label="Strength")


def thumbnails(paths: list[str], label: str, elem_id: str) -> gr.Dataset:
    image = gr.Image(render=False, show_label=False)
    samples = [[path] for path in paths]
    return gr.Dataset(components=[image], samples=samples, type="index", label=label, elem_id=elem_id)


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


def picture_shown(path: str | None, label: str, elem_id: str, **props: Any) -> PageImage:
    return PageImage(path, label=label, interactive=False, elem_id=elem_id, **{"buttons": ["fullscreen"], **props})
