"""The page as a whole: three tabs and the choice of the model."""

import gradio as gr

from hf_denoise.page import looks
from hf_denoise.page.denoise_tab import DenoiseTab
from hf_denoise.page.many_tab import many_tab
from hf_denoise.page.model_panel import model_panel
from hf_denoise.page.try_tab import try_tab

# Seconds that uploads and results are kept for since they were last used, and between two looks at them.
KEPT, SWEEP_EVERY = 3600, 600


def build() -> gr.Blocks:
    """The page. It opens with a result on the first and the last tab: an example of each is denoised here."""
    with gr.Blocks(title="hf_denoise: noise out, defects in", delete_cache=(SWEEP_EVERY, KEPT)) as page:
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
