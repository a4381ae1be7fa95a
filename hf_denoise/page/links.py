"""`?image=` in the address of the page: an example by its name, or an upload that is still there."""

import re
from pathlib import Path
from urllib.parse import quote

import gradio as gr
from gradio.utils import get_upload_folder

from hf_denoise.page.samples import EXAMPLES, example_of
from hf_denoise.page.stop import Stopped

UPLOAD = re.compile("[0-9a-f]{64}")  # Gradio's folder of an upload is named by its contents: nobody guesses that


def link_to(image: str) -> str:
    """The end of the address that opens the page with this picture; empty where there is none."""
    if example := example_of(image):
        return f"?image={example.name}"
    folder = Path(image).parent
    known = folder.parent == Path(get_upload_folder()) and UPLOAD.fullmatch(folder.name)
    return f"?image={folder.name}/{quote(Path(image).name)}" if known else ""


def linked_picture(request: gr.Request) -> tuple[str, None, None]:
    """The picture that the address names, without a reference and a mask.

    Raises:
        Stopped: it names none.
        gr.Error: what it names is not there any more.
    """
    name = request.query_params.get("image", "")
    if not name:
        raise Stopped()
    for example in EXAMPLES:
        if example.name == name:
            return example.noisy, None, None
    # The same contents may lie there under the names of several people.
    contents, _, own = name.partition("/")
    folder = Path(get_upload_folder()) / contents
    files = (
        [file for file in folder.iterdir() if file.name == own]
        if UPLOAD.fullmatch(contents) and folder.is_dir()
        else []
    )
    if not files:
        message = "the picture of this address is no longer here; uploads are deleted an hour after their last use"
        raise gr.Error(message, print_exception=False)
    return str(files[0]), None, None
