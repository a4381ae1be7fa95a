"""The components of the page's own.

They have a module to themselves because Gradio writes a stub, `components.pyi`, beside every module with a component.
"""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr
from gradio.route_utils import API_PREFIX
from gradio.utils import get_upload_folder
from gradio_client.utils import is_http_url_like

from hf_denoise.page import templates

EXAMPLE_FILE = "noisy.png"
FILE_TYPE = "gradio.FileData"
_FOLDER = Path(__file__).resolve().parent / "browser"


def _in_browser(name: str) -> dict[str, Any]:
    """What a component runs and looks like in the browser, from its files."""
    kinds = {"html_template": "html", "css_template": "css", "js_on_load": "js"}
    return {option: _FOLDER.joinpath(f"{name}.{kind}").read_text(encoding="utf-8") for option, kind in kinds.items()}


def no_address(path: Any) -> Any:
    """The path of a file. An address is refused: Gradio would download it, of any size, for whoever calls the API.

    Not that of an upload here: it is all that an MCP client can give. It is read from the disk, nothing is fetched.
    """
    if not isinstance(path, str) or not is_http_url_like(path):
        return path
    _, marked, name = urlsplit(path).path.partition(f"{API_PREFIX}/file=")
    upload = Path(unquote(name)).resolve()
    if marked and upload.is_relative_to(Path(get_upload_folder()).resolve()) and upload.is_file():
        return str(upload)
    raise gr.Error("give the picture as a file; this page fetches no addresses", print_exception=False)


class PictureFile(gr.File):
    """A file that is uploaded."""

    is_template = True  # shown in the browser as a `gr.File`

    def example_payload(self) -> Any:
        """What the snippets of "Use via API" give: a file that their reader has, as Gradio's own is no picture."""
        file = {"path": EXAMPLE_FILE, "url": EXAMPLE_FILE, "orig_name": EXAMPLE_FILE, "meta": {"_type": FILE_TYPE}}
        return [file] if self.file_count == "multiple" else file

    async def async_move_resource_to_block_cache(self, url_or_file_path: Any) -> str | None:
        return await super().async_move_resource_to_block_cache(no_address(url_or_file_path))


class PageImage(gr.Image):
    """An image of the page. Gradio reads any path that comes without the mark of an upload: here it must be one."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        folder = Path(get_upload_folder()).resolve()
        if payload and payload.path and not Path(payload.path).resolve().is_relative_to(folder):
            raise gr.Error("give the picture as a file; this page reads uploads alone", print_exception=False)
        return super().preprocess(payload)

    async def async_move_resource_to_block_cache(self, url_or_file_path: Any) -> str | None:
        return await super().async_move_resource_to_block_cache(no_address(url_or_file_path))


class CheckedSlider(gr.Slider):
    """A slider whose number can be typed, too."""

    is_template = True

    def preprocess(self, payload: float) -> float:
        try:
            return super().preprocess(payload)
        except gr.Error:
            limits = f"between {self.minimum:g} and {self.maximum:g}"
            raise gr.Error(f"{self.label} must lie {limits}, got {payload}", print_exception=False) from None


class StrengthOrAuto(gr.Number):
    """A strength as programs give it: a number, or "auto"."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload if isinstance(payload, str) else super().preprocess(payload)

    def api_info(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "number"}, {"type": "string"}], "description": "from 0 to 1, or 'auto'"}


class StatusLine(gr.HTML):
    """Shows what is `status.said` last, activates a Cancel while something is at work, and marks `result` as old then.

    Args:
        elem_id: of the line.
        cancel, result: `elem_id` of these; an empty one is none.
    """

    TEMPLATE = """<p role="status"></p>"""
    STYLE = """
    p { margin: 0; padding: 8px 12px; font-size: 14px; border-left: 4px solid var(--color-accent);
        background: var(--background-fill-secondary); border-radius: var(--radius-sm); overflow-wrap: anywhere; }
    &[data-state=failed] p { border-color: var(--error-border-color, #dc2626); background: var(--error-background-fill);
        color: var(--body-text-color); }
    """
    ON_LOAD = """
    let last = {at: -1, state: "done", text: ""};
    const follow = () => {
        const next = props.value;
        if (next && next.state && next.at >= last.at) last = next;
        const line = element.querySelector("p"), working = last.state === "working";
        if (line.textContent !== last.text) line.textContent = last.text;
        element.dataset.state = last.state;
        const [cancel, result] = [props.cancel, props.result].map((id) => id && document.getElementById(id));
        if (cancel) cancel.disabled = !working;
        if (result) result.inert = working;
    };
    follow();
    watch("value", follow);
    """

    def __init__(self, elem_id: str | None = None, *, cancel: str = "", result: str = "", **props: Any):
        super().__init__(
            None,
            html_template=self.TEMPLATE,
            css_template=self.STYLE,
            js_on_load=self.ON_LOAD,
            padding=False,
            elem_id=elem_id,
            elem_classes="status-line",
            cancel=cancel,
            result=result,
            **props,
        )


