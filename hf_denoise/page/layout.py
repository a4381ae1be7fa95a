"""The page as a whole: three tabs and the choice of the model."""

from typing import Any

import gradio as gr

from hf_denoise.page import looks
from hf_denoise.page.denoise_tab import DenoiseTab
from hf_denoise.page.many_tab import many_tab
from hf_denoise.page.model_panel import model_panel
from hf_denoise.page.try_tab import try_tab

# Seconds that uploads and results are kept for since they were last used, and between two looks at them.
KEPT, SWEEP_EVERY = 3600, 600


OLD_INPUTS = {"denoise": 5}  # of named endpoints that have more by now


class PageBlocks(gr.Blocks):
    """Answers calls by plain HTTP, too, that were written when an endpoint had fewer inputs: the others are at rest."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        if len(inputs) == OLD_INPUTS.get(block_fn.api_name):
            inputs = [*inputs, *(field.value for field in block_fn.inputs[len(inputs) :])]
        return await super().preprocess_data(block_fn, inputs, *args, **kwargs)


def build() -> gr.Blocks:
    """The page. It opens with a result on the first and the last tab: an example of each is denoised here."""
    with PageBlocks(title="hf_denoise: noise out, defects in", delete_cache=(SWEEP_EVERY, KEPT)) as page:
        gr.Markdown(looks.INTRODUCTION)
        model = gr.Textbox(visible=False)
        with gr.Tab("Denoise"):
            first = DenoiseTab(model)
        with gr.Tab("Many images"):
            many_tab(model)
        with gr.Tab("Try it"):
            try_tab(model)
        first.follow_model(model_panel(model))
    return page
