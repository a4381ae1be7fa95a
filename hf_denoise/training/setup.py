"""What a training run consists of, made from its options and ready for the process it runs in."""

import dataclasses
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.tracking import get_available_trackers
from accelerate.utils import InitProcessGroupKwargs, set_seed
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from hf_denoise.cpu import bfloat16_is_faster, keep_freed_memory, mixed_precision
from hf_denoise.distributed.processes import leave_at_exit
from hf_denoise.distributed.sync_batch_norm import synchronize_batch_norm
from hf_denoise.errors import UserError
from hf_denoise.hub.ancestry import given_licence, inherited
from hf_denoise.hub.files import LOG, PACKAGED
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.training.batches import TrainingData, open_data
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.data import find_data
from hf_denoise.training.examples import show_examples
from hf_denoise.training.log import TrainingLog
from hf_denoise.training.publishing import Publisher
from hf_denoise.training.report import hyperparameters, training_report
from hf_denoise.training.run_folder import RunFolder
from hf_denoise.training.schedule import Progress, is_due, learning_rate
from hf_denoise.training.start import against_start
from hf_denoise.training.summary import Facts, run_facts
from hf_denoise.training.survival import scratch_limit
from hf_denoise.training.validation import validate

_logger = logging.getLogger(__name__)

SAID_OTHERWISE = ("Data", "Degraded images", "Device", "Steps", "Time")  # on the card, of what has been done
AVERAGE_EVERY = 4  # steps between updates of the averaged weights, which cost 2 % of a step


