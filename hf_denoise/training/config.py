"""What a training run can be told, with defaults and help texts."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from hf_denoise.data.roles import parse_columns
from hf_denoise.errors import UserError
from hf_denoise.hub.ancestry import given_licence
from hf_denoise.hub.ids import missing_path
from hf_denoise.model.hub_mixin import REMOVED_OPTIONS
from hf_denoise.model.unet import DenoisingUNet

RANGES: tuple[tuple[tuple[str, ...], str, Callable[[float], bool]], ...] = (
    (
        (
            *("patch", "batch", "accumulate", "max_steps", "eval_every", "log_every", "decay_steps"),
            *("max_train_samples", "validation_images", "save_every", "keep_checkpoints"),
        ),
        "at least 1",
        lambda value: value >= 1,
    ),
    (
        ("seed", "workers", "warmup_steps", "plateau_patience", "early_stopping"),
        "at least 0",
        lambda value: value >= 0,
    ),
    (("weight_decay", "defect_weight"), "at least 0", lambda value: value >= 0),
    (("learning_rate", "clip_norm", "max_minutes", "save_minutes"), "above 0", lambda value: value > 0),
    (("grey_share", "colour_share", "defect_share", "l1_share"), "0 to 1", lambda value: 0 <= value <= 1),
    (("ema_decay",), "at least 0 and below 1", lambda value: 0 <= value < 1),
    (("plateau_factor",), "above 0 and below 1", lambda value: 0 < value < 1),
)


@dataclass
class TrainConfig:
    """Train a DenoisingUNet on triplets (degraded image, defect mask, clean image)."""

    # Options that are gone, with the value that every run has now: recipes of earlier versions may hold them.
    REMOVED = REMOVED_OPTIONS
    # What `transformers` calls the same thing. Epochs and `--hub_model_id`, which does not push by itself, are others.
    ALIASES = MappingProxyType(
        {
            "output_dir": "output",
            "per_device_train_batch_size": "batch",
            "gradient_accumulation_steps": "accumulate",
            "mixed_precision": "precision",
            "report_to": "trackers",
            "max_eval_samples": "validation_images",
            "logging_steps": "log_every",
            "eval_steps": "eval_every",
            "save_steps": "save_every",
            "save_total_limit": "keep_checkpoints",
        }
    )

    SECRETS = ("token",)  # never recorded: not in recipes, reports, logs or trackers

    data: str
    """Triplets: a folder in one of the known layouts, or the id of a dataset on the Hub."""
    output: str
    """Folder of the run: best/, last/ and TensorBoard logs."""
    resume: bool = False
    """Continue the run in --output from its last/ checkpoint, with the options it began with where none are given."""
    resume_from_checkpoint: str | None = None
    """Continue from this folder of --output, such as runs/x/checkpoint-500, instead of last/."""
    dataset_revision: str | None = None
    """Branch, tag or commit of a dataset on the Hub. Default: the newest; a resumed run stays at its commit."""
    dataset_config: str | None = None
    """Which one, where a dataset on the Hub has several configurations."""
    token: str | None = dataclasses.field(default=None, repr=False)
    """For private repositories on the Hub, and to push; it is not recorded. Default: HF_TOKEN, which no list of
    processes shows, or the one that `hf auth login` has stored."""
    columns: tuple[str, ...] = ()
    """Names of the roles in --data, where they are not the usual ones: `degraded=LQ clean=GT mask=M` names columns of a
    dataset, or folders, or with a * files: `"clean=*_GT"`. `"clean=*"`: all images are clean."""
    make_degraded: bool = False
    """Use --degradation also where --data brings degraded images, which are then left out."""
    streaming: bool = False
    """Read --data, a dataset on the Hub or a `datasets` folder, shard by shard while training; nothing is stored."""
    skip_bad: bool = False
    """Leave out unreadable or unmatched files instead of stopping."""
    max_train_samples: int | None = None
    """Train on so many triplets, drawn by --seed; with --streaming on the first ones of the shards. Default: all."""
    seed: int = 0
    """Seed of splits, weights, patches and noise."""

    degradation: str = "gaussian:0-55"
    """Noise for data without degraded images: KIND:STRENGTH or KIND:LOW-HIGH, sigma on the 0..255 scale."""
    patch: int = 64
    """Side of the training patches, pixels; at equal time many small ones won over few large ones."""
    grey_share: float = 0.15
    """Share of the patches (0..1) made grey, half of them with the same noise in all channels."""
    colour_share: float = 0.0
    """Share of the patches (0..1) whose channels change places and whose saturation is changed, before the noise."""
    defect_share: float = 0.5
    """Share of the patches (0..1) that are cut around a defect, of images that have one."""
    batch: int = 16
    """Patches per step and process."""
    accumulate: int = 1
    """Batches per optimizer step and process: the loss and its gradient are those of one batch so many times larger."""
    workers: int | None = None
    """Processes that prepare batches, per training process; 0 prepares them in the training process. Default: 2, and 0
    where a process trains on one or two CPU cores, which they would only share."""

    init_from: str | None = None
    """Start from a saved model: a folder, a Hub id, or `packaged`, the one in the package. Its network is taken too."""
    freeze_encoder: bool = False
    """Train the decoder alone: the weights of the encoder and the statistics of its BatchNorm stay."""
    encoder: str = "resnet18"
    """Any ResNet that timm lists; a larger one learns more slowly and ends higher."""
    encoder_pretrained: bool = True
    """Start from ImageNet weights, fetched from the Hub."""
    encoder_levels: int = 4
    """Encoder feature maps used, 1 to 5."""
    decoder_channels: tuple[int, ...] = (128, 96, 64, 16)
    """Channels of the decoder levels, deepest first."""
    decoder_depths: tuple[int, ...] = (1, 1, 2, 0)
    """Residual blocks of the decoder levels, deepest first."""
    full_resolution_skip: bool = True
    """Add a stride-1 skip to the encoder's features."""
    residual: bool = True
    """Predict a correction to the input instead of the image."""
    gate_window: int = 96
    """Window of the channel gates in evaluation, pixels; 0 pools over the whole image."""

    defect_weight: float = 5.0
    """Lambda of the loss: MSE outside the masks + lambda * MSE inside; see docs/experiments.md. The packaged recipe has
    0.2, as it is for photographs first."""
    l1_share: float = 0.0
    """First share of the budget (0..1) trained with absolute instead of squared error. The packaged recipe has 1, since
    squared error gives weak noise next to no weight."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW. The packaged recipe has 1.5e-3, at which absolute error is stable."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    warmup_steps: int = 500
    """Steps of linear warm-up; with fewer, and from random weights with fewer than 2000, a high rate may collapse."""
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    """ReduceLROnPlateau on the validation PSNR, a cosine over the budget, or constant, as in the packaged recipe, whose
    run has no length that is known before."""
    decay_steps: int | None = None
    """Over so many steps before the end the rate of `--schedule constant` falls linearly to 0. Default: never."""
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
    log_every: int = 10
    """Steps between rows of the log: the mean loss of the steps since the row before, rate and pace."""
    eval_every: int = 500
    """Steps between evaluations, which also save checkpoints."""
    save_minutes: float = 10.0
    """Save a checkpoint in `last/` where the one before is older than so many minutes of training."""
    save_every: int | None = None
    """Steps between checkpoints that are kept beside `last/`, as `checkpoint-STEP`. Default: none is."""
    keep_checkpoints: int | None = None
    """Keep so many of those of --save-every, the newest ones; `best/` and `last/` always stay. Default: all."""
    validation_images: int | None = None
    """Evaluate on the first so many validation images (--max-eval-samples). Default: all, with --streaming 64."""
    early_stopping: int = 0
    """Stop after so many evaluations without a better PSNR; 0 never."""
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """Mixed precision; auto is bf16 on a CPU that was measured to be faster with it, else what `accelerate launch` is
    configured for."""
    trackers: tuple[str, ...] = ("tensorboard",)
    """Experiment trackers that Accelerate knows, such as tensorboard or wandb."""

    push_to_hub: str | None = None
    """Repository on the Hub, user/name, for the best weights, the card with learning curves, recipe and log."""
    hub_strategy: Literal["end", "every-eval"] = "end"
    """Push when the training ends, or also after every evaluation, in the background."""
    hub_private: bool = False
    """Create the repository private."""
    license: str | None = None
    """Of the weights, for their card, as the Hub calls it: apache-2.0, cc-by-nc-4.0, other. Default: that of the model
    in --init-from; from random weights none, which the card says."""
    license_name: str | None = None
    """For --license other: what it is called."""
    license_link: str | None = None
    """For --license other: where its text is, a URL or a file of the repository."""

    def __post_init__(self) -> None:
        self.resume = self.resume or self.resume_from_checkpoint is not None

    def check(self) -> None:
        """Raises: UserError: a number is out of range, a path is missing, or `columns` or the licence contradict."""
        for names, allowed, fits in RANGES:
            for name in names:
                value = getattr(self, name)
                if value is not None and not fits(value):
                    raise UserError(f"--{name.replace('_', '-')} must be {allowed}, got {value}")
        parse_columns(self.columns)
        for name, value, what in (
            ("data", self.data, "a folder of images or the id of a dataset on the Hub (user/name)"),
            ("init-from", self.init_from, "a folder of a saved model, or the id of one on the Hub"),
        ):
            # A resumed run has recorded the name of the folder that it started from, not where that lies.
            if value and not self.resume and not Path(value).expanduser().exists() and (wrong := missing_path(value)):
                raise UserError(f"--{name} {wrong}; give {what}")
        if self.keep_checkpoints and not self.save_every:
            raise UserError("--keep-checkpoints counts the checkpoints of --save-every; give that, too")
        if (folder := self.resume_from_checkpoint) and Path(folder).resolve().parent != Path(self.output).resolve():
            raise UserError(
                f"--resume-from-checkpoint '{folder}' is not in --output '{self.output}'; copy that run's folder"
            )
        given_licence(self.license, self.license_name, self.license_link)

    def model_options(self) -> dict[str, Any]:
        """The fields that DenoisingUNet takes."""
        names = DenoisingUNet._hub_mixin_init_parameters
        return {name: value for name, value in dataclasses.asdict(self).items() if name in names}
