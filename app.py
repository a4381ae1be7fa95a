"""The page: drop a picture, compare before and after, download the result in full quality.

`HF_DENOISE_MODEL` (a folder or Hub id) replaces the packaged weights; Gradio's own environment variables
(`GRADIO_SERVER_PORT`, ...) decide all about the server. What the page does is in `hf_denoise.page`.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from hf_denoise.degradations import KINDS
from hf_denoise.errors import UserError
from hf_denoise.page import looks
from hf_denoise.page.actions import (
    add_noise,
    canvas,
    denoise,
    drawn_mask,
    finish,
    go_there,
    load_model,
    look_closely,
    show,
    show_first,
)
from hf_denoise.page.batch import COLUMNS, denoise_many
from hf_denoise.page.components import PageImage, PixelView, ResultButton, ScoreList
from hf_denoise.page.models import operators_denoiser
from hf_denoise.page.samples import EXAMPLE_FOLDER, EXAMPLES
from hf_denoise.sweep import sweep

# Seconds. One that is used again is touched, which begins the hour anew.
KEPT, SWEEP_EVERY = 3600, 600
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "network"}
# Quick where the result is in memory, so that it need not wait for the network that works for somebody else.
QUICK: dict[str, Any] = {"concurrency_limit": 4}
HIDDEN: dict[str, Any] = {"api_visibility": "private"}
AT_ONCE: dict[str, Any] = {"queue": False, **HIDDEN}


def build() -> gr.Blocks:
    """The page. It opens with a result on the first and the last tab: an example of each is denoised here."""
    with gr.Blocks(title="hf_denoise: noise out, defects in", delete_cache=(SWEEP_EVERY, KEPT)) as page:
        gr.Markdown(looks.INTRODUCTION)
        model = gr.Textbox(visible=False)
        with gr.Tab("Denoise"):
            update = denoise_tab(model)
        with gr.Tab("Many images"):
            many_tab(model)
        with gr.Tab("Try it"):
            try_tab(model)
        with gr.Accordion("Model", open=False):
            with gr.Row():
                typed = gr.Textbox(label="Model on the Hub", placeholder="user/name", max_lines=1, scale=3)
                load = gr.Button("Load model", scale=1)
            in_use = gr.Markdown(looks.MODEL, elem_classes="about", elem_id="in-use")
        loaded = gr.on([load.click, typed.submit], load_model, typed, [model, in_use], **ONE_AT_A_TIME, **HIDDEN)
        update(loaded.success)
    return page


def denoise_tab(model: gr.Textbox) -> Any:
    """Lay out the first tab. Gives a function that adds an update of its results to an event."""
    pair, removed_preview, error_preview = show(None)
    result, scores = finish(None)
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            image = looks.picture_file("Picture", "picture")
            intake = looks.picture_file("Dropped or pasted", "intake")
            with gr.Row():
                run = gr.Button("Denoise", variant="primary", min_width=120)
                cancel = gr.Button("Cancel", min_width=80)
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
            examples = looks.thumbnails(
                [example.noisy for example in EXAMPLES], "Examples, with simulated noise", "examples"
            )
            with gr.Accordion("Webcam", open=False):
                webcam = PageImage(
                    sources=["webcam"],
                    type="filepath",
                    format="png",
                    show_label=False,
                    elem_id="webcam",
                    webcam_options=gr.WebcamOptions(mirror=False),
                )
            with gr.Accordion("Measure against a clean reference, or in a mask", open=False):
                reference = looks.picture_file("Clean reference", "reference")
                mask = looks.picture_file("Defect mask", "mask")
                draw = gr.Button("Draw a mask")
                with gr.Group(visible=False) as drawing:
                    editor = gr.ImageEditor(
                        label="Mask",
                        image_mode="RGBA",
                        sources=[],
                        transforms=[],
                        layers=False,
                        format="png",
                        brush=gr.Brush(default_size=8, colors=["#ff2d2d"], color_mode="fixed"),
                        elem_id="editor",
                    )
                    gr.Markdown(looks.DRAWING, elem_classes="about", padding=True)
                    use = gr.Button("Use this mask")
                gr.Markdown(looks.MEASURES, elem_classes="about")
        with gr.Column(scale=2, min_width=320):
            with gr.Tabs(elem_id="views"):
                with gr.Tab("Before | after") as whole_tab:
                    comparison = looks.slider(pair, "Before | after", 480, "comparison")
                with gr.Tab("Pixels") as pixels_tab:
                    pixels = PixelView(elem_id="pixels")
                    with gr.Row():
                        overview = looks.picture_shown(
                            None,
                            "Whole picture",
                            "overview",
                            type="filepath",
                            height=170,
                            min_width=200,
                            buttons=[],
                            show_label=False,
                        )
                        with gr.Column(min_width=200):
                            zoom = gr.Radio(
                                [(f"{times}:1", times) for times in (1, 2, 4, 8)],
                                value=2,
                                label="Zoom",
                                info="Click on the small picture to move there.",
                            )
                            across = gr.Slider(0, 100, 50, step=0.1, label="Across, percent")
                            down = gr.Slider(0, 100, 50, step=0.1, label="Down, percent")
                with gr.Tab("Removed") as removed_tab:
                    removed = looks.picture_shown(removed_preview, "Removed", "removed")
                with gr.Tab("Difference") as difference_tab:
                    difference = looks.picture_shown(
                        error_preview, "Distance to the clean reference, 4 times amplified", "difference"
                    )
            metrics = ScoreList(scores, elem_id="metrics")
            download = ResultButton("Download in full quality", value=result)
            gr.Markdown(f"{looks.REMOVED}\n\n{looks.ABOUT}\n\n{looks.PRIVACY}", elem_classes="about", elem_id="about")
    pixels_open = gr.State(False)

    what = [image, strength, reference, mask, model]
    closely: dict[str, Any] = {
        "fn": look_closely,
        "inputs": [pixels_open, image, strength, model, across, down, zoom],
        "outputs": [pixels, overview],
        "show_progress": "hidden",
        **QUICK,
        **HIDDEN,
    }
    started: list[Any] = []
    finishing: list[Any] = []

    def update(after: Any, **options: Any) -> None:
        """Show the result after an event; its file and metrics, which take longer for a large picture, follow."""
        shown = after(
            show_first,
            what,
            [comparison, removed, difference, download, metrics],
            show_progress_on=comparison,
            **{**QUICK, **HIDDEN, **options},
        )
        finished = shown.success(
            finish, what, [download, metrics], show_progress_on=metrics, trigger_mode="always_last", **QUICK, **HIDDEN
        )
        started.extend([shown, finished, shown.success(**closely)])
        finishing.append(finished)

    ran = run.click(
        denoise,
        what,
        [comparison, download, metrics, removed, difference],
        show_progress_on=comparison,
        api_name="denoise",
        **ONE_AT_A_TIME,
    )
    started += [ran, ran.success(**closely)]
    used = use.click(drawn_mask, [editor, image], mask, **QUICK, **HIDDEN)
    update(used.success)
    # Another picture: the results of the one before go first, so that none is taken for its own.
    nothing = (None,) * 7
    results = [comparison, removed, difference, download, metrics, pixels, overview]
    others = [reference, mask, *results]
    update(image.upload(lambda: nothing, None, results, **AT_ONCE).then)
    update(image.clear(lambda: (None, None, *nothing), None, others, **AT_ONCE).then)
    for field, taken in ((intake, intake.upload), (webcam, webcam.input)):
        update(taken(lambda path: (path, None, None, None, *nothing), field, [image, field, *others], **AT_ONCE).then)
    chosen = examples.click(
        lambda index: (EXAMPLES[index].noisy, None, None, *nothing), examples, [image, *others], **AT_ONCE
    )
    update(chosen.then)
    changes = [strength.change, reference.upload, reference.clear, mask.upload, mask.clear]
    gr.on(changes, None, cancels=finishing)  # of the strength before
    update(lambda *task, **options: gr.on(changes, *task, **options), trigger_mode="always_last")
    cancel.click(None, cancels=started)

    pixels_tab.select(lambda: True, None, pixels_open, **AT_ONCE).then(**closely)
    for tab in (whole_tab, removed_tab, difference_tab):
        tab.select(lambda: False, None, pixels_open, **AT_ONCE)
    gr.on([across.change, down.change, zoom.change], trigger_mode="always_last", **closely)
    overview.select(go_there, [image, zoom, overview], [across, down], **AT_ONCE)

    draw.click(lambda: gr.Group(visible=True), None, drawing, **AT_ONCE).then(canvas, image, editor, **QUICK, **HIDDEN)
    enabled_when_there(download)
    return update


def enabled_when_there(download: gr.DownloadButton) -> None:
    download.change(lambda path: gr.DownloadButton(interactive=path is not None), download, download, **AT_ONCE)


def many_tab(model: gr.Textbox) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            files = looks.picture_file(
                "Pictures or ZIP", "many", file_count="multiple", file_types=["image", ".zip"], height=200
            )
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
            with gr.Row():
                run = gr.Button("Denoise all", variant="primary", min_width=120)
                cancel = gr.Button("Cancel", min_width=80)
            gr.Markdown(f"{looks.MANY}\n\n{looks.PRIVACY}", elem_classes="about")
        with gr.Column(scale=2, min_width=320):
            download = ResultButton("Download all results", interactive=False)
            table = gr.Dataframe(
                headers=COLUMNS,
                datatype=["str", "number", "number", "number", "str"],
                interactive=False,
                wrap=True,
                column_widths=["200px", "90px", "90px", "100px", "310px"],
                elem_id="table",
                label="Figures",
            )
    ran = run.click(denoise_many, [files, strength, model], [download, table], api_name="denoise_many", **ONE_AT_A_TIME)
    cancel.click(None, cancels=ran)
    # Other pictures: no result of those before is left to be taken for theirs.
    gr.on([files.upload, files.delete, files.clear], lambda: (None, None), None, [download, table], **AT_ONCE)
    enabled_when_there(download)


def try_tab(model: gr.Textbox) -> None:
    pair, clean_preview, scores = add_noise(None)
    gr.Markdown(looks.TRY)
    with gr.Row():
        with gr.Column(min_width=320):
            original = looks.picture_file("Clean picture", "original")
        with gr.Column(min_width=320):
            kinds = [(name, kind) for kind, name in looks.KIND_NAMES.items()]
            kind = gr.Dropdown(kinds, value="gaussian", label="Noise")
            amount = gr.Slider(1, 100, 25, step=1, label=f"Strength: {KINDS['gaussian'].unit}")
        with gr.Column(min_width=320):
            originals = looks.thumbnails([example.clean for example in EXAMPLES], "Examples", "originals")
            with gr.Row():
                add = gr.Button("Add noise and denoise", variant="primary", min_width=120)
                cancel = gr.Button("Cancel", min_width=80)
    metrics = ScoreList(scores, elem_id="noisy-metrics")
    with gr.Row():
        comparison = looks.slider(pair, "Noisy | denoised", 420, "noisy-comparison")
        clean = looks.picture_shown(clean_preview, "Clean", "clean")

    task: dict[str, Any] = {
        "fn": add_noise,
        "inputs": [original, kind, amount, model],
        "outputs": [comparison, clean, metrics],
        "show_progress_on": comparison,
        **ONE_AT_A_TIME,
    }
    chosen = originals.click(lambda index: EXAMPLES[index].clean, originals, original, **AT_ONCE)
    started = [
        add.click(**task, api_name="add_noise"),
        gr.on([original.upload, original.clear], **task, **HIDDEN),
        chosen.then(**task, **HIDDEN),
    ]
    cancel.click(None, cancels=started)
    kind.input(
        lambda kind: gr.Slider(value=looks.FIRST_AMOUNTS[kind], label=f"Strength: {KINDS[kind].unit}"),
        kind,
        amount,
        **AT_ONCE,
    )


def main() -> None:
    gr.set_static_paths([EXAMPLE_FOLDER])
    try:
        operators_denoiser()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    page = build()
    sweep(Path(get_upload_folder()), KEPT, SWEEP_EVERY)
    page.launch(
        theme=looks.THEME,
        css=looks.CSS,
        js=looks.SCRIPT,
        max_file_size="200mb",
        footer_links=["api", "gradio", "settings"],
        state_session_capacity=500,  # Gradio keeps some 80 KB for each of them
        mcp_server=find_spec("mcp") is not None,  # the extra gradio[mcp], which a Space has
    )


if __name__ == "__main__":
    main()
