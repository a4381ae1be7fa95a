"""Runs that are pushed, for tests."""

import dataclasses
import shutil
from pathlib import Path

import torch
from hub_server import HubServer

from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.log import TrainingLog
from hf_denoise.training.publishing import Publisher

SHA = "3f5c9a0d" * 5


CONFIG = TrainConfig(
    data="ada/triplets", output="x", encoder="resnet10t", encoder_levels=1, decoder_channels=(8,), decoder_depths=(1,),
    encoder_pretrained=False, defect_weight=2.5, max_minutes=None, trackers=(), learning_rate=1e-5,
)  # fmt: skip


HANDWRITTEN = b"---\nlicense: mit\n---\n# Ours\n\nTested on our line in Turin.\n"


def evaluate(run: Path, step: int) -> Path:
    """What the loop leaves after an evaluation with a better PSNR: other weights in best/, more rows in the log."""
    torch.manual_seed(step)
    model = DenoisingUNet(**CONFIG.model_options())
    recipe = {k: v for k, v in dataclasses.asdict(CONFIG).items() if k not in ("data", "output", "resume")}
    result = {"dataset": "ada/triplets", "revision": SHA, "split": "validation", "psnr": 20 + step / 100}
    training = {"data": "ada/triplets", "revision": SHA, "recipe": recipe, "steps": step}
    model.report = {"results": [result], "training": training}
    staging = run / "best.new"
    model.save_pretrained(staging)
    shutil.rmtree(run / "best", ignore_errors=True)
    staging.rename(run / "best")
    log = TrainingLog(run / "log.csv")
    log.log({"loss": 1 / step, "learning_rate": 1e-3}, step=step)
    log.log({"validation/psnr": 20 + step / 100}, step=step)
    return run / "best"


def contents(run: Path) -> dict[str, bytes]:
    """The files of the run that go up as they are."""
    names = ("config.json", "evaluation.json", "model.safetensors")
    return {**{name: (run / "best" / name).read_bytes() for name in names}, "log.csv": (run / "log.csv").read_bytes()}


def on_the_hub(hub: HubServer, repo_id: str = "ada/denoiser") -> dict[str, bytes]:
    return hub.repos["models", repo_id].files


def settle(publisher: Publisher) -> None:
    """Until the push in the background is through."""
    assert publisher._running is not None
    publisher._running.exception(timeout=60)
