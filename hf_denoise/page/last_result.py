"""The last good result: after an error or a cancel the page goes back to it, and says what went wrong."""

from pathlib import Path
from typing import Any

import gradio as gr

from hf_denoise.page.actions import figures, show, write
from hf_denoise.page.denoise_columns import Views
from hf_denoise.page.errors import take_problem
from hf_denoise.page.events import AT_ONCE, HIDDEN, QUICK, download_update
from hf_denoise.page.views import pixel_view

CANCELLED = "Cancelled."
FIRST = (None, 1.0, None, None, None, "", None, False)  # what the page opens with


class LastResult:
    """Keeps what the last good result was asked for with, and brings that back.

    Args:
        asked: the fields that `show` takes, but the time.
        pictures: those that it gives.
        views: where the file and the metrics are shown.
    """

    def __init__(self, asked: list[Any], pictures: list[Any], views: Views, open_view: gr.State):
        self.asked, self.pictures, self.views, self.open_view = asked, pictures, views, open_view
        self.arguments = gr.State(FIRST)

    def follow(self, shown: Any) -> None:
        """After an event that showed a result, or failed to."""
        shown.success(self._keep, self.asked, [self.arguments, self.views.problem], **AT_ONCE)
        self._bring_back(shown.failure, lambda arguments: self._back(arguments, take_problem()))

    def follow_cancel(self, click: Any) -> None:
        """After a click that stopped all work."""
        self._bring_back(click, lambda arguments: self._back(arguments, CANCELLED))

    def _keep(self, *arguments: Any) -> tuple[Any, ...]:
        return arguments, gr.Markdown(value="", visible=False)

    def _bring_back(self, trigger: Any, restore: Any) -> None:
        views = self.views
        back = trigger(restore, self.arguments, [views.problem, *self.pictures], **QUICK, **HIDDEN)
        back.success(self._file_and_figures, self.arguments, [views.download, views.metrics], **QUICK, **HIDDEN)
        place = [views.across, views.down, views.zoom]
        back.success(
            self._pixels, [self.open_view, self.arguments, *place], [views.pixels, views.overview], **QUICK, **HIDDEN
        )

    def _back(self, arguments: tuple[Any, ...], problem: str | None) -> tuple[Any, ...]:
        """What went wrong, and the pictures of the last good result; nothing where no user has to know."""
        if problem is None:
            return (gr.skip(),) * (1 + len(self.pictures))
        whose = f"'{Path(arguments[0]).name}'" if arguments[0] else "the first example"
        said = f"{problem[0].upper()}{problem[1:].rstrip('.')}. What is shown is still the result of {whose}."
        return gr.Markdown(value=said, visible=True), *show(*arguments)

    def _file_and_figures(self, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
        image, strength, _, mask, model, *keeping = arguments
        return download_update(write(image, strength, mask, model, *keeping)), figures(*arguments)

    def _pixels(self, open_view: str, arguments: tuple[Any, ...], *place: Any) -> tuple[Any, Any]:
        image, strength, _, mask, model, *keeping = arguments
        return pixel_view(open_view, image, strength, mask, model, *keeping, *place)
