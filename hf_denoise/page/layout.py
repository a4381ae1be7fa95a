"""The page as a whole: three tabs and the choice of the model."""

from typing import Any

import gradio as gr
from gradio.exceptions import InvalidPathError

from hf_denoise.page import looks
from hf_denoise.page.denoise_tab import DenoiseTab
from hf_denoise.page.errors import Failure
from hf_denoise.page.many_tab import many_tab
from hf_denoise.page.model_panel import model_panel
from hf_denoise.page.status import note_failure
from hf_denoise.page.stop import Stopped
from hf_denoise.page.try_tab import try_tab

# Seconds that uploads and results are kept for since they were last used, and between two looks at them.
KEPT, SWEEP_EVERY = 3600, 600


class PageBlocks(gr.Blocks):
    """Keeps in mind why an event failed, and mistakes of users out of the server's log."""

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            return await super().process_api(*args, **kwargs)
        except Stopped:
            raise
        except gr.Error as error:
            note_failure(kwargs.get("session_hash"), error)
            raise

    async def preprocess_data(self, *args: Any, **kwargs: Any) -> list[Any]:
        try:
            return await super().preprocess_data(*args, **kwargs)
        except gr.Error as error:  # a value that a field does not take
            error.print_exception = False
            raise
        except InvalidPathError:
            raise Failure("give the picture as a file that is uploaded; this page reads no others") from None


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
