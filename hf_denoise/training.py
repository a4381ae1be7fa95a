"""The training loop, on Hugging Face Accelerate: from triplets to `best/` and `last/` checkpoints."""

import dataclasses
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import set_seed
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader
from tqdm import tqdm

from hf_denoise.cpu import keep_freed_memory
from hf_denoise.degradations import parse_degradation
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable, recover, staging_folder, swap_in, unwritable, write_folder
from hf_denoise.loader import Sample, SampleStream, TripletDataset, evaluation_loader, training_loader
from hf_denoise.losses import WeightedMSELoss
from hf_denoise.metrics import psnr, ssim
from hf_denoise.model import DenoisingUNet
from hf_denoise.sync_batch_norm import synchronize_batch_norm
from hf_denoise.triplets import load_triplets


@dataclass
class TrainConfig:
    """Train a DenoisingUNet on triplets (degraded image, defect mask, clean image)."""

    data: str
    """Triplets: a folder in one of the known layouts, or the id of a dataset on the Hub."""
    output: str
    """Folder of the run: best/, last/ and TensorBoard logs."""
    resume: bool = False
    """Continue the run in --output from its last/ checkpoint."""
    skip_bad: bool = False
    """Leave out unreadable or unmatched files instead of stopping."""
    seed: int = 0
    """Seed of splits, weights, patches and noise."""

    degradation: str = "gaussian:0-55"
    """Noise for data without degraded images: KIND:STRENGTH or KIND:LOW-HIGH, sigma on the 0..255 scale."""
    patch: int = 96
    """Side of the training patches, pixels."""
    grey_share: float = 0.15
    """Share of the patches (0..1) made grey, half of them with the same noise in all channels."""
    defect_share: float = 0.5
    """Share of the patches (0..1) that are cut around a defect, of images that have one."""
    batch: int = 8
    """Patches per step and process."""
    workers: int = 2
    """Processes that prepare batches, per training process; 0 prepares them in the training process."""

    init_from: str | None = None
    """Start from a saved model, a folder or a Hub id; the options of the network are then those of that model."""
    encoder: str = "resnet34"
    """Any ResNet that timm lists."""
    encoder_pretrained: bool = True
    """Start from ImageNet weights, fetched from the Hub."""
    encoder_levels: int = 3
    """Encoder feature maps used, 1 to 5."""
    decoder_channels: tuple[int, ...] = (64, 48, 16)
    """Channels of the decoder levels, deepest first."""
    decoder_depths: tuple[int, ...] = (1, 3, 0)
    """Residual blocks of the decoder levels, deepest first."""
    decoder_batch_norm: bool = False
    """BatchNorm in the decoder."""
    full_resolution_skip: bool = True
    """Add a stride-1 skip to the encoder's features."""
    residual: bool = True
    """Predict a correction to the input instead of the image."""
    gate_window: int = 96
    """Window of the channel gates in evaluation, pixels; 0 pools over the whole image."""

    defect_weight: float = 5.0
    """Lambda of the loss: MSE outside the masks + lambda * MSE inside; chosen by benchmarks/defect_weight.py."""
    l1_share: float = 0.0
    """First share of the budget (0..1) trained with absolute instead of squared error."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    warmup_steps: int = 200
    """Steps of linear warm-up."""
    schedule: Literal["plateau", "cosine"] = "plateau"
    """ReduceLROnPlateau on the validation PSNR, or a cosine over the budget."""
    plateau_factor: float = 0.5
    """ReduceLROnPlateau: factor on the learning rate."""
    plateau_patience: int = 5
    """ReduceLROnPlateau: evaluations without a better PSNR before the learning rate falls."""
    ema_decay: float = 0.999
    """Decay per step of the averaged weights that are evaluated and saved; 0 turns averaging off."""

    max_steps: int = 20_000
    """Budget: optimizer steps."""
    max_minutes: float | None = None
    """Budget: minutes of training, earlier sittings of a resumed run counted in."""
    eval_every: int = 500
    """Steps between evaluations, which also save checkpoints."""
    early_stopping: int = 0
    """Stop after so many evaluations without a better PSNR; 0 never."""
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """Mixed precision; auto leaves it to `accelerate launch` and its configuration."""
    trackers: tuple[str, ...] = ("tensorboard",)
    """Experiment trackers that Accelerate knows, such as tensorboard or wandb."""

    def model_options(self) -> dict[str, Any]:
        """The fields that DenoisingUNet takes."""
        names = DenoisingUNet._hub_mixin_init_parameters
        return {name: value for name, value in dataclasses.asdict(self).items() if name in names}


@dataclass
class Progress:
    """Where the run is: saved with every checkpoint."""

    step: int = 0
    minutes: float = 0.0
    best_psnr: float = -math.inf
    evaluations_since_best: int = 0

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
        UserError: the data, the options or the output folder cannot be used.
    """
    output = Path(config.output)
    last, best = output / "last", output / "best"
    accelerator = Accelerator(
        mixed_precision=None if config.precision == "auto" else config.precision,
        log_with=list(config.trackers),
        project_dir=output,
        dataloader_config=DataLoaderConfiguration(non_blocking=True),
    )
    set_seed(config.seed)
    if accelerator.is_main_process:
        prepare_output(output, config)
    accelerator.wait_for_everyone()
    if accelerator.device.type == "cpu":
        keep_freed_memory()

    start = str(last) if config.resume else config.init_from
    if start:
        model = DenoisingUNet.from_pretrained(start)
        config = dataclasses.replace(config, **model._hub_mixin_config)
    else:
        model = DenoisingUNet(**config.model_options())
    triplets = load_triplets(config.data, seed=config.seed, skip_bad=config.skip_bad)
    for split in ("train", "validation"):
        if split not in triplets:
            raise UserError(f"'{config.data}' has no {split} split; it has {', '.join(triplets)}")
    degradation = parse_degradation(config.degradation)
    training_set = TripletDataset(
        triplets["train"], degradation, config.patch, config.grey_share, config.defect_share, config.seed
    )
    validation_set = TripletDataset(triplets["validation"], degradation, seed=config.seed)
    global_batch = config.batch * accelerator.num_processes

    optimizer = torch.optim.AdamW(
        model.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    # Not given to Accelerate, which would step it once per process.
    plateau = ReduceLROnPlateau(optimizer, mode="max", factor=config.plateau_factor, patience=config.plateau_patience)
    averaged = ModelEmaV3(model, decay=config.ema_decay, use_warmup=True) if config.ema_decay else None
    progress = Progress()
    network: nn.Module = model.to(memory_format=torch.channels_last)
    if accelerator.num_processes > 1:
        network = synchronize_batch_norm(network)
    network, optimizer = accelerator.prepare(network, optimizer)
    accelerator.register_for_checkpointing(plateau, progress)
    if averaged is not None:
        accelerator.register_for_checkpointing(averaged.module.to(accelerator.device))
    if config.resume:
        accelerator.load_state(str(last / "state"))
    stream = SampleStream(
        len(training_set), config.max_steps * global_batch, config.seed, start=progress.step * global_batch
    )
    batches, validation = accelerator.prepare(
        training_loader(training_set, config.batch, stream, config.workers), evaluation_loader(validation_set)
    )
    accelerator.init_trackers("hf_denoise")
    served = averaged.module if averaged is not None else accelerator.unwrap_model(network)

    loss_function = WeightedMSELoss(config.defect_weight)
    scores = {"psnr": math.nan}
    tick = time.monotonic()
    network.train()
    with tqdm(
        initial=progress.step, total=config.max_steps, unit="step", disable=not accelerator.is_local_main_process
    ) as bar:
        for batch in batches:
            spent = progress.spent(config)
            if config.max_minutes:
                spent = agreed(spent, accelerator)
            if spent >= 1 or 0 < config.early_stopping <= progress.evaluations_since_best:
                break
            rate = learning_rate(config, progress.step, spent)
            if rate is not None:
                for group in optimizer.param_groups:
                    group["lr"] = rate
            loss_function.l1 = spent < config.l1_share

            degraded = batch["degraded"].contiguous(memory_format=torch.channels_last)
            loss = loss_function(network(degraded), batch["clean"], batch["mask"], batch["valid"])
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(network.parameters(), config.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            if averaged is not None:
                averaged.update(accelerator.unwrap_model(network), step=progress.step)

            progress.step += 1
            progress.minutes += (time.monotonic() - tick) / 60
            tick = time.monotonic()
            bar.update()
            if progress.step % 10 == 0 or progress.step == config.max_steps:
                value = accelerator.reduce(loss.detach(), reduction="mean").item()
                if not math.isfinite(value):
                    raise UserError(
                        f"the loss is {value} at step {progress.step}; '{last}' holds the last good checkpoint: "
                        "lower --learning-rate and use --resume"
                    )
                rate = optimizer.param_groups[0]["lr"]
                speed = (bar.format_dict["rate"] or 0.0) * global_batch
                bar.set_postfix(
                    loss=f"{value:.3g}", psnr=f"{scores['psnr']:.2f}", lr=f"{rate:.1e}", images_s=f"{speed:.0f}"
                )
                accelerator.log({"loss": value, "learning_rate": rate, "images_per_second": speed}, step=progress.step)
            if progress.step % config.eval_every == 0 or progress.step == config.max_steps:
                scores = validate(served, validation, accelerator)
                accelerator.log({f"validation/{name}": score for name, score in scores.items()}, step=progress.step)
                plateau.step(scores["psnr"])
                keep(accelerator, config, progress, scores, served, last, best)
                network.train()
                tick = time.monotonic()
    if progress.step % config.eval_every and progress.step < config.max_steps:
        scores = validate(served, validation, accelerator)
        keep(accelerator, config, progress, scores, served, last, best)
    accelerator.end_training()
    return best


def prepare_output(output: Path, config: TrainConfig) -> None:
    """Make the run folder, or say why it cannot be used."""
    for name in ("last", "best"):
        recover(output / name)
    last = output / "last"
    if config.resume and not (last / "state").is_dir():
        raise UserError(f"there is nothing to resume in '{output}'; start without --resume")
    if not config.resume and last.exists():
        raise UserError(f"'{output}' holds a run already; continue it with --resume or choose another --output")
    make_writable(output)


def agreed(value: float, accelerator: Accelerator) -> float:
    """The largest value over all processes: clocks differ, and all must stop at the same step."""
    if accelerator.num_processes == 1:
        return value
    return max(accelerator.gather(torch.tensor([value], device=accelerator.device)).tolist())


@torch.no_grad()
def validate(model: nn.Module, loader: DataLoader[Sample], accelerator: Accelerator) -> dict[str, float]:
    """Mean PSNR, SSIM and defect PSNR over all images, the same on every process."""
    model.eval()
    rows = []
    for batch in tqdm(loader, desc="validation", leave=False, disable=not accelerator.is_local_main_process or None):
        with accelerator.autocast():
            output = model(batch["degraded"].contiguous(memory_format=torch.channels_last))
        image = output.float().clamp(0, 1)[0].permute(1, 2, 0).cpu().numpy()
        clean = batch["clean"][0].permute(1, 2, 0).cpu().numpy()
        mask = batch["mask"][0, 0].cpu().numpy() > 0
        row = torch.tensor([[psnr(image, clean), ssim(image, clean), psnr(image, clean, mask)]])
        rows.append(accelerator.gather_for_metrics(row.to(accelerator.device)).cpu())
    means = torch.cat(rows).nanmean(dim=0).tolist()
    return dict(zip(("psnr", "ssim", "defect_psnr"), means, strict=True))


def keep(
    accelerator: Accelerator,
    config: TrainConfig,
    progress: Progress,
    scores: dict[str, float],
    model: DenoisingUNet,
    last: Path,
    best: Path,
) -> None:
    """Save `last/` with all that a resume needs and, where the PSNR rose, `best/`."""
    improved = scores["psnr"] > progress.best_psnr
    progress.best_psnr = max(scores["psnr"], progress.best_psnr)
    progress.evaluations_since_best = 0 if improved else progress.evaluations_since_best + 1
    model.report = training_report(config, progress, scores, accelerator)
    staging = staging_folder(last)
    try:
        if accelerator.is_main_process:
            shutil.rmtree(staging, ignore_errors=True)
            model.save_pretrained(staging)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(staging / "state"))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            swap_in(last)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise unwritable(last, error) from error
    if improved and accelerator.is_main_process:
        write_folder(best, model.save_pretrained)
    accelerator.wait_for_everyone()


def training_report(
    config: TrainConfig, progress: Progress, scores: dict[str, float], accelerator: Accelerator
) -> dict[str, Any]:
    """What the model card says of this run."""
    measured = {name: score for name, score in scores.items() if math.isfinite(score)}
    result = {"dataset": Path(config.data).name, "split": "validation", "degradation": config.degradation, **measured}
    recipe = {name: v for name, v in dataclasses.asdict(config).items() if name not in ("data", "output", "resume")}
    if config.init_from and Path(config.init_from).exists():
        recipe["init_from"] = Path(config.init_from).name  # where it lies is nobody's business
    training = {
        "data": Path(config.data).name,
        "recipe": recipe,
        "steps": progress.step,
        "minutes": round(progress.minutes, 1),
        "hardware": f"{accelerator.num_processes} x {accelerator.device.type}",
    }
    return {"results": [result], "training": training}
