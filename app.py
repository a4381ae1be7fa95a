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

from hf_denoise.errors import UserError
from hf_denoise.noise.degradations import KINDS
from hf_denoise.page import looks
from hf_denoise.page.actions import (
    add_noise,
    canvas,
    denoise,
    drawn_mask,
    figures,
    finish,
    go_there,
    load_model,
    look_closely,
    new_picture,
    new_view,
    offer,
    offered,
    show,
)
from hf_denoise.page.batch import denoise_many
from hf_denoise.page.components import FigureTable, PageImage, PixelView, ScoreList
from hf_denoise.page.models import operators_denoiser
from hf_denoise.page.samples import EXAMPLE_FOLDER, EXAMPLES
from hf_denoise.page.stop import NOW, asked
from hf_denoise.page.sweep import sweep

# Seconds. One that is used again is touched, which begins the hour anew.
KEPT, SWEEP_EVERY = 3600, 600
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "network"}
# Quick where the result is in memory, so that it need not wait for the network that works for somebody else.
QUICK: dict[str, Any] = {"concurrency_limit": 4}
HIDDEN: dict[str, Any] = {"api_visibility": "private"}
# Gradio would drop an event that comes before the one before it is answered.
AT_ONCE: dict[str, Any] = {"queue": False, "trigger_mode": "multiple", **HIDDEN}


def build() -> gr.Blocks:
    """The page. It opens with a result on the first and the last tab: an example of each is denoised here."""
    with gr.Blocks(title="hf_denoise: noise out, defects in", delete_cache=(SWEEP_EVERY, KEPT)) as page:
        gr.Markdown(looks.INTRODUCTION)
        model = gr.Textbox(visible=False)
        with gr.Tab("Denoise"):
            with_another_model = denoise_tab(model)
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
        with_another_model(loaded)
    return page


def denoise_tab(model: gr.Textbox) -> Any:
    """Lay out the first tab. Gives a function that adds an update of its results to the loading of a model."""
    pair, removed_preview, error_preview = show(None)
    result, scores = finish(None)
    with gr.Row(elem_id="work"):
        with gr.Column(elem_id="give"):
            image = looks.picture_file("Picture", "picture")
            intake = looks.picture_file("Dropped or pasted", "intake")
            with gr.Row():
                run = gr.Button("Denoise", variant="primary", min_width=120)
                cancel = gr.Button("Cancel", min_width=80)
        with gr.Column(elem_id="shown"):
            with gr.Tabs(elem_id="views"):
                with gr.Tab("Compare") as whole_tab:
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
                with gr.Tab("Mask") as mask_tab:
                    editor = gr.ImageEditor(
                        label="Paint the defect",
                        image_mode="RGBA",
                        sources=[],
                        transforms=[],
                        layers=False,
                        format="png",
                        brush=gr.Brush(default_size=8, colors=["#ff2d2d"], color_mode="fixed"),
                        elem_id="editor",
                    )
                    use = gr.Button("Use this mask")
            download = gr.DownloadButton("Download in full quality", value=result)
            metrics = ScoreList(scores, elem_id="metrics")
            gr.Markdown(looks.REMOVED, elem_classes="about")
        with gr.Column(elem_id="adjust"):
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
            examples = looks.thumbnails(
                [example.noisy for example in EXAMPLES], "Examples, with simulated noise", "examples"
            )
            with gr.Accordion("Measure against a reference or mask", open=False):
                reference = looks.picture_file("Clean reference", "reference")
                mask = looks.picture_file("Defect mask", "mask")
                gr.Markdown(looks.MEASURES, elem_classes="about")
            with gr.Accordion("Webcam", open=False):
                webcam = PageImage(
                    sources=["webcam"],
                    type="filepath",
                    format="png",
                    show_label=False,
                    elem_id="webcam",
                    webcam_options=gr.WebcamOptions(mirror=False),
                )
    with gr.Row(elem_id="about"):
        for text in looks.ABOUT:
            gr.Markdown(text, elem_classes="about")
    open_view, drawn_on = gr.State(""), gr.State()
    at = gr.Number(visible=False)  # when the browser asked, see `NOW`

    what = [image, strength, reference, mask, model]
    closely: dict[str, Any] = {
        "fn": look_closely,
        "inputs": [open_view, image, strength, model, across, down, zoom, at],
        "outputs": [pixels, overview],
        "show_progress": "hidden",
        "js": NOW,
        **QUICK,
        **HIDDEN,
    }
    to_draw_on: dict[str, Any] = {
        "fn": canvas,
        "inputs": [open_view, image, drawn_on],
        "outputs": [editor, drawn_on],
        **QUICK,
        **HIDDEN,
    }
    started: list[Any] = []

    def update(event: Any) -> None:
        """After an event that said so: show the result; its file and its metrics, which take longer, follow."""
        options: dict[str, Any] = {"js": NOW, "trigger_mode": "multiple", **QUICK, **HIDDEN}
        shown = event.then(show, [*what, at], [comparison, removed, difference], show_progress_on=comparison, **options)
        written = shown.success(offer, [image, strength, model, at], download, **options)
        measured = shown.success(figures, [*what, at], metrics, **options)
        looked = shown.success(**closely, trigger_mode="multiple")
        started.extend([shown, written, measured, looked, shown.success(**to_draw_on, trigger_mode="multiple")])

    now: dict[str, Any] = {"js": NOW, **AT_ONCE}
    results = [download, comparison, removed, difference, metrics, pixels, overview]
    others = [reference, mask, *results]
    update(image.upload(new_picture, at, results, **now))
    update(image.clear(lambda at: (None, None, *new_picture(at)), at, others, **now))
    for field, taken in ((intake, intake.upload), (webcam, webcam.input)):
        update(
            taken(lambda path, at: (path, *(None,) * 3, *new_picture(at)), [field, at], [image, field, *others], **now)
        )
    update(
        examples.click(
            lambda index, at: (EXAMPLES[index].noisy, None, None, *new_picture(at)),
            [examples, at],
            [image, *others],
            **now,
        )
    )
    used = use.click(drawn_mask, [editor, image], mask, **QUICK, **HIDDEN)
    changes = [run.click, strength.change, reference.upload, reference.clear, mask.upload, mask.clear]
    update(gr.on(changes, new_view, at, [download, metrics], **now))
    update(used.success(new_view, at, [download, metrics], **now))
    cancel.click(None, cancels=started)
    cancel.click(lambda at: asked(at, picture=True), at, None, **now)

    for tab, view in (
        (whole_tab, ""),
        (pixels_tab, "pixels"),
        (removed_tab, ""),
        (difference_tab, ""),
        (mask_tab, "mask"),
    ):
        selected = tab.select(lambda view=view: view, None, open_view, **AT_ONCE)
        if view:
            selected.then(**(closely if view == "pixels" else to_draw_on))
    gr.on([across.change, down.change, zoom.change], trigger_mode="always_last", **closely)
    overview.select(go_there, [image, zoom, overview], [across, down], **AT_ONCE)

    # One answer with all of it, for programs. On the page the pictures come before the file.
    gr.Button(visible=False).click(
        denoise, what, [comparison, download, metrics, removed, difference], api_name="denoise", **ONE_AT_A_TIME
    )

    def with_another_model(loaded: Any) -> None:
        update(loaded.success(new_picture, at, results, **now))

    return with_another_model


