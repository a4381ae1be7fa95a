"""The first tab: a picture in, before and after, the views of them, the download and the metrics."""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from hf_denoise.page import looks
from hf_denoise.page.actions import denoise, download_of_shown, figures_of_shown, show_result
from hf_denoise.page.comparison import part_of_shown
from hf_denoise.page.components import StrengthOrAuto
from hf_denoise.page.denoise_columns import intake_column, settings_column, views_column
from hf_denoise.page.events import AT_ONCE, HIDDEN, ONE_AT_A_TIME, QUICK, emptied
from hf_denoise.page.facts import facts_of
from hf_denoise.page.keeping import Shown
from hf_denoise.page.links import linked_picture
from hf_denoise.page.samples import EXAMPLES
from hf_denoise.page.saving import QUALITY
from hf_denoise.page.script import LAST_GIVEN
from hf_denoise.page.status import Said, cancelled, failed, said
from hf_denoise.page.stop import NOW, Stopped, register_request
from hf_denoise.page.views import painted_mask, picture_to_paint


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
        self.started: list[Any] = []
        views, settings = self.views, self.settings
        keeping = [settings.protect, settings.keep, settings.auto]
        beside = [settings.reference, settings.mask, model]
        further = [*settings.balance, settings.best, views.format, views.quality]
        self.asked = [self.intake.image, self.intake.strength, *beside, *keeping, *further]
        self.shown_as, self.number = gr.State(Shown()), gr.Number(0, precision=0, visible=False)
        self.pictures = [views.comparison, views.removed, views.difference, settings.protected, settings.said]
        self.status = views.status
        probing = [self.intake.image, self.intake.strength, model, settings.keep, settings.auto, settings.best, self.at]
        self.started.append(views.probe.listen(*probing))
        self._take_pictures()
        self._take_settings()
        self._take_keeping()
        self.intake.cancel.click(None, cancels=self.started)
        self.intake.cancel.click(cancelled, self.at, self.status, **_at_once_with_time())
        self._open_views()
        views.comparison.look(
            part_of_shown,
            [self.shown_as, self.at],
            views.part,
            js=NOW,
            show_progress="hidden",
            trigger_mode="always_last",
            **QUICK,
            **HIDDEN,
        )
        # One answer with all of it, for programs. On the page the pictures come before the file.
        pair = gr.ImageSlider(visible=False, label="Before | after", format="png")
        answer = [pair, views.download, views.metrics, views.removed, views.difference]
        asked = [self.asked[0], *_for_programs(self.asked[2:6])]
        gr.Button(visible=False).click(denoise, asked, answer, api_name="denoise", **ONE_AT_A_TIME)

    def follow_model(self, loaded: Any) -> None:
        """Show the result anew once another model is loaded: `loaded` is that event."""
        self._update_picture(loaded.success(_new_picture, self.at, self.status, **_at_once_with_time()))

    def follow_address(self, page: gr.Blocks) -> None:
        """Show the picture that the address names, see `links`, when the page is opened."""
        settings = self.settings
        fields = [self.intake.image, settings.reference, settings.mask]
        opened = page.load(linked_picture, None, fields, show_progress="hidden", **QUICK, **HIDDEN)
        self._update_picture(opened.success(_new_picture, self.at, self.status, **_at_once_with_time()))

    def _update_picture(self, event: Any) -> None:
        """As `_update`, for another picture or model."""
        event.success(
            facts_of,
            self.intake.image,
            self.settings.facts,
            show_progress="hidden",
            trigger_mode="always_last",
            **QUICK,
            **HIDDEN,
        )
        self._update(event, self.views.probe.findings)

    def _update(self, event: Any, outdated: Sequence[Any] = (), *, if_auto: bool = False) -> None:
        """After an event that said so: show the result; its metrics and its file follow.

        All of the result before stays until then, and for good if there is none.

        Args:
            event: of a function that registers the request.
            outdated: fields that are about another result then, beside the pictures, the metrics and the file.
            if_auto: only if the strength is chosen for a contrast.
        """
        views = self.views
        options: dict[str, Any] = {"js": NOW, "trigger_mode": "multiple", **QUICK, **HIDDEN}
        shown_as = [self.shown_as, self.number]
        shown = event.success(
            _showing(outdated, if_auto),
            [*self.asked, self.at],
            [*self.pictures, views.download, views.metrics, *shown_as, *outdated],
            show_progress_on=views.comparison,
            **options,
        )
        failure = shown.failure(failed, self.at, self.status, **_at_once_with_time())
        self.started.append(shown)
        for after in (shown.success, failure.then):  # what failed may have stopped the file of the one before
            measured = after(figures_of_shown, [*shown_as, self.at], views.metrics, **options)
            to_download = [views.download, self.status]
            written = measured.then(download_of_shown, [*shown_as, self.at], to_download, **options)
            for part in (measured, written):
                part.failure(failed, self.at, self.status, **_at_once_with_time())
            self.started += [measured, written]
        self.started.append(shown.success(**self._painting(), trigger_mode="multiple"))

    def _take_pictures(self) -> None:
        """A picture that is uploaded, dropped, pasted, photographed or chosen takes the place of the one before."""
        intake, settings, now = self.intake, self.settings, _at_once_with_time()
        others = [settings.reference, settings.mask, self.status]
        self._update_picture(intake.image.upload(_new_picture, self.at, self.status, **now))
        cleared = intake.image.clear(lambda at: (None, None, _new_picture(at)), self.at, others, **now)
        self._update_picture(cleared)
        for field, given in ((intake.dropped, intake.dropped.upload), (settings.webcam, settings.webcam.input)):
            event = given(
                _given_elsewhere,
                [field, self.at],
                [intake.image, field, *others],
                **{**now, "js": LAST_GIVEN if field is intake.dropped else NOW},
            )
            self._update_picture(event)
        chosen = settings.examples.click(
            lambda index, at: (EXAMPLES[index].noisy, None, None, _new_picture(at)),
            [settings.examples, self.at],
            [intake.image, *others],
            **now,
        )
        self._update_picture(chosen)

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
        for changed in (gr.on(changes, **self._request()), painted.success(**self._request())):
            self._update(changed)
        self._update(self.intake.strength.change(**self._request(strength=True)), views.probe.findings)
        self._update(gr.on([field.change for field in settings.balance], **self._request()))
        self._update_picture(settings.best.change(_new_picture, self.at, self.status, **_at_once_with_time()))
        self._update(gr.on([views.format.change, views.quality.change], **self._request()))
        views.format.change(lambda format: gr.Slider(visible=format == "JPEG"), views.format, views.quality, **AT_ONCE)
        settings.mask.change(_mask_said, settings.mask, views.mask_said, **AT_ONCE)

    def _take_keeping(self) -> None:
        """What is protected, and the strength that keeps a defect."""
        settings, findings = self.settings, self.views.probe.findings

        def new_contrast(auto: bool, at: float) -> Said:
            register_request(at, strength=auto)
            return said(at, "working")

        contrast = [settings.auto, self.at]
        self._update(settings.protect.change(**self._request()))
        changed = settings.keep.change(new_contrast, contrast, self.status, **_at_once_with_time())
        self._update(changed, findings, if_auto=True)
        self._update(settings.auto.change(**self._request(strength=True)), findings)
        settings.auto.change(
            lambda auto: gr.Slider(interactive=not auto), settings.auto, self.intake.strength, **AT_ONCE
        )

    def _request(self, strength: bool = False) -> dict[str, Any]:
        """The event that the same picture is asked for in another way, such as another strength."""

        def request(at: float) -> Said:
            register_request(at, strength=strength)
            return said(at, "working")

        return {"fn": request, "inputs": self.at, "outputs": self.status, **_at_once_with_time()}

    def _open_views(self) -> None:
        """A view that is not open is not made; it is when its tab is selected."""
        views = self.views
        for name, tab in views.tabs.items():
            selected = tab.select(lambda name=name: name, None, self.open_view, **AT_ONCE)
            if name == "mask":
                selected.then(**self._painting())

    def _painting(self) -> dict[str, Any]:
        """The event that lays out the picture to paint a mask on, where that view is open."""
        return {
            "fn": picture_to_paint,
            "inputs": [self.open_view, self.intake.image, self.painted_on],
            "outputs": [self.views.editor, self.painted_on],
            **QUICK,
            **HIDDEN,
        }


