"""The training loop, on Hugging Face Accelerate: from triplets to `best/` and `last/` checkpoints."""

import dataclasses
import logging
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.tracking import get_available_trackers
from accelerate.utils import InitProcessGroupKwargs, gather_object, set_seed
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader
from tqdm import tqdm

from hf_denoise.cpu import bfloat16_is_faster, keep_freed_memory, mixed_precision
from hf_denoise.errors import UserError
from hf_denoise.hub_files import LOG
from hf_denoise.interruption import StopRequest
from hf_denoise.launch import leave_at_exit
from hf_denoise.loader import Sample
from hf_denoise.losses import WeightedMSELoss, count_pixels
from hf_denoise.metrics import psnr, ssim
from hf_denoise.model import DenoisingUNet
from hf_denoise.pace import Pace
from hf_denoise.run_folder import RunFolder, training_report
from hf_denoise.sync_batch_norm import synchronize_batch_norm
from hf_denoise.train_config import TrainConfig
from hf_denoise.training_data import open_data
from hf_denoise.training_log import TrainingLog

_logger = logging.getLogger(__name__)

AVERAGE_EVERY = 4  # steps between updates of the averaged weights, which cost 2 % of a step
LOOK_EVERY = 10  # steps between looks at the loss and, with several processes, agreements on time and interruptions


@dataclass
class Progress:
    """Where the run is: saved with every checkpoint."""

    step: int = 0
    minutes: float = 0.0
    best_psnr: float = -math.inf
    evaluations_since_best: int = 0
    evaluated: int = 0  # step of the last evaluation

    def state_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def spent(self, config: TrainConfig) -> float:
        """Share of the budget used, 0..1: steps or minutes, whichever runs out first."""
        minutes = self.minutes / config.max_minutes if config.max_minutes else 0.0
        return min(max(self.step / config.max_steps, minutes), 1.0)


def learning_rate(config: TrainConfig, step: int, spent: float) -> float | None:
    """Rate of the step, or None where ReduceLROnPlateau is in charge."""
    warmup = min((step + 1) / (config.warmup_steps + 1), 1.0)
    if config.schedule == "cosine":
        return config.learning_rate * warmup * (1 + math.cos(math.pi * spent)) / 2
    return config.learning_rate * warmup if step <= config.warmup_steps else None


