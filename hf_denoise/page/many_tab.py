"""The tab for many pictures."""

import gradio as gr

from hf_denoise.imaging.formats import READ
from hf_denoise.page import looks
from hf_denoise.page.batch import denoise_many
from hf_denoise.page.components import FigureTable
from hf_denoise.page.events import AT_ONCE, HIDDEN, ONE_AT_A_TIME, download_update
from hf_denoise.page.status import RunStatus, said
from hf_denoise.page.stop import NOW


def many_tab(model: gr.Textbox) -> None:
    """Lay out the tab; `model` holds the id of the model in use."""
    status = RunStatus("many", "Cancelled; no picture is in a ZIP yet.")
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            files = looks.picture_file(
                "Pictures or ZIP",
                "many",
                file_count="multiple",
                file_types=["image", *sorted(READ), ".zip"],
                height=200,
            )
            strength = looks.strength_slider()
            with gr.Row():
                run = gr.Button("Denoise all", variant="primary", min_width=120, interactive=False)
                status.lay_out_cancel()
        with gr.Column(scale=2, min_width=320):
            status.lay_out_line()
            download = gr.DownloadButton("Download all results", interactive=False)
            table = FigureTable(label="Figures of each picture", elem_id="table")
    gr.Markdown(looks.MANY, elem_classes="about")
    status.begin([run.click])
    ran = run.click(denoise_many, [files, strength, model], [download, table], api_name="denoise_many", **ONE_AT_A_TIME)
    ran.success(lambda: gr.DownloadButton(interactive=True), None, download, **AT_ONCE)
    status.follow([ran])
    # Other pictures: no result of those before is left, or still comes, to be taken for theirs. The page itself locks
    # "Denoise all" at once until the pictures are known here, as a run begun before that would be the one stopped.
    changed = gr.on([files.upload, files.delete, files.clear], None, None, run, js=looks.LOCKED, cancels=ran, **HIDDEN)
    changed.then(
        lambda files, at: (download_update(None), None, gr.Button(interactive=bool(files)), said(at, "done")),
        [files, status.at],
        [download, table, run, status.line],
        js=NOW,
        queue=False,
        trigger_mode="always_last",  # one after the other, as the button is as the last one leaves it
        **HIDDEN,
    )