class PictureFacts(gr.HTML):
    """Shows `facts.facts_of` the picture that was given."""

    TEMPLATE, STYLE = templates.FACTS, templates.FACTS_STYLE

    def __init__(self, value: dict[str, Any] | None = None, **props: Any):
        super().__init__(value, html_template=self.TEMPLATE, css_template=self.STYLE, padding=False, **props)


class ScoreList(gr.HTML):
    """Shows `Scores` as a row of figures."""

    TEMPLATE, STYLE = templates.SCORES, templates.SCORES_STYLE

    def __init__(self, value: list[dict[str, Any]] | None = None, **props: Any):
        super().__init__(value, html_template=self.TEMPLATE, css_template=self.STYLE, padding=False, **props)

    def api_info(self) -> dict[str, Any]:
        return {
            "type": "array",
            "items": {"type": "object"},
            "description": "name, unit, before, after, better, about and said of each",
        }


class FigureTable(gr.HTML):
    """Rows of `batch.TABLE_COLUMNS` for programs. Nothing of it is seen."""

    def __init__(self, **props: Any):
        super().__init__(None, html_template="", visible=False, **props)

    def api_info(self) -> dict[str, Any]:
        return {
            "type": "array",
            "items": {"type": "array", "items": {}},
            "description": "file, noise before and after, message",
        }


class PictureRows(gr.HTML):
    """Shows rows of `BatchRun.shown`, on a phone as cards. It triggers `look` where one is to be compared."""

    def __init__(self, **props: Any):
        super().__init__(None, **_in_browser("rows"), padding=False, **props)


class OpenedPicture(gr.HTML):
    """Shows which row stands in the comparison, see `batch_run.open_row`."""

    TEMPLATE, STYLE = templates.OPENED, templates.OPENED_STYLE

    def __init__(self, **props: Any):
        super().__init__(None, html_template=self.TEMPLATE, css_template=self.STYLE, padding=False, **props)


class Verdict(gr.HTML):
    """Shows a sentence that is to be seen first."""

    TEMPLATE, STYLE = templates.VERDICT, templates.VERDICT_STYLE

    def __init__(self, **props: Any):
        super().__init__(None, html_template=self.TEMPLATE, css_template=self.STYLE, padding=False, **props)


class LimitTable(gr.HTML):
    """Shows the rows of `probe.table_of`."""

    TEMPLATE, STYLE = templates.LIMITS, templates.LIMITS_STYLE

    def __init__(self, **props: Any):
        super().__init__(None, html_template=self.TEMPLATE, css_template=self.STYLE, padding=False, **props)

    def api_info(self) -> dict[str, Any]:
        return {
            "type": "array",
            "items": {"type": "object"},
            "description": "kind, limits in grey levels as text, share kept of the faintest, number, a90/95 of each",
        }


class StructureFigure(gr.HTML):
    """Shows how much structure was removed, and what that does not say."""

    TEMPLATE, STYLE = templates.STRUCTURE, templates.STRUCTURE_STYLE

    def __init__(self, **props: Any):
        super().__init__(None, html_template=self.TEMPLATE, css_template=self.STYLE, padding=False, **props)

    def api_info(self) -> dict[str, Any]:
        return {"type": "number", "description": "structure removed, 0 to 1"}


class Comparison(gr.HTML):
    """Before | after of one picture at any zoom, see `comparison.comparison_of` and `browser/comparison.js`.

    It triggers `look` where it needs a part of the full picture, which a `ComparisonPart` brings.
    """

    def __init__(self, value: dict[str, Any] | None = None, **props: Any):
        super().__init__(value, **_in_browser("comparison"), padding=False, **props)


class ComparisonPart(gr.HTML):
    """Takes a part of the full picture to the `Comparison` of the id `to`. Nothing of it is seen."""

    ON_LOAD = """
    const bring = () => document.querySelector(`#${props.to} .frame`)?.parentElement.takePart(props.value);
    watch("value", bring);
    """

    def __init__(self, to: str = "", **props: Any):
        super().__init__(None, html_template="", js_on_load=self.ON_LOAD, visible="hidden", to=to, **props)
