"""How the page looks: texts, theme, styles, scripts, and two components of its own."""

import json
from typing import Any

import gradio as gr

from hf_denoise.page.components import PageImage, PictureFile
from hf_denoise.page.samples import EXAMPLES

INTRODUCTION = """# hf_denoise
Removes noise from pictures, and keeps the defects that are in them. Drop a picture anywhere here, or paste one."""
ABOUT = (
    "Trained on photographs, in colour and in grey, some with drawn or real defects, with noise of unknown strength: "
    "Gaussian noise (sigma 0 to 55), sensor noise, and simulated camera pictures. Salt and pepper and visible JPEG "
    "blocks are hardly removed, and texture as fine and faint as the noise may be smoothed with it."
)
MEASURES = (
    "PSNR and SSIM against a clean picture of the same size, and a view of the difference. With a mask, white on the "
    "defect, also inside it, and how much of the contrast of the defect is kept: 1 is all of it. A mask alone compares "
    "with the contrast in the noisy picture."
)
DRAWING = "Paint over the defect, then use the mask. It is scaled to the size of the picture."
REMOVED = (
    "Removed: what was taken away, 4 times amplified. Structure removed: 0 where that is noise alone, 1 where it is "
    "lines and shapes alone, at the place that lost most. Texture like noise does not count."
)
PRIVACY = "Uploads and results are deleted from the server about an hour after they were last used."
MANY = (
    "Several pictures, or a ZIP of them: at most 500 pictures and 2 GB. The ZIP that comes back has the same names and "
    "folders, and the table of figures as `metrics.csv`. Noise is of 255; structure is how much of it was removed, "
    "from 0 to 1."
)
TRY = "Give a clean picture: noise is added to it and removed again, and both are measured against it."
MODEL = "The id of a public model on the Hub that hf_denoise has saved, such as user/name. It is used for you alone."
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
#comparison, #removed, #difference { min-height: clamp(220px, 34vw, 480px); }
#removed button, #removed .image-frame, #difference button, #difference .image-frame { width: 100%; }
#removed img, #difference img { width: 100%; max-height: 480px; object-fit: contain; }
#overview img { cursor: crosshair; }
#metrics dl { min-height: 98px; } /* two rows, with a mask: what is below stays where it is */
@media (max-width: 640px) {
    #metrics dl { min-height: 134px; }
    .tab-container button { padding: 0 5px; font-size: 13px; }
}
.about * { font-size: 13px; color: var(--body-text-color-subdued); }
#intake { display: none; }
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
}
# What is dropped or pasted where no field takes it goes to a hidden field, which is emptied after each use: the field
# that is seen takes no second file before the first is cleared.
SCRIPT = f"""() => {{
    const texts = {json.dumps(ALTERNATIVE_TEXTS)};
    const describe = () => Object.entries(texts).forEach(([id, alts]) =>
        document.querySelectorAll(`#${{id}} img`).forEach((img, index) => {{
            if (alts[index] && img.alt !== alts[index]) img.alt = alts[index];
        }}));
    new MutationObserver(describe).observe(document.body, {{childList: true, subtree: true}});
    describe();

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
    return PictureFile(label=label, elem_id=elem_id, **{"file_types": ["image"], "height": 130, **props})


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
