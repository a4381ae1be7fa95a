"""The panel below the tabs where a visitor chooses another model."""

from typing import Any

import gradio as gr

from hf_denoise.page import looks
from hf_denoise.page.errors import shown_errors
from hf_denoise.page.events import HIDDEN, ONE_AT_A_TIME
from hf_denoise.page.models import denoiser


def model_panel(model: gr.Textbox) -> Any:
    """Lay out the panel, which puts the id of the model into `model`. Gives the event of a model being loaded."""
    with gr.Accordion("Model", open=False):
        with gr.Row():
            typed = gr.Textbox(label="Model on the Hub", placeholder="user/name", max_lines=1, scale=3)
            load = gr.Button("Load model", scale=1)
        in_use = gr.Markdown(looks.MODEL, elem_classes="about", elem_id="in-use")
    return gr.on([load.click, typed.submit], load_model, typed, [model, in_use], **ONE_AT_A_TIME, **HIDDEN)


def load_model(model: str) -> tuple[str, str]:
    """Load a model, so that a mistake in its id is told at once: (the id, a sentence)."""
    with shown_errors():
        network = denoiser(model).model
        size = sum(weight.numel() for weight in network.parameters()) / 1e6
        return model.strip(), f"In use: {model.strip() or 'the model of this page'}, {size:.1f} million parameters."
