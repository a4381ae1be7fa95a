"""The tab that adds noise to a clean picture and takes it away again."""

from typing import Any

import gradio as gr

from hf_denoise.noise.degradations import NOISE_KINDS
from hf_denoise.page import looks
from hf_denoise.page.components import CheckedSlider, Comparison, ComparisonPart, ScoreList
from hf_denoise.page.events import AT_ONCE, HIDDEN, ONE_AT_A_TIME, QUICK
from hf_denoise.page.samples import EXAMPLES
from hf_denoise.page.status import RunStatus
from hf_denoise.page.trying import add_noise, add_noise_on_page, part_of_tried


def try_tab(model: gr.Textbox) -> None:
    """Lay out the tab, with a result; `model` holds the id of the model in use."""
    shown, clean_preview, scores = add_noise_on_page(None, "gaussian", 25, None)
    gr.Markdown(looks.TRY)
    status = RunStatus("noisy", "Cancelled; there is no result of this picture yet.")
    with gr.Row():
        with gr.Column(min_width=320):
            original = looks.picture_file("Clean picture", "original")
            dropped = looks.picture_file("Dropped or pasted", "original-intake")
            originals = looks.thumbnails([example.clean for example in EXAMPLES], "Examples", "originals")
        with gr.Column(min_width=320):
            with gr.Group():
                kinds = [(name, kind) for kind, name in looks.KIND_NAMES.items()]
                kind = gr.Dropdown(kinds, value="gaussian", label="Noise")
                amount = CheckedSlider(1, 100, 25, step=1, label=f"Strength: {NOISE_KINDS['gaussian'].unit}")
            with gr.Row():
                add = gr.Button("Add noise and denoise", variant="primary", scale=3, min_width=200)
                status.lay_out_cancel()
    status.lay_out_line()
    with gr.Row():
        with gr.Column(min_width=320):
            comparison = Comparison(shown, elem_id="noisy-comparison")
            part = ComparisonPart("noisy-comparison")
        clean = looks.picture_shown(clean_preview, "Clean", "clean")
    metrics = ScoreList(scores, label="Metrics", elem_id="noisy-metrics")

    results = [comparison, clean, metrics]
    task: dict[str, Any] = {
        "fn": add_noise_on_page,
        "inputs": [original, kind, amount, model],
        "outputs": results,
        "show_progress_on": comparison,
        "trigger_mode": "always_last",  # or Gradio would drop a picture that comes while another is at work
        **ONE_AT_A_TIME,
    }
    status.begin([add.click, original.upload, original.clear, originals.click])
    # The results of the picture before would be taken for those of this one, should it fail or be cancelled.
    given = gr.on([original.upload, original.clear], lambda: (None,) * 3, None, results, **AT_ONCE)
    given_elsewhere = dropped.upload(
        lambda path: (path, *(None,) * 4), dropped, [original, dropped, *results], **AT_ONCE
    )
    chosen = originals.click(
        lambda index: (EXAMPLES[index].clean, *(None,) * 3), originals, [original, *results], **AT_ONCE
    )
    started = [
        add.click(**task, **HIDDEN),
        given.then(**task, **HIDDEN),
        given_elsewhere.then(**task, **HIDDEN),
        chosen.then(**task, **HIDDEN),
    ]
    status.follow(started)
    kind.input(
        lambda kind: gr.Slider(value=looks.FIRST_AMOUNTS[kind], label=f"Strength: {NOISE_KINDS[kind].unit}"),
        kind,
        amount,
        **AT_ONCE,
    )
    comparison.look(part_of_tried, None, part, show_progress="hidden", trigger_mode="always_last", **QUICK, **HIDDEN)
    pair = gr.ImageSlider(visible=False, label="Noisy | denoised", format="png")
    answer = [pair, clean, metrics]
    gr.Button(visible=False).click(add_noise, task["inputs"], answer, api_name="add_noise", **ONE_AT_A_TIME)
