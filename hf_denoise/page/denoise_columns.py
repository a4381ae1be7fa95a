"""The three columns of the first tab: the picture that is given, the result, and what can be set."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from hf_denoise.page import looks
from hf_denoise.page.actions import figures, show, write
from hf_denoise.page.comparison import comparison_of
from hf_denoise.page.components import (
    CheckedSlider,
    Comparison,
    ComparisonPart,
    PageImage,
    PictureFacts,
    ScoreList,
    StatusLine,
)
from hf_denoise.page.facts import facts_of
from hf_denoise.page.keeping import Asked
from hf_denoise.page.probe_panel import ProbePanel
from hf_denoise.page.results import PAGE_SIDE
from hf_denoise.page.samples import EXAMPLES
from hf_denoise.page.saving import FORMATS, QUALITY


@dataclass
class Intake:
    """The column where a picture is given."""

    image: Any
    dropped: Any  # hidden; what is dropped or pasted anywhere comes through it
    run: gr.Button
    cancel: gr.Button
    strength: CheckedSlider


@dataclass
class Views:
    """The column where the result is seen."""

    status: StatusLine
    tabs: dict[str, gr.Tab]
    comparison: Comparison
    part: ComparisonPart
    removed: PageImage
    difference: PageImage
    editor: gr.ImageEditor
    use_mask: gr.Button
    mask_said: gr.Markdown
    download: gr.DownloadButton
    format: gr.Dropdown
    quality: CheckedSlider
    metrics: ScoreList
    probe: ProbePanel


@dataclass
class Settings:
    """The column where things are set."""

    facts: PictureFacts
    best: gr.Checkbox
    balance: list[CheckedSlider]  # luminance, colour and fine grain, percent
    examples: gr.Dataset
    reference: Any
    mask: Any
    webcam: PageImage
    protect: gr.Radio
    keep: gr.Number
    auto: gr.Checkbox
    said: gr.Markdown
    protected: PageImage


def intake_column() -> Intake:
    """Lay out where a picture is given."""
    image = looks.picture_file("Picture", "picture")
    dropped = looks.picture_file("Dropped or pasted", "intake")
    with gr.Row():
        run = gr.Button("Denoise", variant="primary", min_width=120)
        cancel = gr.Button("Cancel", interactive=False, min_width=80, elem_id="denoise-cancel")
    strength = looks.strength_slider()  # here, as on a phone the result comes next
    return Intake(image, dropped, run, cancel, strength)


def views_column() -> Views:
    """Lay out where the result is seen, with that of the first example."""
    pair, removed_preview, error_preview, *_ = show(Asked(), side=PAGE_SIDE)
    compared = comparison_of(Asked(), pair, gr.Progress())
    result, scores = write(Asked()), figures(Asked())
    status = StatusLine("denoise-status", cancel="denoise-cancel", result="outcome")
    with gr.Tabs(elem_id="views"):
        with gr.Tab("Compare") as compare_tab:
            comparison = Comparison(compared, elem_id="comparison")
            part = ComparisonPart("comparison")
        with gr.Tab("Removed") as removed_tab:
            removed = looks.picture_shown(removed_preview, "Taken away, 4 times amplified", "removed")
        with gr.Tab("Difference") as difference_tab:
            label = "Distance to the clean reference, 4 times amplified"
            difference = looks.picture_shown(error_preview, label, "difference")
        with gr.Tab("Mask") as mask_tab:
            editor = mask_editor()
            use_mask = gr.Button("Use this mask")
            mask_said = gr.Markdown(elem_id="mask-said")
    with gr.Column(elem_id="outcome"):
        with gr.Row():
            download = gr.DownloadButton("Download in full quality", value=result, scale=3, min_width=250)
            kinds = [("Format as it came", ""), *((name, name) for name in FORMATS)]
            label = "Format of the download"
            format = gr.Dropdown(kinds, value="", label=label, container=False, min_width=200, elem_id="format")
        quality = CheckedSlider(50, 100, QUALITY, step=1, label="JPEG quality", info=looks.QUALITY, visible=False)
        metrics = ScoreList(scores, label="Metrics", elem_id="metrics")
    probe = ProbePanel()
    tabs = {
        "compare": compare_tab,
        "removed": removed_tab,
        "difference": difference_tab,
        "mask": mask_tab,
    }
    return Views(
        status,
        tabs,
        comparison,
        part,
        removed,
        difference,
        editor,
        use_mask,
        mask_said,
        download,
        format,
        quality,
        metrics,
        probe,
    )


def mask_editor() -> gr.ImageEditor:
    return gr.ImageEditor(
        label="Paint the defect",
        image_mode="RGBA",
        sources=[],
        transforms=[],
        layers=False,
        format="png",
        brush=gr.Brush(default_size=8, colors=["#ff2d2d"], color_mode="fixed"),
        elem_id="editor",
    )


def settings_column() -> Settings:
    """Lay out where things are set."""
    facts = PictureFacts(facts_of(None), elem_id="facts")
    best = gr.Checkbox(False, label="Best quality", info=looks.BEST, elem_id="best")
    with gr.Accordion("Luminance, colour and grain", open=False, elem_id="balance"):
        luminance = CheckedSlider(0, 150, 100, step=5, label="Luminance noise removed, %")
        color = CheckedSlider(0, 150, 100, step=5, label="Colour noise removed, %")
        grain = CheckedSlider(0, 100, 0, step=5, label="Fine grain kept, %")
        gr.Markdown(looks.BALANCE, elem_classes="about")
    noisy = [example.noisy for example in EXAMPLES]
    examples = looks.thumbnails(noisy, "Examples, with simulated noise", "examples")
    with gr.Accordion("Keep defects", open=False, elem_id="keeping"):
        protect = gr.Radio(looks.PROTECT, value="", label="Protect", info=looks.PROTECTED)
        keep = gr.Number(40, label="Faintest defect to keep, grey levels", info=looks.KEEP)
        auto = gr.Checkbox(False, label="Choose the strength that keeps it", info=looks.AUTO, elem_id="auto")
        said = gr.Markdown(elem_id="said")
        protected = looks.picture_shown(None, "Protected, in blue", "protected")
    with gr.Accordion("More: reference, mask, webcam", open=False, elem_id="more"):
        reference = looks.picture_file("Clean reference", "reference")
        mask = looks.picture_file("Defect mask", "mask")
        gr.Markdown(looks.MEASURES, elem_classes="about")
        webcam = PageImage(
            sources=["webcam"],
            type="filepath",
            format="png",
            label="Webcam",
            elem_id="webcam",
            webcam_options=gr.WebcamOptions(mirror=False),
        )
    keeping = protect, keep, auto, said, protected
    return Settings(facts, best, [luminance, color, grain], examples, reference, mask, webcam, *keeping)