def many_tab(model: gr.Textbox) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            files = looks.picture_file(
                "Pictures or ZIP", "many", file_count="multiple", file_types=["image", ".zip"], height=200
            )
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
            with gr.Row():
                run = gr.Button("Denoise all", variant="primary", min_width=120, interactive=False)
                cancel = gr.Button("Cancel", min_width=80)
        with gr.Column(scale=2, min_width=320):
            download = gr.DownloadButton("Download all results", interactive=False)
            table = FigureTable(elem_id="table")
    gr.Markdown(looks.MANY, elem_classes="about")
    ran = run.click(denoise_many, [files, strength, model], [download, table], api_name="denoise_many", **ONE_AT_A_TIME)
    ran.success(lambda: gr.DownloadButton(interactive=True), None, download, **AT_ONCE)
    cancel.click(None, cancels=ran)
    # Other pictures: no result of those before is left, or still comes, to be taken for theirs. The page itself locks
    # "Denoise all" at once until the pictures are known here, as a run begun before that would be the one stopped.
    changed = gr.on([files.upload, files.delete, files.clear], None, None, run, js=looks.LOCKED, cancels=ran, **HIDDEN)
    changed.then(
        lambda files: (offered(None), None, gr.Button(interactive=bool(files))),
        files,
        [download, table, run],
        queue=False,
        trigger_mode="always_last",  # one after the other, as the button is as the last one leaves it
        **HIDDEN,
    )


def try_tab(model: gr.Textbox) -> None:
    pair, clean_preview, scores = add_noise(None)
    gr.Markdown(looks.TRY)
    with gr.Row():
        with gr.Column(min_width=320):
            original = looks.picture_file("Clean picture", "original")
            originals = looks.thumbnails([example.clean for example in EXAMPLES], "Examples", "originals")
        with gr.Column(min_width=320):
            with gr.Group():
                kinds = [(name, kind) for kind, name in looks.KIND_NAMES.items()]
                kind = gr.Dropdown(kinds, value="gaussian", label="Noise")
                amount = gr.Slider(1, 100, 25, step=1, label=f"Strength: {KINDS['gaussian'].unit}")
            with gr.Row():
                add = gr.Button("Add noise and denoise", variant="primary", scale=3, min_width=200)
                cancel = gr.Button("Cancel", min_width=80)
    with gr.Row():
        comparison = looks.slider(pair, "Noisy | denoised", 420, "noisy-comparison")
        clean = looks.picture_shown(clean_preview, "Clean", "clean")
    metrics = ScoreList(scores, elem_id="noisy-metrics")

    results = [comparison, clean, metrics]
    task: dict[str, Any] = {
        "fn": add_noise,
        "inputs": [original, kind, amount, model],
        "outputs": results,
        "show_progress_on": comparison,
        "trigger_mode": "always_last",  # or Gradio would drop a picture that comes while another is at work
        **ONE_AT_A_TIME,
    }
    # The results of the picture before would be taken for those of this one, should it fail or be cancelled.
    given = gr.on([original.upload, original.clear], lambda: (None,) * 3, None, results, **AT_ONCE)
    chosen = originals.click(
        lambda index: (EXAMPLES[index].clean, *(None,) * 3), originals, [original, *results], **AT_ONCE
    )
    started = [
        add.click(**task, api_name="add_noise"),
        given.then(**task, **HIDDEN),
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
        _frontend=False,  # or Gradio asks itself for the page, and ends where that takes over 3 s on a busy machine
    )


if __name__ == "__main__":
    main()