@dataclass
class Training:
    """The parts of a run, on the device of this process.

    Attributes:
        config: its options; the network's are those of the model it started from.
        accelerator, run, publisher: processes and devices, the folder, and the Hub where it is pushed there.
        network: what is trained, as prepared by Accelerate.
        served: what is evaluated and saved: the averaged weights, or those of `network`.
        averaged: keeps the average, where one is wanted.
        trained: the parameters that change.
        optimizer, plateau: AdamW, and ReduceLROnPlateau on it.
        progress: where the run is.
        data: batches and validation images.
        ancestry: what the card takes over from the model that the run started from.
        facts: what the run is made of, for people.
        scores: of the last evaluation of this sitting.
    """

    config: TrainConfig
    accelerator: Accelerator
    run: RunFolder
    publisher: Publisher | None
    network: nn.Module
    served: DenoisingUNet
    averaged: ModelEmaV3 | None
    trained: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    plateau: ReduceLROnPlateau
    progress: Progress
    data: TrainingData
    ancestry: dict[str, Any]
    facts: Facts
    scores: dict[str, float] = field(default_factory=dict)

    def set_mode(self) -> None:
        """Training mode, except for a frozen encoder, whose BatchNorm uses the statistics it came with."""
        self.network.train()
        if self.config.freeze_encoder:
            unwrapped: Any = getattr(self.network, "module", self.network)
            unwrapped.encoder.eval()

    def average(self) -> None:
        """Let the averaged weights follow."""
        if self.averaged is not None and self.progress.step % AVERAGE_EVERY == 0:
            network = self.accelerator.unwrap_model(self.network)
            self.averaged.update(network, step=self.progress.step // AVERAGE_EVERY)

    def evaluate_start(self) -> None:
        """Evaluate saved weights that the run starts from, so that each evaluation can say what has become of them."""
        if self.config.init_from and self.progress.step == 0:
            self._measure()
            self.progress.start_psnr = self.scores["psnr"]
            self.progress.start_defect_psnr = self.scores["defect_psnr"]

    def evaluate(self) -> None:
        """Evaluate, and save what was evaluated: as the best where it is."""
        self._measure()
        self.progress.evaluated = self.progress.step
        self.plateau.step(self.scores["psnr"])
        self.save(is_best=self.progress.note_evaluation(self.scores["psnr"]))
        self.set_mode()
        if self.accelerator.is_main_process and (said := against_start(self.scores, self.progress)):
            tqdm.write(f"step {self.progress.step:,}: {said}", file=sys.stderr)

    def _measure(self) -> None:
        """Measure what is served, and log it."""
        self.scores = validate(self.served, self.data.validation, self.accelerator)
        figures = dict(self.scores)
        if self.data.probed is not None:  # in the main process; the others wait for it when they save
            limit = scratch_limit(self.served, self.data.probed, self.accelerator)
            figures |= {} if limit is None else {"limit_80": limit}
        show_examples(self.served, self.data.examples, self.accelerator, self.progress.step)
        self.accelerator.log({f"validation/{name}": figure for name, figure in figures.items()}, self.progress.step)

    def save(self, is_best: bool = False) -> None:
        """Write a checkpoint from which the run goes on exactly as it would have."""
        progress, data = self.progress, self.data
        progress.saved_minutes = progress.minutes
        measured = self.scores if progress.evaluated == progress.step else {}
        hardware = f"{self.accelerator.num_processes} x {self.accelerator.device.type}"
        summary = {name: value for name, value in self.facts if name not in SAID_OTHERWISE}
        report = training_report(self.config, data, progress, measured, hardware, self.ancestry, summary)
        number = progress.step if is_due(self.config.save_every, progress.step) else None
        self.run.save(self.served, report, data.stream, is_best, number)


def set_up(config: TrainConfig) -> Training:
    """Make the parts of a run, or put them back to where its last checkpoint left them.

    Raises:
        UserError: the data, the options or the output folder cannot be used.
    """
    accelerator = make_accelerator(config)
    run = RunFolder(config, accelerator)
    publisher = None
    if config.push_to_hub and accelerator.is_main_process:
        publisher = Publisher(config.push_to_hub, config.hub_strategy, private=config.hub_private, token=config.token)
    source = find_data(config, accelerator, run)  # before any weights are fetched
    model, config = make_model(config, run)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, config.learning_rate, weight_decay=config.weight_decay, fused=True)
    # Not given to Accelerate, which would step it once per process.
    plateau = ReduceLROnPlateau(optimizer, mode="max", factor=config.plateau_factor, patience=config.plateau_patience)
    averaged = None
    if config.ema_decay:
        averaged = ModelEmaV3(model, decay=config.ema_decay**AVERAGE_EVERY, use_warmup=True)
    progress = Progress()
    network: nn.Module = model.to(memory_format=torch.channels_last)
    if accelerator.num_processes > 1:
        network = synchronize_batch_norm(network, accelerator.device)
    network, optimizer = accelerator.prepare(network, optimizer)
    accelerator.register_for_checkpointing(plateau, progress)
    if averaged is not None:
        accelerator.register_for_checkpointing(averaged.module.to(accelerator.device))
    if config.resume:
        run.load()
        set_rate(config, accelerator, run, optimizer, progress)
    data = open_data(config, accelerator, run, source, progress.step)
    ancestry = ancestry_of(config, run)
    start_trackers(accelerator, config, data)
    served = averaged.module if averaged is not None else accelerator.unwrap_model(network)
    return Training(
        *(config, accelerator, run, publisher, network, served, averaged, trained, optimizer, plateau, progress, data),
        ancestry=ancestry,
        facts=run_facts(config, accelerator, data, served, ancestry, progress),
    )


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Processes, devices, precision and trackers.

    Raises:
        UserError: a tracker cannot be had.
    """
    check_trackers(config.trackers)
    accelerator = Accelerator(
        mixed_precision=mixed_precision(config.precision),
        log_with=[*config.trackers, TrainingLog(Path(config.output) / LOG)],
        project_dir=config.output,
        dataloader_config=DataLoaderConfiguration(non_blocking=True),
        # One process of a machine fetches and decodes the data, which may well take longer than the usual ten minutes.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(days=30))],
    )
    leave_at_exit(accelerator.state)
    set_seed(config.seed)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
        if accelerator.mixed_precision == "bf16" and accelerator.is_main_process and not bfloat16_is_faster():
            _logger.warning("this CPU is slower in bf16 than in float32; use --precision no")
    return accelerator


def make_model(config: TrainConfig, run: RunFolder) -> tuple[DenoisingUNet, TrainConfig]:
    """The network that the run starts from, and the options with those of that network."""
    start = str(run.resumed) if config.resume else config.init_from
    if start:
        model = DenoisingUNet.from_pretrained(start, token=config.token)
        # A resumed run goes on to record where its encoder came from, which a saved model does not know.
        fetched = config.encoder_pretrained if config.resume else False
        config = dataclasses.replace(config, **{**model._hub_mixin_config, "encoder_pretrained": fetched})
    else:
        model = DenoisingUNet(**config.model_options())
    if config.freeze_encoder:
        model.encoder.requires_grad_(False)
    return model, config


def set_rate(
    config: TrainConfig,
    accelerator: Accelerator,
    run: RunFolder,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Let another rate than before hold, higher or lower; the same one leaves what the plateau made of it.

    The same command, with `--resume`, must go on as if the run had not been stopped.
    """
    recorded = (run.recorded_report().get("training") or {}).get("recipe") or {}
    before, now = recorded.get("learning_rate"), optimizer.param_groups[0]["lr"]
    if before is not None and before != config.learning_rate:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate
        said = f"the learning rate is {config.learning_rate:g} as given now, in place of {before:g} (at last {now:g})"
    elif learning_rate(config, progress.step, 0.0) is None and now != config.learning_rate:
        said = f"the learning rate goes on at {now:g}, to which the plateau has lowered {config.learning_rate:g}"
    else:
        return
    if accelerator.is_main_process:
        print(said, file=sys.stderr)


def ancestry_of(config: TrainConfig, run: RunFolder) -> dict[str, Any]:
    """What `inherited` gives of the model that the run started from, with the licence that was chosen in its place."""
    recorded = run.recorded_report() if config.resume else {}
    found = {key: (recorded.get("training") or {}).get(key) for key in ("origin", "licences")}
    found["license"] = recorded.get("license")
    if not any(found.values()) and config.init_from and (not config.resume or config.init_from == PACKAGED):
        found = inherited(config.init_from)  # also for a run that began before this was recorded, where it is known
    chosen = given_licence(config.license, config.license_name, config.license_link)
    return {key: value for key, value in {**found, **({"license": chosen} if chosen else {})}.items() if value}


def start_trackers(accelerator: Accelerator, config: TrainConfig, data: TrainingData) -> None:
    """Start them, and tell them the hyperparameters."""
    accelerator.init_trackers("hf_denoise")
    for tracker in accelerator.trackers:
        if not (config.resume and tracker.name == "tensorboard"):  # it has them in this folder, and would add another
            tracker.store_init_configuration(hyperparameters(config, data))


def check_trackers(names: Sequence[str]) -> None:
    """Raises: UserError: Accelerate does not know a tracker, or would leave it out, as its package is missing."""
    known = ["all", *(str(name.value) for name in get_available_trackers())]
    for name in names:
        if name not in known:
            raise UserError(
                f"--trackers: '{name}' is not known, or its package is not installed; here are {', '.join(known)}"
            )
