"""The data of a training run: batches for this process, and images to evaluate on."""

import logging
import os
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object, send_to_device
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Subset

from hf_denoise.data.dataset_tables import open_stream
from hf_denoise.data.decoded import MemoryMapped, Triplets
from hf_denoise.data.loader import Sample, SampleMaker, SampleStream, TripletDataset, evaluation_loader, training_loader
from hf_denoise.data.roles import parse_columns
from hf_denoise.data.streaming import ShardStream, first_triplets
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError
from hf_denoise.hub.card import AS_IN_DATA
from hf_denoise.hub.files import dataset_revision, newest_revision
from hf_denoise.noise.degradations import parse_degradation
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.run_folder import RunFolder
from hf_denoise.training.survival import probe_crops

STREAMED_VALIDATION = 64  # images, held in memory
NOT_USED = "%s brings degraded images%s, so --degradation is not used there; --make-degraded uses it all the same"

_logger = logging.getLogger(__name__)

Stored = tuple[MemoryMapped, MemoryMapped, list[float] | None]  # for training, for validation, weights for training


@dataclass
class TrainingData:
    """What a run trains on.

    Attributes:
        batches: of this process on its device, those of the budget or endless.
        validation: whole images.
        degradation: what the degraded images are, for reports: the noise that is made, or `AS_IN_DATA`.
        revision: the commit of data that came from the Hub.
        stream: where `batches` come from, if it is one.
        probed: what `scratch_limit` is measured on; None in all processes but the main one, and where images are small.
    """

    batches: Iterable[Sample]
    validation: DataLoader[Sample]
    degradation: str
    revision: str | None
    stream: ShardStream | None = None
    probed: NDArray[np.float32] | None = None


def open_data(config: TrainConfig, accelerator: Accelerator, run: RunFolder, step: int) -> TrainingData:
    """The data that `config` names, from optimizer step `step` on.

    Raises:
        UserError: they cannot be used.
    """
    degradation = parse_degradation(config.degradation)
    workers = config.workers
    if workers is None:
        few = (os.cpu_count() or 1) <= 2 * accelerator.num_processes
        workers = 0 if few and accelerator.device.type == "cpu" else 2
    make_patch = SampleMaker(
        degradation, config.patch, grey=config.grey_share, defect=config.defect_share, colour=config.colour_share
    )

    def evaluation(triplets: Triplets) -> tuple[DataLoader[Sample], NDArray[np.float32] | None]:
        dataset = TripletDataset(triplets, SampleMaker(degradation), config.seed)
        first = range(len(triplets))[: config.validation_images]
        probed = probe_crops(dataset, first) if accelerator.is_main_process else None
        return accelerator.prepare(evaluation_loader(Subset(dataset, first))), probed

    # The same commit in all sittings: a split, and the position of a stream, are those of the data they were made of.
    revision = run.recorded_revision() if config.resume else None
    if config.streaming:
        if not config.resume:
            revision = newest_revision(config.data)
        (revision,) = broadcast_object_list([revision])
        tables = open_stream(config.data, revision=revision, **roles_of(config))
        check_splits(config, tables)
        stream = ShardStream(
            tables["train"],
            make_patch,
            batch=config.batch,
            workers=workers,
            process=accelerator.process_index,
            processes=accelerator.num_processes,
            seed=config.seed,
            side=config.patch,
            skip_bad=config.skip_bad,
        )
        if config.resume:
            run.load_stream(stream)
        first = first_triplets(tables["validation"], config.validation_images or STREAMED_VALIDATION, config.skip_bad)
        if not first:
            raise UserError(f"'{config.data}' has no usable image in its validation split")
        batches = (send_to_device(batch, accelerator.device, non_blocking=True) for batch in stream)
        own = "degraded" in (tables["train"].column_names or [])
        name = name_noise(config, int(own), 1, accelerator)
        validation, probed = evaluation(first)
        return TrainingData(batches, validation, name, revision, stream, probed)

    training, held_out, weights = decode_once_per_machine(config, accelerator, revision)
    per_step = config.batch * accelerator.num_processes * config.accumulate
    order = SampleStream(len(training), config.max_steps * per_step, config.seed, step * per_step, weights)
    patches = TripletDataset(training, make_patch, config.seed, side=min(config.patch, training.largest_side))
    loader = accelerator.prepare(training_loader(patches, config.batch, order, workers))
    revision = revision or dataset_revision(config.data)
    name = name_noise(config, training.degraded_count, len(training), accelerator)
    validation, probed = evaluation(held_out)
    return TrainingData(loader, validation, name, revision, probed=probed)


def roles_of(config: TrainConfig) -> dict[str, Any]:
    """What of the data is what: options of `load_triplets` and `open_stream`."""
    return {"columns": parse_columns(config.columns), "make_degraded": config.make_degraded}


def name_noise(config: TrainConfig, paired: int, images: int, accelerator: Accelerator) -> str:
    """What the degraded images are, for reports, where the data bring `paired` of them; --degradation is then named."""
    if not paired:
        return config.degradation
    some = "" if paired == images else f" for {paired} of {images} training images"
    if accelerator.is_main_process:
        _logger.warning(NOT_USED, config.data, some)
    return f"{AS_IN_DATA} in {paired} of {images}, else {config.degradation}" if some else AS_IN_DATA


def decode_once_per_machine(config: TrainConfig, accelerator: Accelerator, revision: str | None) -> Stored:
    """Training and validation triplets: one process of every machine checks and decodes the images, all map them."""
    stored = b""
    if accelerator.is_local_main_process:
        tables = load_triplets(
            config.data,
            seed=config.seed,
            skip_bad=config.skip_bad,
            revision=revision,
            **roles_of(config),
        )
        check_splits(config, tables)
        weights = tables["train"]["weight"][:] if "weight" in tables["train"].column_names else None
        # Pickled, they are the names of the files, which other machines do not have.
        stored = pickle.dumps((MemoryMapped(tables["train"]), MemoryMapped(tables["validation"]), weights))
    shared = gather_object([stored])
    own: Stored = pickle.loads(shared[accelerator.process_index - accelerator.local_process_index])
    return own


def check_splits(config: TrainConfig, tables: Iterable[str]) -> None:
    for split in ("train", "validation"):
        if split not in tables:
            raise UserError(f"'{config.data}' has no {split} split; it has {', '.join(tables)}")
