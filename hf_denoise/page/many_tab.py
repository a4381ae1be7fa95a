"""The tab for many pictures."""

from typing import Any

import gradio as gr

from hf_denoise.imaging.formats import READ
from hf_denoise.page import looks
from hf_denoise.page.batch import denoise_many
from hf_denoise.page.batch_run import begin_anew, cancel, denoise_all, finish, go_on, open_row, part_of_row
from hf_denoise.page.components import Comparison, ComparisonPart, FigureTable, OpenedPicture, PictureRows
from hf_denoise.page.events import AT_ONCE, HIDDEN, ONE_AT_A_TIME, QUICK, download_update
from hf_denoise.page.status import RunStatus, failed
from hf_denoise.page.stop import NOW


class ManyTab:
    """The tab with its events; `model` holds the id of the model in use."""

    def __init__(self, model: gr.Textbox):
        self.status = RunStatus("many", "")
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                self.files = looks.picture_file(
                    "Pictures or ZIP",
                    "many",
                    file_count="multiple",
                    file_types=["image", *sorted(READ), ".zip"],
                    height=200,
                )
                strength = looks.strength_slider()
                with gr.Row():
                    self.run = gr.Button("Denoise all", variant="primary", min_width=120, interactive=False)
                    self.status.lay_out_cancel()
                self.again = gr.Button(visible=False, elem_id="again")
            with gr.Column(scale=2, min_width=320):
                self.status.lay_out_line()
                self.download = gr.DownloadButton("Download all results", interactive=False)
                self.opened = OpenedPicture(elem_id="opened")
                self.comparison = Comparison(elem_id="many-comparison")
                self.part = ComparisonPart("many-comparison")
                self.rows = PictureRows(elem_id="table")
        gr.Markdown(looks.MANY, elem_classes="about")
        self.state, self.row = gr.State(), gr.State(0)
        self._run([self.files, strength, model])
        self._open()
        answer = [gr.DownloadButton(visible=False, label="Results"), FigureTable(label="Figures of each picture")]
        called = gr.Button(visible=False)
        called.click(denoise_many, [self.files, strength, model], answer, api_name="denoise_many", **ONE_AT_A_TIME)

    def _run(self, given: list[Any]) -> None:
        """Denoise all, go on with the rest, cancel, and begin anew with other pictures."""
        status = self.status
        now: dict[str, Any] = {"js": NOW, **QUICK, **HIDDEN}
        status.begin([self.run.click, self.again.click])
        self.run.click(lambda: download_update(None), None, self.download, **AT_ONCE)
        told = [status.line, self.rows, self.state]
        options: dict[str, Any] = {"js": NOW, "show_progress": "hidden", **ONE_AT_A_TIME, **HIDDEN}
        started: list[Any] = [
            self.run.click(denoise_all, [*given, status.at], told, **options),
            self.again.click(go_on, [self.state, status.at], told, **options),
        ]
        ended = [self.download, self.again]
        for event in started:
            event.success(finish, [self.state, status.at], [status.line, *ended], **now)
            why = event.failure(lambda at: failed(at, result_stays=False), status.at, status.line, js=NOW, **AT_ONCE)
            why.then(lambda state, at: finish(state, at)[1:], [self.state, status.at], ended, **now)
        status.cancel.click(cancel, [self.state, status.at], [status.line, *ended], **now)
        # The page itself locks "Denoise all" at once until the pictures are known here: a run would be without them.
        changed = gr.on([self.files.upload, self.files.delete, self.files.clear], None, None, self.run, js=looks.LOCKED)
        changed.then(
            begin_anew,
            [self.files, self.state, status.at],
            [self.run, status.line, *ended, self.rows, self.state, self.comparison, self.opened],
            js=NOW,
            queue=False,
            trigger_mode="always_last",  # one after the other, as the button is as the last one leaves it
            **HIDDEN,
        )

    def _open(self) -> None:
        """A row that is chosen opens in the comparison."""
        options: dict[str, Any] = {"trigger_mode": "always_last", **QUICK, **HIDDEN}
        shown = [self.comparison, self.opened, self.row]
        opened = self.rows.look(open_row, self.state, shown, show_progress_on=self.comparison, **options)
        opened.success(None, None, None, js=looks.TO_COMPARISON, **HIDDEN)
        asked = [self.state, self.row]
        self.comparison.look(part_of_row, asked, self.part, show_progress="hidden", **options)
