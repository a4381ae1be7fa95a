"""What a training run trains and is evaluated on: batches for this process, and whole images."""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import send_to_device
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Subset

from hf_denoise.data.decoded import Triplets
from hf_denoise.data.loader import Sample, SampleMaker, SampleStream, TripletDataset, evaluation_loader, training_loader
from hf_denoise.data.splitting import first_of
from hf_denoise.data.streaming import ShardStream, first_triplets
from hf_denoise.errors import UserError
from hf_denoise.hub.card import AS_IN_DATA
from hf_denoise.noise.degradations import parse_degradation
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.data import Source
from hf_denoise.training.examples import Example, choose_examples, shows_pictures
from hf_denoise.training.run_folder import RunFolder
from hf_denoise.training.survival import probe_crops

STREAMED_VALIDATION = 64  # images, held in memory
NOT_USED = "%s brings degraded images%s, so --degradation is not used there; --make-degraded uses it all the same"

_logger = logging.getLogger(__name__)


@dataclass
class TrainingData:
    """What a run trains on.

    Attributes:
        batches: of this process on its device, those of the budget or endless.
        validation: whole images.
        degradation: what the degraded images are, for reports: the noise that is made, or `AS_IN_DATA`.
        revision: the commit of data that came from the Hub.
        facts: what there is and what is made of it, for people: name and value.
        has_test: whether there is a test split, too.
        stream: where `batches` come from, if it is one.
        probed: what `scratch_limit` is measured on; None in all processes but the main one, and where images are small.
        examples: what trackers are shown, in the main process.
    """

    batches: Iterable[Sample]
    validation: DataLoader[Sample]
    degradation: str
    revision: str | None
    facts: list[tuple[str, str]]
    has_test: bool
    stream: ShardStream | None = None
    probed: NDArray[np.float32] | None = None
    examples: list[Example] = field(default_factory=list)


def open_data(config: TrainConfig, accelerator: Accelerator, run: RunFolder, source: Source, step: int) -> TrainingData:
    """Batches from optimizer step `step` on, and images to evaluate on.

    Raises:
        UserError: they cannot be made.
    """
    if source.stored is None:
        return _open_streamed(config, accelerator, run, source)
    training, held_out, weights = source.stored
    per_step = config.batch * accelerator.num_processes * config.accumulate
    order = SampleStream(len(training), config.max_steps * per_step, config.seed, step * per_step, weights)
    patches = TripletDataset(training, _patches(config), config.seed, side=min(config.patch, training.largest_side))
    loader = accelerator.prepare(training_loader(patches, config.batch, order, _workers(config, accelerator)))
    noise = name_noise(config, training.degraded_count, len(training), accelerator)
    images = first_of(config.validation_images, len(held_out))
    return TrainingData(loader, **_evaluation(config, accelerator, held_out), **_known(config, source, noise, images))


def _open_streamed(config: TrainConfig, accelerator: Accelerator, run: RunFolder, source: Source) -> TrainingData:
    stream = ShardStream(
        source.tables["train"],
        _patches(config),
        batch=config.batch,
        workers=_workers(config, accelerator),
        process=accelerator.process_index,
        processes=accelerator.num_processes,
        seed=config.seed,
        side=config.patch,
        skip_bad=config.skip_bad,
        rows=config.max_train_samples,
    )
    if config.resume:
        run.load_stream(stream)
    held_out = first_triplets(
        source.tables["validation"], config.validation_images or STREAMED_VALIDATION, config.skip_bad
    )
    if not held_out:
        raise UserError(f"'{config.data}' has no usable image in its validation split")
    batches = (send_to_device(batch, accelerator.device, non_blocking=True) for batch in stream)
    own = "degraded" in (source.tables["train"].column_names or [])
    noise = name_noise(config, int(own), 1, accelerator)
    known = _known(config, source, noise, f"the first {len(held_out)}")
    return TrainingData(batches, **_evaluation(config, accelerator, held_out), **known, stream=stream)


def _patches(config: TrainConfig) -> SampleMaker:
    noise = parse_degradation(config.degradation)
    return SampleMaker(
        noise, config.patch, grey=config.grey_share, defect=config.defect_share, colour=config.colour_share
    )


def _workers(config: TrainConfig, accelerator: Accelerator) -> int:
    if config.workers is not None:
        return config.workers
    few = (os.cpu_count() or 1) <= 2 * accelerator.num_processes
    return 0 if few and accelerator.device.type == "cpu" else 2


def _evaluation(config: TrainConfig, accelerator: Accelerator, triplets: Triplets) -> dict[str, Any]:
    """What is made of the validation images."""
    dataset = TripletDataset(triplets, SampleMaker(parse_degradation(config.degradation)), config.seed)
    first = range(min(len(triplets), config.validation_images or len(triplets)))
    main = accelerator.is_main_process
    return {
        "validation": accelerator.prepare(evaluation_loader(Subset(dataset, first))),
        "probed": probe_crops(dataset, first) if main else None,
        "examples": choose_examples(dataset, first) if main and shows_pictures(config.trackers) else [],
    }


def _known(config: TrainConfig, source: Source, noise: str, images: str) -> dict[str, Any]:
    """What `TrainingData` says of the data."""
    facts = [*source.facts, *making_facts(config, noise), ("Validation images", images)]
    return {"degradation": noise, "revision": source.revision, "facts": facts, "has_test": source.has_test}


def name_noise(config: TrainConfig, paired: int, images: int, accelerator: Accelerator) -> str:
    """What the degraded images are, for reports, where the data bring `paired` of them; --degradation is then named."""
    if not paired:
        return config.degradation
    some = "" if paired == images else f" for {paired} of {images} training images"
    if accelerator.is_main_process:
        _logger.warning(NOT_USED, config.data, some)
    return f"{AS_IN_DATA} in {paired} of {images}, else {config.degradation}" if some else AS_IN_DATA


def making_facts(config: TrainConfig, noise: str) -> list[tuple[str, str]]:
    """What is made of the triplets, and how."""
    crops = f"crops of {config.patch} px, flipped and turned, {config.grey_share:.0%} grey"
    around = f", {config.defect_share:.0%} of those with a defect cut around it" if config.defect_share else ""
    return [
        ("Degraded images", noise if noise.startswith(AS_IN_DATA) else f"made, {noise}"),
        ("Patches", crops + around),
    ]
