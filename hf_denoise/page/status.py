"""The line above a result that says why it is not the one that was asked for, and the Cancel that goes with it.

The line takes what is `said` in the order of the clock of the browser, see `stop`: an answer to an earlier request that
comes late says nothing any more. Cancel is active from "working" to whatever is said next.
"""

from pathlib import Path
from typing import Any

import gradio as gr

from hf_denoise.page.components import StatusLine
from hf_denoise.page.errors import Failure
from hf_denoise.page.events import AT_ONCE, HIDDEN
from hf_denoise.page.samples import example_of
from hf_denoise.page.stop import NOW, Page, asked_at, current_page, page_of, register_request

Said = dict[str, Any]
FIGURES, FILE = "figures", "file"  # parts of a result that follow its pictures


def said(at: float | None, state: str, text: str = "") -> Said:
    """What `StatusLine` shows.

    Args:
        at: when the page asked for it, see `register_request`.
        state: working, done, cancelled or failed.
        text: a sentence; empty says nothing.
    """
    return {"at": at or 0, "state": state, "text": text}


def new_result(image: str) -> int:
    """Note that the page is about to show the result of this picture; gives its number."""
    page = current_page()
    if page is None:
        return 0
    page.results += 1
    example = example_of(image)
    name = f"the example '{example.caption}'" if example else f"'{Path(image).name}'"
    page.coming[page.results] = name, asked_at() or 0
    return page.results


def is_seen(number: int) -> None:
    """Note that the page shows the result of that number now, without the parts that follow its pictures.

    The browser says so, as what it was given earlier may reach it later.
    """
    page = current_page()
    if page and number > page.seen:
        page.seen, page.missing = number, {FIGURES, FILE}
        page.shown, page.shown_at = page.coming[number]
        if page.told_at < page.shown_at:  # else it failed after this was asked for, and stays said
            page.told = ""
        page.coming = {later: known for later, known in page.coming.items() if later > number}


def is_missing(part: str, number: int) -> bool:
    """Whether the page shows the result of that number, and it has not this part yet."""
    page = current_page()
    return page is None or (page.seen == number and part in page.missing)


def has_come(part: str, number: int) -> bool:
    """Note that a part is there; whether its result is still the one that is shown."""
    page = current_page()
    if page and page.seen == number:
        page.missing.discard(part)
    return page is None or page.seen == number


def is_complete() -> Said:
    """What the page says once a result has all its parts; what failed after it was asked for stays said.

    Of the time when it was asked for: where something newer is at work already, that stays said.
    """
    page = current_page() or Page()
    if page.told:
        return said(max(page.shown_at, page.told_at), "failed", f"{page.told} {still_shown()}")
    return said(page.shown_at, "done")


def still_shown() -> str:
    """What a page shows that got no new result."""
    page = current_page() or Page()
    if page.missing:
        return f"Only the pictures of {page.shown} are there; press Denoise for its file."
    return f"Still shown: the last result, of {page.shown or 'the first example'}."


def cancelled(at: float) -> Said:
    """Stop all work of the page, and say what it shows."""
    register_request(at, picture=True)
    return said(at, "cancelled", f"Cancelled. {still_shown()}")


def note_failure(session: str | None, error: gr.Error) -> None:
    """Keep the reason why something failed, until the page asks for it."""
    if page := page_of(session):
        page.failure = (error.asked_at if isinstance(error, Failure) else None, str(error.message))


def failed(at: float, result_stays: bool = True) -> Any:
    """What the page says after an event failed: nothing where that was stopped, as something newer took its place."""
    page = current_page()
    if page is None or page.failure is None:
        return gr.skip()
    (when, reason), page.failure = page.failure, None
    sentence = f"{reason[0].upper()}{reason[1:].rstrip('.')}."
    if result_stays:
        page.told, page.told_at = sentence, when or at
        sentence += f" {still_shown()}" if not page.missing else f" The file of {page.shown}, which is shown, follows."
    return said(when or at, "failed", sentence)


class RunStatus:
    """The line and Cancel of one button that runs one thing at a time.

    Args:
        name: begins the ids of both.
        cancelled: what is said once it was cancelled.
    """

    def __init__(self, name: str, cancelled: str):
        self.name, self.cancelled = name, cancelled
        self.at = gr.Number(visible=False)

    def lay_out_cancel(self) -> gr.Button:
        self.cancel = gr.Button("Cancel", interactive=False, min_width=80, elem_id=f"{self.name}-cancel")
        return self.cancel

    def lay_out_line(self) -> None:
        self.line = StatusLine(f"{self.name}-status", cancel=f"{self.name}-cancel")

    def begin(self, begins: list[Any]) -> None:
        """Say that work begins with these events, such as `button.click`.

        To be called before another function listens to them: the browser runs what listens to one in turn.
        """

        def working(at: float) -> Said:
            register_request(at, view=False)
            return said(at, "working")

        gr.on(begins, working, self.at, self.line, js=NOW, **AT_ONCE)

    def follow(self, ran: list[Any]) -> None:
        """Say what becomes of the events that run, as a listener gives them; Cancel stops them."""
        now: dict[str, Any] = {"js": NOW, **AT_ONCE}
        for event in ran:
            event.success(lambda at: said(at, "done"), self.at, self.line, **now)
            event.failure(lambda at: failed(at, result_stays=False), self.at, self.line, **now)
        self.cancel.click(None, cancels=ran, **HIDDEN)
        self.cancel.click(lambda at: said(at, "cancelled", self.cancelled), self.at, self.line, **now)
