"""Calls that are cancelled, models that are on their way, and work that is not done twice."""

import os
import re
import shutil
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio.context import LocalContext
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from page_server import (
    ROOT,
    Server,
    cpu_seconds,
    wait_until_idle,
)

from hf_denoise.errors import UserError
from hf_denoise.imaging.picture import Picture
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.page import models, results
from hf_denoise.page.actions import denoise
from hf_denoise.page.stop import Stopped, Watch

pytestmark = pytest.mark.slow


def test_a_cancelled_call_stops_and_leaves_nothing(client: Client, server: Server, pictures: Path) -> None:
    wait_until_idle(server, 10)
    job = client.submit(handle_file(pictures / "large.png"), api_name="/denoise")
    for _ in range(100):
        if cpu_seconds(server, 0.5) > 0.1 and job.status().progress_data:
            break
    job.cancel()
    wait_until_idle(server, 20)
    assert not list((server.folder / "gradio").rglob("large-denoised*"))
    assert "Traceback" not in server.log()


def test_work_that_begins_after_it_was_cancelled_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the network becomes free in the moment of the cancel: nobody would wait for the whole picture."""
    page = gr.Blocks()
    wanted, left = SimpleNamespace(_id="wanted", alive=True), SimpleNamespace(_id="left", alive=False)
    monkeypatch.setattr(page._queue, "active_jobs", [None, [wanted], [left]])

    def begin(event_id: str) -> None:
        LocalContext.blocks.set(page)
        LocalContext.event_id.set(event_id)
        Watch().check()

    copy_context().run(begin, "wanted")
    for event_id in ("left", "cancelled"):
        with pytest.raises(Stopped):
            copy_context().run(begin, event_id)


@pytest.mark.parametrize("model", ["examples/..", "hf_denoise/checkpoints", "name", "/etc/passwd", "a/b/c", "../a"])
def test_a_visitor_cannot_name_a_folder(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=re.escape(f"'{model}' is not the id of a model on the Hub")):
        models.denoiser(model)


def test_an_unknown_model_is_one_sentence(client: Client, pictures: Path, hub) -> None:
    with pytest.raises(AppError, match="there is no public model 'ada/missing' on the Hub"):
        client.predict(handle_file(pictures / "noisy.png"), model="ada/missing", api_name="/denoise")


class SlowHub:
    """In the place of the Hub: of the models that visitors name, those in `slow` come when `arrives` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slow: set[str] = set()
        self.asked = {name: threading.Event() for name in ("ada/one", "ada/two", "ada/three", "ada/four")}
        self.arrives = threading.Event()
        self.model = DenoisingUNet(
            encoder="resnet10t", encoder_levels=2, decoder_channels=(8, 8), decoder_depths=(1, 0)
        )
        models.operators_denoiser()
        monkeypatch.setattr(models, "_visitors_models", OrderedDict())
        monkeypatch.setattr(models, "_check_size", lambda model: None)
        monkeypatch.setattr(models, "DenoisingUNet", SimpleNamespace(from_pretrained=self.fetch))

    def fetch(self, name: str, token: bool) -> DenoisingUNet:
        self.asked[name].set()
        if name in self.slow:
            assert self.arrives.wait(60)
        return self.model


def test_a_model_on_its_way_holds_up_nobody_else(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, picture = SlowHub(monkeypatch), results.read_picture(pictures / "noisy.png")
    models.denoiser("ada/one")
    hub.slow.add("ada/two")
    with ThreadPoolExecutor(2) as at_once:
        slow = at_once.submit(models.denoiser, "ada/two")
        try:
            assert hub.asked["ada/two"].wait(30)
            for model in ("ada/one", None):
                at_once.submit(models.fully_denoised, picture, model, gr.Progress()).result(30)
        finally:
            hub.arrives.set()
        slow.result(30)


def test_a_model_dropped_while_its_visitor_waits_is_fetched_again_and_holds_up_nobody_else(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, picture = SlowHub(monkeypatch), results.read_picture(pictures / "noisy.png")
    with ThreadPoolExecutor(2) as at_once:
        with models._network.turn():
            waits = at_once.submit(models.fully_denoised, picture, "ada/one", gr.Progress())
            assert hub.asked["ada/one"].wait(30)
            for name in ("ada/two", "ada/three", "ada/four"):
                models.denoiser(name)
            hub.slow.add("ada/one")
            hub.asked["ada/one"].clear()
        try:
            assert hub.asked["ada/one"].wait(30)
            at_once.submit(models.fully_denoised, picture, None, gr.Progress()).result(30)
        finally:
            hub.arrives.set()
        assert waits.result(30).header == picture.header


def test_another_strength_does_not_run_the_network_again(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = str(shutil.copy(pictures / "noisy.png", tmp_path / "once.png"))
    runs = []
    run = Denoiser.picture

    def counted(self: Denoiser, *args: Any, **kwargs: Any) -> Picture:
        runs.append(1)
        return run(self, *args, **kwargs)

    monkeypatch.setattr(Denoiser, "picture", counted)
    with ThreadPoolExecutor(3) as at_once:  # while the network works, too
        files = {file.result()[1] for file in [at_once.submit(denoise, path, strength) for strength in (1, 0.5, 0)]}
    os.utime(path)  # an upload of the same file is written again
    denoise(path, 0.7)
    assert (len(runs), len(files)) == (1, 3)
