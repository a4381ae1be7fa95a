"""The panel of the first tab that says which defects would survive."""

from typing import Any

import gradio as gr

from hf_denoise.page import looks
from hf_denoise.page.components import LimitTable, PageImage, StructureFigure, Verdict
from hf_denoise.page.events import HIDDEN, ONE_AT_A_TIME, QUICK
from hf_denoise.page.probe import probe, probe_on_page
from hf_denoise.page.status import RunStatus
from hf_denoise.page.stop import NOW


class ProbePanel:
    """The panel, closed. What it found is shown in `findings`, which are empty where there is none."""

    def __init__(self) -> None:
        with gr.Accordion("Would a defect survive?", open=False, elem_id="probe"):
            gr.Markdown(looks.PROBE, elem_classes="about")
            with gr.Row():
                self.run = gr.Button("Find out", variant="primary", scale=3, min_width=120)
                self.status = RunStatus("probe", "Cancelled; nothing was found out.")
                self.status.lay_out_cancel()
            self.status.lay_out_line()
            self.verdict = Verdict(label="Limits in a sentence", elem_id="verdict")
            with gr.Column(elem_id="findings"):
                with gr.Row(elem_id="probe-pictures"):
                    curves = _picture("curves", "Survival curves", looks.CURVES)
                    places = _picture("map", "Map", looks.MAP)
                gr.Markdown(looks.LIMITS, elem_classes="about")
                table = LimitTable(label="Limits of each kind", elem_id="limits")
                removed = StructureFigure(label="Structure removed", elem_id="structure")
                hits = gr.DownloadButton("Download all trials (CSV)")
        self.findings: list[Any] = [self.verdict, table, curves, places, hits, removed]

    def listen(self, image: Any, strength: Any, model: Any, keep: Any, auto: Any, best: Any, at: Any) -> Any:
        """Answer the button, and calls of the API, with what these fields hold. Gives the event of the button."""
        self.status.begin([self.run.click])
        ran = self.run.click(
            probe_on_page,
            [image, strength, model, keep, auto, best, at],
            self.findings,
            js=NOW,
            show_progress_on=self.verdict,
            trigger_mode="multiple",
            **QUICK,
            **HIDDEN,
        )
        self.status.follow([ran])
        called = gr.Button(visible=False)
        called.click(probe, [image, strength, model], self.findings, api_name="probe", **ONE_AT_A_TIME)
        return ran


def _picture(elem_id: str, label: str, caption: str) -> PageImage:
    with gr.Column(min_width=280):
        shown = looks.picture_shown(None, label, elem_id, show_label=False)
        gr.Markdown(caption, elem_classes="about")
    return shown
