"""The first tab: a picture in, before and after, the views of them, the download and the metrics."""

from typing import Any

import gradio as gr

from hf_denoise.page import looks
from hf_denoise.page.actions import denoise, download_result, figures, show
from hf_denoise.page.denoise_columns import intake_column, settings_column, views_column
from hf_denoise.page.events import AT_ONCE, HIDDEN, ONE_AT_A_TIME, QUICK, emptied
from hf_denoise.page.last_result import LastResult
from hf_denoise.page.samples import EXAMPLES
from hf_denoise.page.stop import NOW, register_request
from hf_denoise.page.views import centre_view, painted_mask, picture_to_paint, pixel_view

# For `js=`: gives the function, as its last input or the last but one, how wide the view of single pixels is.
_WIDTH = "document.querySelector('#pixels .html-container > *')?.clientWidth ?? 0"
ROOM = f"(...inputs) => [...inputs.slice(0, -1), {_WIDTH}]"
ROOM_AND_NOW = f"(...inputs) => [...inputs.slice(0, -2), {_WIDTH}, performance.now()]"


class DenoiseTab:
    """The tab with its events. It opens with the first example denoised.

    Args:
        model: holds the id of the model in use.
    """

    def __init__(self, model: gr.Textbox):
        self.model = model
        with gr.Row(elem_id="work"):
            with gr.Column(elem_id="give"):
                self.intake = intake_column()
            with gr.Column(elem_id="shown"):
                self.views = views_column()
            with gr.Column(elem_id="adjust"):
                self.settings = settings_column()
        with gr.Row(elem_id="about"):
            for text in looks.ABOUT:
                gr.Markdown(text, elem_classes="about")
        self.open_view, self.painted_on = gr.State(""), gr.State()
        self.at = gr.Number(visible=False)  # when the browser asked, see `NOW`
        self.room = gr.Number(visible=False)  # for single pixels, see `ROOM`
        self.started: list[Any] = []
        views, settings = self.views, self.settings
        keeping = [settings.protect, settings.keep, settings.auto]
        self.asked = [self.intake.image, self.intake.strength, settings.reference, settings.mask, model, *keeping]
        self.to_write = [self.intake.image, self.intake.strength, settings.mask, model, *keeping]
        self.pictures = [views.comparison, views.removed, views.difference, settings.protected, settings.said]
        shown = [views.download, *self.pictures, views.metrics, views.pixels, views.overview]
        self.results = [*shown, *views.probe.findings]
        probing = [self.intake.image, self.intake.strength, model, settings.keep, settings.auto, self.at]
        self.started.append(views.probe.listen(*probing))
        self.last = LastResult(self.asked, self.pictures, views, self.open_view)
        self._take_pictures()
        self._take_settings()
        self._take_keeping()
        self.intake.cancel.click(None, cancels=self.started)
        stopped = self.intake.cancel.click(
            lambda at: register_request(at, picture=True), self.at, None, **_at_once_with_time()
        )
        self.last.follow_cancel(stopped.then)
        self._open_views()
        # One answer with all of it, for programs. On the page the pictures come before the file.
        answer = [views.comparison, views.download, views.metrics, views.removed, views.difference]
        no_contrast = gr.Number(visible=False, label="Faintest defect to keep")  # the page's own has a value
        asked = [*self.asked[:-2], no_contrast]
        gr.Button(visible=False).click(denoise, asked, answer, api_name="denoise", **ONE_AT_A_TIME)

    def follow_model(self, loaded: Any) -> None:
        """Show the result anew once another model is loaded: `loaded` is that event."""
        self._update(loaded.success(self._new_picture, self.at, self.results, **_at_once_with_time()))

    def _new_picture(self, at: float | None) -> tuple[Any, ...]:
        """Another picture: stop the work for the one before, and empty all that was said of it."""
        register_request(at, picture=True)
        return emptied(self.results)

    def _update(self, event: Any) -> None:
        """After an event that said so: show the result; its file and its metrics, which take longer, follow."""
        views = self.views
        options: dict[str, Any] = {"js": NOW, "trigger_mode": "multiple", **QUICK, **HIDDEN}
        shown = event.then(show, [*self.asked, self.at], self.pictures, show_progress_on=views.comparison, **options)
        self.last.follow(shown)
        self.started += [
            shown,
            shown.success(download_result, [*self.to_write, self.at], views.download, **options),
            shown.success(figures, [*self.asked, self.at], views.metrics, **options),
            shown.success(**self._pixel_view(), trigger_mode="multiple"),
            shown.success(**self._painting(), trigger_mode="multiple"),
        ]

    def _take_pictures(self) -> None:
        """A picture that is uploaded, dropped, pasted, photographed or chosen takes the place of the one before."""
        intake, settings, now = self.intake, self.settings, _at_once_with_time()
        others = [settings.reference, settings.mask, *self.results]
        self._update(intake.image.upload(self._new_picture, self.at, self.results, **now))
        self._update(intake.image.clear(lambda at: (None, None, *self._new_picture(at)), self.at, others, **now))
        for field, given in ((intake.dropped, intake.dropped.upload), (settings.webcam, settings.webcam.input)):
            event = given(
                lambda path, at: (path, *(None,) * 3, *self._new_picture(at)),
                [field, self.at],
                [intake.image, field, *others],
                **now,
            )
            self._update(event)
        chosen = settings.examples.click(
            lambda index, at: (EXAMPLES[index].noisy, None, None, *self._new_picture(at)),
            [settings.examples, self.at],
            [intake.image, *others],
            **now,
        )
        self._update(chosen)

    def _take_settings(self) -> None:
        """Another strength, reference or mask: the same picture is blended and measured anew.

        What was said of defects stays unless the strength is another.
        """
        views, settings = self.views, self.settings
        painted = views.use_mask.click(
            painted_mask, [views.editor, self.intake.image], settings.mask, **QUICK, **HIDDEN
        )
        changes = [self.intake.run.click]
        changes += [event for field in (settings.reference, settings.mask) for event in (field.upload, field.clear)]
        for changed in (gr.on(changes, **self._new_view()), painted.success(**self._new_view())):
            self._update(changed)
        self._update(self.intake.strength.change(**self._new_strength()))

    def _take_keeping(self) -> None:
        """What is protected, and the strength that keeps a defect."""
        settings, outdated = self.settings, [self.views.download, self.views.metrics]
        findings = self.views.probe.findings

        def new_contrast(auto: bool, at: float | None) -> tuple[Any, ...]:
            register_request(at, strength=auto)
            return *emptied(outdated), *(emptied(findings) if auto else [gr.skip()] * len(findings))

        contrast = [settings.auto, self.at]
        self._update(settings.protect.change(**self._new_view()))
        self._update(settings.keep.change(new_contrast, contrast, [*outdated, *findings], **_at_once_with_time()))
        self._update(settings.auto.change(**self._new_strength()))
        settings.auto.change(
            lambda auto: gr.Slider(interactive=not auto), settings.auto, self.intake.strength, **AT_ONCE
        )

    def _new_view(self) -> dict[str, Any]:
        """The event that the same picture is asked for in another way: its file and metrics are not those of before."""
        outdated = [self.views.download, self.views.metrics]

        def new_view(at: float | None) -> tuple[Any, ...]:
            register_request(at)
            return emptied(outdated)

        return {"fn": new_view, "inputs": self.at, "outputs": outdated, **_at_once_with_time()}

    def _new_strength(self) -> dict[str, Any]:
        """The same of another strength: nor is what was said of defects."""
        outdated = [self.views.download, self.views.metrics, *self.views.probe.findings]

        def new_strength(at: float | None) -> tuple[Any, ...]:
            register_request(at, strength=True)
            return emptied(outdated)

        return {"fn": new_strength, "inputs": self.at, "outputs": outdated, **_at_once_with_time()}

    def _open_views(self) -> None:
        """A view that is not open is not made; it is when its tab is selected."""
        views = self.views
        for name, tab in views.tabs.items():
            selected = tab.select(lambda name=name: name, None, self.open_view, **AT_ONCE)
            if name == "pixels":
                selected.then(**self._pixel_view())
            elif name == "mask":
                selected.then(**self._painting())
        moved = [views.across.change, views.down.change, views.zoom.change]
        gr.on(moved, trigger_mode="always_last", **self._pixel_view())
        views.overview.select(
            centre_view,
            [self.intake.image, views.zoom, views.overview, self.room],
            [views.across, views.down],
            js=ROOM,
            **AT_ONCE,
        )

    def _pixel_view(self) -> dict[str, Any]:
        """The event that shows single pixels, where that view is open."""
        views = self.views
        place = [views.across, views.down, views.zoom]
        return {
            "fn": pixel_view,
            "inputs": [self.open_view, *self.to_write, *place, self.room, self.at],
            "outputs": [views.pixels, views.overview],
            "show_progress": "hidden",
            "js": ROOM_AND_NOW,
            **QUICK,
            **HIDDEN,
        }

    def _painting(self) -> dict[str, Any]:
        """The event that lays out the picture to paint a mask on, where that view is open."""
        return {
            "fn": picture_to_paint,
            "inputs": [self.open_view, self.intake.image, self.painted_on],
            "outputs": [self.views.editor, self.painted_on],
            **QUICK,
            **HIDDEN,
        }


def _at_once_with_time() -> dict[str, Any]:
    return {"js": NOW, **AT_ONCE}
