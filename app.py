"""The page: drop a picture, compare before and after, download the result in full quality.

`HF_DENOISE_MODEL` (a folder or Hub id) replaces the packaged weights; Gradio's own environment variables
(`GRADIO_SERVER_PORT`, ...) decide all about the server. What the page does is in `hf_denoise.page`.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from hf_denoise.errors import UserError
from hf_denoise.page import looks
from hf_denoise.page.layout import KEPT, SWEEP_EVERY, build
from hf_denoise.page.models import operators_denoiser
from hf_denoise.page.samples import EXAMPLE_FOLDER
from hf_denoise.page.script import SCRIPT
from hf_denoise.page.sweep import sweep


def main() -> None:
    gr.set_static_paths([EXAMPLE_FOLDER])
    try:
        operators_denoiser()
        page = build()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    sweep(Path(get_upload_folder()), KEPT, SWEEP_EVERY)
    page.launch(
        theme=looks.THEME,
        css=looks.CSS,
        js=SCRIPT,
        max_file_size="200mb",
        footer_links=["api", "gradio", "settings"],
        state_session_capacity=500,  # Gradio keeps some 80 KB for each of them
        mcp_server=find_spec("mcp") is not None,  # the extra gradio[mcp], which a Space has
        _frontend=False,  # or Gradio asks itself for the page, and ends where that takes over 3 s on a busy machine
    )


if __name__ == "__main__":
    main()
