"""The panel below the tabs: the model in use, its card, and another one for a visitor who wants that."""

import os
from typing import Any

import gradio as gr
from huggingface_hub import ModelCard, constants

from hf_denoise.errors import UserError
from hf_denoise.hub.files import CARD, PACKAGED, checkpoint_folder
from hf_denoise.hub.ids import is_hub_id
from hf_denoise.page import looks
from hf_denoise.page.errors import shown_errors
from hf_denoise.page.events import HIDDEN, ONE_AT_A_TIME
from hf_denoise.page.models import denoiser


def model_panel(model: gr.Textbox) -> tuple[Any, ...]:
    """Lay out the panel, which puts the id of the model into `model`. Gives the events of a model being loaded."""
    presets = [(looks.OWN_MODEL, ""), *presets_of(os.environ.get("HF_DENOISE_PRESETS", ""))]
    with gr.Accordion("Model", open=False):
        preset = gr.Radio(presets, value="", label="For", visible=len(presets) > 1, elem_id="presets")
        with gr.Row():
            typed = gr.Textbox(label="Model on the Hub", placeholder="user/name", max_lines=1, scale=3)
            load = gr.Button("Load model", scale=1)
        in_use = gr.Markdown(looks.MODEL, elem_classes="about", elem_id="in-use")
        gr.Markdown(links(os.environ.get("SPACE_ID")), elem_classes="about", elem_id="links")
        with gr.Accordion("Model card: numbers, training data, licences, papers", open=False):
            card = gr.Markdown(model_card(""), elem_id="card")
    shown, options = [model, in_use, card], {**ONE_AT_A_TIME, **HIDDEN}
    # Only one of both says what is in use.
    of_hub = gr.on([load.click, typed.submit], lambda id: (*load_model(id), None), typed, [*shown, preset], **options)
    of_page = preset.input(lambda id: (*load_model(id), ""), preset, [*shown, typed], **options)
    return of_hub, of_page


def presets_of(text: str) -> list[tuple[str, str]]:
    """What the operator offers beside the model of the page: (a line on what it is for, its id on the Hub) of each.

    Args:
        text: `user/name=what it is for; user/other=what that is for`.

    Raises:
        UserError: one is no such pair.
    """
    presets = []
    for preset in filter(None, map(str.strip, text.split(";"))):
        model, _, purpose = map(str.strip, preset.partition("="))
        if not purpose or not is_hub_id(model):
            raise UserError(
                f"HF_DENOISE_PRESETS: '{preset}' is not a model and what it is for; write user/name=photographs of skin"
            )
        presets.append((purpose, model))
    return presets


def links(space: str | None) -> str:
    """Where the papers are and, on a Space, of which the Hub says the id, the code."""
    code = f" · [Code]({constants.ENDPOINT}/spaces/{space}/tree/main)" if space else ""
    return looks.PAPERS + code


def load_model(model: str) -> tuple[str, str, str]:
    """Load a model, so that a mistake in its id is told at once: (the id, a sentence, its card)."""
    with shown_errors():
        network = denoiser(model).model
        size = sum(weight.numel() for weight in network.parameters()) / 1e6
        said = f"In use: {model.strip() or 'the model of this page'}, {size:.1f} million parameters."
        return model.strip(), said, model_card(model.strip())


def model_card(model: str) -> str:
    """The card of the operator's model, in Markdown without its metadata; a link to that of a visitor's."""
    if model:
        return f"[{model}]({model if model.startswith('http') else f'{constants.ENDPOINT}/{model}'})"
    card = checkpoint_folder(os.environ.get("HF_DENOISE_MODEL") or PACKAGED) / CARD
    if not card.is_file():
        return "This model has no card."
    return str(ModelCard(card.read_text(encoding="utf-8"), ignore_metadata_errors=True).text)
