"""The data of a training run: batches for this process, and images to evaluate on."""

import logging
import os
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
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
from hf_denoise.data.splitting import drawn_rows, first_of
from hf_denoise.data.streaming import ShardStream, first_triplets
from hf_denoise.data.triplets import Found, find_triplets
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


@dataclass
class Source:
    """Data that were found and checked, before anything is made of them.

    Attributes:
        revision: the commit of data that came from the Hub.
        facts: what there is, for people: name and value.
        has_test: whether there is a test split, too.
        stored: where they are decoded, triplets for training and for validation, and weights for training.
        tables: where they are streamed, the splits.
    """

    revision: str | None
    facts: list[tuple[str, str]]
    has_test: bool
    stored: tuple[MemoryMapped, MemoryMapped, list[float] | None] | None = None
    tables: dict[str, Any] = field(default_factory=dict)


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
    """

    batches: Iterable[Sample]
    validation: DataLoader[Sample]
    degradation: str
    revision: str | None
    facts: list[tuple[str, str]]
    has_test: bool
    stream: ShardStream | None = None
    probed: NDArray[np.float32] | None = None


def find_data(config: TrainConfig, accelerator: Accelerator, run: RunFolder) -> Source:
    """The data that `config` names, of the commit that a resumed run began with.

    Raises:
        UserError: they cannot be used.
    """
    parse_degradation(config.degradation)
    (revision,) = broadcast_object_list([wanted_revision(config, run)])
    if not config.streaming:
        return decode_once_per_machine(config, accelerator, revision)
    tables = open_stream(config.data, revision=revision, **options_of(config))
    check_splits(config, tables)
    facts = [("Layout", f"streamed, {tables['train'].num_shards} shards; not counted")]
    if config.max_train_samples:
        facts.append(("Trained on", f"at most {config.max_train_samples} triplets, the first ones of the shards"))
    return Source(revision, facts, "test" in tables, tables=tables)


def open_data(config: TrainConfig, accelerator: Accelerator, run: RunFolder, source: Source, step: int) -> TrainingData:
    """Batches from optimizer step `step` on, and images to evaluate on.

    Raises:
        UserError: they cannot be made.
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
        first = range(min(len(triplets), config.validation_images or len(triplets)))
        probed = probe_crops(dataset, first) if accelerator.is_main_process else None
        return accelerator.prepare(evaluation_loader(Subset(dataset, first))), probed

    if source.stored is None:
        stream = ShardStream(
            source.tables["train"],
            make_patch,
            batch=config.batch,
            workers=workers,
            process=accelerator.process_index,
            processes=accelerator.num_processes,
            seed=config.seed,
            side=config.patch,
            skip_bad=config.skip_bad,
            rows=config.max_train_samples,
        )
        if config.resume:
            run.load_stream(stream)
        count = config.validation_images or STREAMED_VALIDATION
        first = first_triplets(source.tables["validation"], count, config.skip_bad)
        if not first:
            raise UserError(f"'{config.data}' has no usable image in its validation split")
        batches = (send_to_device(batch, accelerator.device, non_blocking=True) for batch in stream)
        own = "degraded" in (source.tables["train"].column_names or [])
        name = name_noise(config, int(own), 1, accelerator)
        validation, probed = evaluation(first)
        facts = [*source.facts, *making_facts(config, name), ("Validation images", f"the first {len(first)}")]
        return TrainingData(batches, validation, name, source.revision, facts, source.has_test, stream, probed)

    training, held_out, weights = source.stored
    per_step = config.batch * accelerator.num_processes * config.accumulate
    order = SampleStream(len(training), config.max_steps * per_step, config.seed, step * per_step, weights)
    patches = TripletDataset(training, make_patch, config.seed, side=min(config.patch, training.largest_side))
    loader = accelerator.prepare(training_loader(patches, config.batch, order, workers))
    name = name_noise(config, training.degraded_count, len(training), accelerator)
    validation, probed = evaluation(held_out)
    shown = first_of(config.validation_images, len(held_out))
    facts = [*source.facts, *making_facts(config, name), ("Validation images", shown)]
    return TrainingData(loader, validation, name, source.revision, facts, source.has_test, probed=probed)


