"""The data of a training run, found and checked, and decoded where they are not streamed."""

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from hf_denoise.data.dataset_tables import open_stream
from hf_denoise.data.decoded import MemoryMapped
from hf_denoise.data.roles import parse_columns
from hf_denoise.data.splitting import drawn_rows
from hf_denoise.data.triplets import Found, find_triplets
from hf_denoise.errors import UserError
from hf_denoise.hub.files import dataset_revision, newest_revision
from hf_denoise.noise.degradations import parse_degradation
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.run_folder import RunFolder


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


def check_splits(config: TrainConfig, tables: Iterable[str]) -> None:
    for split in ("train", "validation"):
        if split not in tables:
            way_out = "leave out --streaming, which makes one, or add one" if config.streaming else "add one"
            raise UserError(f"'{config.data}' has no {split} split but {', '.join(tables)}; {way_out}")