def train(config: TrainConfig) -> Path:
    """Run the training that `config` describes.

    Returns:
        The folder of the best checkpoint, which `DenoisingUNet.from_pretrained` loads.

    Raises:
        UserError: the data, the options or the output folder cannot be used, or the loss is no longer finite.
        KeyboardInterrupt: Ctrl-C or SIGTERM came, and the run is saved; its message says how to go on.
    """
    config.check()
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
    run = RunFolder(config, accelerator)
    publisher = None
    if config.push_to_hub and accelerator.is_main_process:
        from hf_denoise.publishing import Publisher

        publisher = Publisher(config.push_to_hub, config.hub_strategy, private=config.hub_private)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
        if accelerator.mixed_precision == "bf16" and accelerator.is_main_process and not bfloat16_is_faster():
            _logger.warning("this CPU is slower in bf16 than in float32, as measured here; use --precision no")

    start = str(run.last) if config.resume else config.init_from
    if start:
        model = DenoisingUNet.from_pretrained(start)
        # A resumed run goes on to record where its encoder came from, which a saved model does not know.
        fetched = config.encoder_pretrained if config.resume else False
        config = dataclasses.replace(config, **{**model._hub_mixin_config, "encoder_pretrained": fetched})
    else:
        model = DenoisingUNet(**config.model_options())
    if config.freeze_encoder:
        model.encoder.requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trained,
        config.learning_rate,
        weight_decay=config.weight_decay,
        fused=True,
    )
    # Not given to Accelerate, which would step it once per process.
    plateau = ReduceLROnPlateau(optimizer, mode="max", factor=config.plateau_factor, patience=config.plateau_patience)
    averaged = None
    if config.ema_decay:
        averaged = ModelEmaV3(model, decay=config.ema_decay**AVERAGE_EVERY, use_warmup=True)
    progress = Progress()
    network: nn.Module = model.to(memory_format=torch.channels_last)
    if accelerator.num_processes > 1:
        network = synchronize_batch_norm(network)
    network, optimizer = accelerator.prepare(network, optimizer)
    accelerator.register_for_checkpointing(plateau, progress)
    if averaged is not None:
        accelerator.register_for_checkpointing(averaged.module.to(accelerator.device))
    if config.resume:
        run.load()
        for group in optimizer.param_groups:  # a lower rate, given now, holds where the plateau is in charge too
            group["lr"] = min(group["lr"], config.learning_rate)
    data = open_data(config, accelerator, run, progress.step)
    accelerator.init_trackers("hf_denoise")
    served = averaged.module if averaged is not None else accelerator.unwrap_model(network)

    loss_function = WeightedMSELoss(config.defect_weight)
    scores: dict[str, float] = {}  # of the last evaluation of this sitting
    pace = Pace(accelerator)
    several = accelerator.num_processes > 1
    per_step = config.batch * config.accumulate * accelerator.num_processes
    stopped = False
    losses: list[tuple[Tensor, list[str]]] = []  # of the steps since the last look at them
    batches = iter(data.batches)

    def evaluate() -> None:
        nonlocal scores
        scores, progress.evaluated = validate(served, data.validation, accelerator), progress.step
        accelerator.log({f"validation/{name}": score for name, score in scores.items()}, step=progress.step)

    def save(is_best: bool) -> None:
        measured = scores if progress.evaluated == progress.step else {}
        facts = data.degradation, data.revision, progress.step, progress.minutes, measured
        report = training_report(config, *facts, accelerator)
        run.save(served, report, data.stream, is_best)

    def keep() -> None:
        improved = scores["psnr"] > progress.best_psnr
        progress.best_psnr = max(scores["psnr"], progress.best_psnr)
        progress.evaluations_since_best = 0 if improved else progress.evaluations_since_best + 1
        save(is_best=improved)

    set_mode(network, config)
    with (
        StopRequest() as stop,
        tqdm(
            initial=progress.step, total=config.max_steps, unit="step", disable=not accelerator.is_local_main_process
        ) as bar,
    ):
        while True:
            if not several or progress.step % LOOK_EVERY == 0:
                progress.minutes, stopped = pace.agree(progress.minutes, stop.made)
            spent = progress.spent(config)
            if stopped or spent >= 1 or 0 < config.early_stopping <= progress.evaluations_since_best:
                break
            rate = learning_rate(config, progress.step, spent)
            if rate is not None:
                for group in optimizer.param_groups:
                    group["lr"] = rate
            loss_function.l1 = spent < config.l1_share

            parts = pace.take(batches, config.accumulate)
            counts = count_pixels((part["mask"], part["valid"]) for part in parts)
            step_loss = torch.zeros((), device=accelerator.device)
            for number, part in enumerate(parts, start=1):
                # Processes exchange gradients once per step.
                with nullcontext() if number == len(parts) else accelerator.no_sync(network):
                    output = network(part["degraded"])
                    loss = loss_function(output, part["clean"], part["mask"], part["valid"], counts)
                    accelerator.backward(loss)
                step_loss += loss.detach()
            accelerator.clip_grad_norm_(trained, config.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            losses.append((step_loss, [name for part in parts for name in part["name"]]))
            progress.step += 1
            if averaged is not None and progress.step % AVERAGE_EVERY == 0:
                averaged.update(accelerator.unwrap_model(network), step=progress.step // AVERAGE_EVERY)
            bar.update()
            evaluates = progress.step % config.eval_every == 0 or progress.step == config.max_steps
            if progress.step % LOOK_EVERY == 0 or evaluates:
                figures = {
                    "loss": look_at(losses, progress.step, accelerator, run),
                    "learning_rate": optimizer.param_groups[0]["lr"],
                    **pace.figures(len(losses) * per_step),
                }
                losses.clear()
                bar.total = round(progress.step / progress.spent(config))  # minutes may well run out before steps
                bar.set_postfix(
                    {"psnr": f"{scores['psnr']:.2f}"} if scores else {},
                    loss=f"{figures['loss']:.3g}",
                    lr=f"{figures['learning_rate']:.1e}",
                    images_s=f"{figures['images_per_second']:.0f}",
                    data=f"{figures['waiting_for_data']:.0%}",
                )
                accelerator.log(figures, step=progress.step)
            if evaluates:
                evaluate()
                plateau.step(scores["psnr"])
                keep()
                if publisher:
                    publisher.evaluated(run.best)
                set_mode(network, config)
                pace.restart()
    if losses:
        look_at(losses, progress.step, accelerator, run)
    if stopped:
        save(is_best=False)
    elif progress.evaluated < progress.step:
        evaluate()
        keep()
    accelerator.end_training()
    if stopped:
        raise KeyboardInterrupt(f"stopped at step {progress.step}; '{run.last}' is saved, go on with --resume")
    if publisher:
        print(publisher.finish(run.best))
    return run.best


def check_trackers(names: Sequence[str]) -> None:
    """Raises: UserError: Accelerate does not know a tracker, or would leave it out, as its package is missing."""
    known = ["all", *(str(name.value) for name in get_available_trackers())]
    for name in names:
        if name not in known:
            raise UserError(
                f"--trackers: '{name}' is not known, or its package is not installed; here are {', '.join(known)}"
            )


def set_mode(network: nn.Module, config: TrainConfig) -> None:
    """Training mode, except for a frozen encoder, whose BatchNorm uses the statistics it came with."""
    network.train()
    if config.freeze_encoder:
        unwrapped: Any = getattr(network, "module", network)
        unwrapped.encoder.eval()


def look_at(losses: list[tuple[Tensor, list[str]]], step: int, accelerator: Accelerator, run: RunFolder) -> float:
    """The loss of the last of some steps, `step`, over all processes.

    Args:
        losses: of each step the share of this process and the names of its triplets.
        step: the number of steps so far.
        accelerator, run: of the training.

    Raises:
        UserError: one of the losses is not finite.
    """
    values = torch.stack([value for value, _ in losses])
    last, total = accelerator.reduce(torch.stack([values[-1], values.sum()]), reduction="mean").tolist()
    if math.isfinite(total):
        return last
    # The weights of all processes are lost with the first of them that met it.
    steps = [index for index, value in enumerate(values.tolist()) if not math.isfinite(value)]
    found = gather_object([(steps[0], losses[steps[0]][1])] if steps else [])
    first = min(index for index, _ in found)
    names = ", ".join(name for index, batch in found for name in batch if index == first)
    saved = run.last.exists()
    raise UserError(
        f"the loss is no longer finite at step {step - len(losses) + first + 1}, in the batch of {names}; "
        + (f"'{run.last}' holds the last good checkpoint; " if saved else "")
        + "look at those images, or lower --learning-rate"
        + (", and use --resume" if saved else "")
    )


@torch.no_grad()
def validate(model: nn.Module, loader: DataLoader[Sample], accelerator: Accelerator) -> dict[str, float]:
    """Mean PSNR, SSIM and defect PSNR over all images, the same on every process."""
    model.eval()
    rows = []
    for batch in tqdm(loader, desc="validation", leave=False, disable=not accelerator.is_local_main_process or None):
        with accelerator.autocast():
            output = model(batch["degraded"])
        image = output.float().clamp(0, 1)[0].permute(1, 2, 0).cpu().numpy()
        clean = batch["clean"][0].permute(1, 2, 0).cpu().numpy()
        mask = batch["mask"][0, 0].cpu().numpy() > 0
        row = torch.tensor([[psnr(image, clean), ssim(image, clean), psnr(image, clean, mask)]])
        rows.append(accelerator.gather_for_metrics(row.to(accelerator.device)).cpu())
    table = torch.cat(rows)
    means = table.nanmean(dim=0).tolist()
    means[0] = table[:, 0].mean().item()  # an image is too small for SSIM, or has no defect; but every one has a PSNR
    return dict(zip(("psnr", "ssim", "defect_psnr"), means, strict=True))