def wanted_revision(config: TrainConfig, run: RunFolder) -> str | None:
    """The commit to read from the Hub, as far as it is known before."""
    if config.resume:
        # The same commit in all sittings: a split, and the position of a stream, are those of the data they were made
        # of. Another revision than before is one that is wanted now.
        recorded = run.recorded_report().get("training") or {}
        if (recorded.get("recipe") or {}).get("dataset_revision") == config.dataset_revision:
            return None if Path(config.data).expanduser().exists() else recorded.get("revision")
    if not (config.streaming or config.dataset_revision):
        return None  # `dataset_revision` says afterwards what was read
    return newest_revision(config.data, config.dataset_revision, config.token) or config.dataset_revision


def options_of(config: TrainConfig) -> dict[str, Any]:
    """What `load_triplets` and `open_stream` must be told."""
    roles = {"columns": parse_columns(config.columns), "make_degraded": config.make_degraded}
    return {"config": config.dataset_config, "token": config.token, **roles}


def name_noise(config: TrainConfig, paired: int, images: int, accelerator: Accelerator) -> str:
    """What the degraded images are, for reports, where the data bring `paired` of them; --degradation is then named."""
    if not paired:
        return config.degradation
    some = "" if paired == images else f" for {paired} of {images} training images"
    if accelerator.is_main_process:
        _logger.warning(NOT_USED, config.data, some)
    return f"{AS_IN_DATA} in {paired} of {images}, else {config.degradation}" if some else AS_IN_DATA


def decode_once_per_machine(config: TrainConfig, accelerator: Accelerator, revision: str | None) -> Source:
    """Training and validation triplets: one process of every machine checks and decodes the images, all map them."""
    pickled = b""
    if accelerator.is_local_main_process:
        found = find_triplets(
            config.data,
            seed=config.seed,
            skip_bad=config.skip_bad,
            revision=revision,
            **options_of(config),
        )
        tables = found.tables
        check_splits(config, tables)
        train, count = tables["train"], len(tables["train"])
        if config.max_train_samples and config.max_train_samples < count:
            train = train.select(drawn_rows(count, config.max_train_samples, config.seed))
        weights = train["weight"][:] if "weight" in train.column_names else None
        stored = (MemoryMapped(train), MemoryMapped(tables["validation"]), weights)
        facts = found_facts(found, {"train": stored[0], "validation": stored[1]})
        if len(train) < count:
            facts.append(("Trained on", f"{len(train)} of {count} triplets, drawn by seed {config.seed}"))
        # Pickled, they are the names of the files, which other machines do not have.
        pickled = pickle.dumps(Source(revision or dataset_revision(config.data), facts, "test" in tables, stored))
    shared = gather_object([pickled])
    own: Source = pickle.loads(shared[accelerator.process_index - accelerator.local_process_index])
    return own


def found_facts(found: Found, decoded: Mapping[str, MemoryMapped]) -> list[tuple[str, str]]:
    """What there is: the layout, and how many triplets, with what."""
    sizes = {split: len(table) for split, table in found.tables.items()}

    def listed(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{split} {count}" for split, count in counts.items())

    def those(name: str) -> str:
        counts = {split: getattr(triplets, name) for split, triplets in decoded.items()}
        if not any(counts.values()):
            return "none"
        return ", ".join(f"{split} {count} of {len(decoded[split])}" for split, count in counts.items())

    return [
        ("Layout", found.layout),
        ("Triplets", f"{sum(sizes.values())}: {listed(sizes)}"),
        ("Source images", listed(found.sources)),
        ("With a defect in the mask", those("defect_count")),
        ("With a degraded image", those("degraded_count")),
    ]


def making_facts(config: TrainConfig, noise: str) -> list[tuple[str, str]]:
    """What is made of the triplets, and how."""
    crops = f"crops of {config.patch} px, flipped and turned, {config.grey_share:.0%} grey"
    around = f", {config.defect_share:.0%} of those with a defect cut around it" if config.defect_share else ""
    return [
        ("Degraded images", noise if noise.startswith(AS_IN_DATA) else f"made, {noise}"),
        ("Patches", crops + around),
    ]


def check_splits(config: TrainConfig, tables: Iterable[str]) -> None:
    for split in ("train", "validation"):
        if split not in tables:
            way_out = "leave out --streaming, which makes one, or add one" if config.streaming else "add one"
            raise UserError(f"'{config.data}' has no {split} split but {', '.join(tables)}; {way_out}")