def _for_programs(beside: list[Any]) -> list[Any]:
    """The inputs of `denoise` after the picture. Some of the page's own take no "auto", percents, or have a value."""

    def number(value: float | None, label: str) -> gr.Number:
        return gr.Number(value, visible=False, label=label)

    strength = StrengthOrAuto(1.0, visible=False, label="Strength")
    quality = number(QUALITY, "JPEG quality")
    keep = number(None, "Faintest defect to keep")
    shares = [number(1.0, "Luminance"), number(1.0, "Color"), number(0.0, "Grain")]
    ensemble = gr.Checkbox(False, visible=False, label="Self-ensemble")
    return [strength, *beside, keep, *shares, ensemble, gr.Textbox("", visible=False, label="Format"), quality]


def _mask_said(mask: str | None) -> str:
    if not mask:
        return ""
    return f"In use: '{Path(mask).name}'. The figures inside it are below; under More it can be taken away."


def _new_picture(at: float) -> Said:
    """Another picture: stop the work for the one before."""
    register_request(at, picture=True)
    return said(at, "working")


def _given_elsewhere(path: str, at: float) -> tuple[Any, ...]:
    """A picture that was dropped, pasted or photographed, for the field that is seen; the others are emptied.

    Raises:
        Stopped: another was given before this one was here, see `LAST_GIVEN`.
    """
    if at < 0:
        raise Stopped()
    return path, None, None, None, _new_picture(at)


def _showing(outdated: Sequence[Any], if_auto: bool) -> Callable[..., Any]:
    """`show_result`, which empties what is outdated by it, see `DenoiseTab._update`."""

    @wraps(show_result)
    def showing(*asked: Any) -> tuple[Any, ...]:
        shown, auto = show_result(*asked), asked[7]
        return *shown, *(emptied(outdated) if auto or not if_auto else [gr.skip()] * len(outdated))

    return showing


def _at_once_with_time() -> dict[str, Any]:
    return {"js": NOW, **AT_ONCE}
