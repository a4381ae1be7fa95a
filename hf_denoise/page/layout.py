"""The page as a whole: three tabs and the choice of the model."""

import base64
from collections import defaultdict
from typing import Any

import gradio as gr
from gradio.exceptions import InvalidPathError
from gradio.queueing import ProcessTime

from hf_denoise.page import looks
from hf_denoise.page.denoise_tab import DenoiseTab
from hf_denoise.page.errors import Failure
from hf_denoise.page.many_tab import ManyTab
from hf_denoise.page.model_panel import model_panel
from hf_denoise.page.samples import EXAMPLE_FOLDER
from hf_denoise.page.status import note_failure
from hf_denoise.page.stop import Stopped
from hf_denoise.page.try_tab import try_tab

# Seconds that uploads and results are kept for since they were last used, and between two looks at them.
KEPT, SWEEP_EVERY = 3600, 600


OLD_INPUTS = {"denoise": (5, 7)}  # of named endpoints that have more by now


class _Unknown(defaultdict[Any, Any]):
    """Times of functions, which nobody is told."""

    def __contains__(self, _: object) -> bool:
        return False


class PageBlocks(gr.Blocks):
    """The page, with snippets that run, without guesses of how long something takes, and with a log of faults alone.

    It keeps in mind why an event failed, see `status`.
    """

    def queue(self, *args: Any, **kwargs: Any) -> Any:
        """Gradio's estimates are a mean over pictures of every size: nobody is told those."""
        page = super().queue(*args, **kwargs)
        self._queue.process_time_per_fn = _Unknown(ProcessTime)
        return page

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            return await super().process_api(*args, **kwargs)
        except Stopped:
            raise
        except gr.Error as error:
            note_failure(kwargs.get("session_hash"), error)
            raise

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        # Calls by plain HTTP that were written when an endpoint had fewer inputs: the others are at rest.
        if len(inputs) in OLD_INPUTS.get(block_fn.api_name, ()):
            inputs = [*inputs, *(field.value for field in block_fn.inputs[len(inputs) :])]
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except gr.Error as error:  # a value that a field does not take is no fault of the server
            error.print_exception = False
            raise
        except InvalidPathError:
            raise Failure("give the picture as a file that is uploaded; this page reads no others") from None

    def get_api_info(self, *args: Any, **kwargs: Any) -> Any:
        """What "Use via API" shows: what may be left out is given as it is then."""
        info = super().get_api_info(*args, **kwargs)
        for endpoint in info["named_endpoints"].values():
            for given in endpoint["parameters"]:
                if given.get("parameter_has_default"):
                    given["example_input"] = given["parameter_default"]
                    # Or the snippet in JavaScript would declare a file for each of them, all under one name.
                    given["component"] = "Optional" if given["component"] == "File" else given["component"]
        return info


def why() -> str:
    """The picture at the head of the page, with what is left of the defect in each part of it."""
    picture = base64.b64encode(EXAMPLE_FOLDER.joinpath("why.webp").read_bytes()).decode()
    parts = "".join(f"<span>{name} <b>{kept}</b></span>" for name, kept in looks.WHY.items())
    alt = "A crack in a wall under noise, after non-local means, and after hf_denoise"
    return f'<figure title="{looks.WHY_SAID}"><img src="data:image/webp;base64,{picture}" alt="{alt}">{parts}</figure>'


def build() -> gr.Blocks:
    """The page. It opens with a result on the first and the last tab: an example of each is denoised here."""
    with PageBlocks(title="hf_denoise: noise out, defects in", delete_cache=(SWEEP_EVERY, KEPT)) as page:
        with gr.Row(elem_id="head"):
            gr.Markdown(looks.INTRODUCTION)
            gr.HTML(why(), padding=False, elem_id="why")
        model = gr.Textbox(label="Model", visible=False)
        with gr.Tab("Denoise"):
            first = DenoiseTab(model)
        with gr.Tab("Many images"):
            ManyTab(model)
        with gr.Tab("Try it"):
            try_tab(model)
        for loaded in model_panel(model):
            first.follow_model(loaded)
        first.follow_address(page)
    return page
