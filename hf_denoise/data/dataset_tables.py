"""Tables of the `datasets` library, from a folder or the Hub, as tables with our columns."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from huggingface_hub import constants
from huggingface_hub.errors import RevisionNotFoundError

from hf_denoise.data.layouts import SPLIT_NAMES
from hf_denoise.data.roles import ROLES
from hf_denoise.data.table_columns import encoded, with_our_names, without_degraded
from hf_denoise.data.walking import visible_files
from hf_denoise.errors import UserError, cause_of
from hf_denoise.hub.ids import missing_path
from hf_denoise.hub.reach import hub_is_out_of_reach

if TYPE_CHECKING:
    import datasets
    from typing_extensions import Unpack

# Names of configurations in what `datasets` says of a wrong or a missing one.
_CONFIGS = re.compile(r"(?:Available|available configs): \[(.*?)\]")


class Version(TypedDict, total=False):
    """Which version of a dataset on the Hub, and the token to read it; see `load_triplets`."""

    revision: str | None
    config: str | None
    token: str | None


def _is_saved(folder: Path) -> bool:
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def is_datasets_folder(folder: Path) -> bool:
    """Whether `datasets` wrote a folder, or reads it as Parquet files or an `imagefolder` with its table."""
    if _is_saved(folder):
        return True
    for file in visible_files(folder, (".parquet", ".csv", ".jsonl")):
        if file.suffix == ".parquet":
            return True
        if file.name in ("metadata.csv", "metadata.jsonl") and os.path.isfile(file):
            # the `imagefolder` convention; other tables of that name are none of ours
            with file.open(errors="replace") as lines:
                if "file_name" in lines.readline():
                    return True
    return False


def open_stream(
    data: str | os.PathLike[str],
    shards: int = 64,
    revision: str | None = None,
    config: str | None = None,
    token: str | None = None,
    columns: Mapping[str, str] | None = None,
    make_degraded: bool = False,
) -> dict[str, datasets.IterableDataset]:
    """Splits of a `datasets` folder or a data set on the Hub that are read as they are iterated, images still encoded.

    Nothing is checked in advance: that would read everything.

    Args:
        data: a folder that `datasets` reads or wrote, or the id of a dataset on the Hub.
        shards: into how many a folder of `save_to_disk` is cut; others have as many as they have files.
        revision: the commit of a dataset on the Hub that is read; default: the newest.
        config, token, columns, make_degraded: as of `load_triplets`.

    Returns:
        Splits among `train`, `validation`, `test`, with the columns `name`, `clean`, `mask`, `degraded` as far as the
        data have them; image columns hold `bytes` and `path`.

    Raises:
        UserError: no such data, a folder in another layout, or no `clean` column.
    """
    import datasets

    folder = Path(data).expanduser()
    if not folder.exists() and (wrong := missing_path(str(data))):
        raise UserError(f"{wrong}; give a `datasets` folder or the id of a dataset on the Hub (user/name).")
    if folder.exists() and not (folder.is_dir() and is_datasets_folder(folder)):
        raise UserError(f"'{data}' is no `datasets` folder: --streaming reads one (Parquet files), or a Hub id.")
    local = folder if folder.exists() else None
    loaded = _load(local, str(data), streaming=True, revision=revision, config=config, token=token)
    if isinstance(loaded, datasets.Dataset | datasets.IterableDataset):
        loaded = {"train": loaded}
    streams = {}
    for split, table in loaded.items():
        if isinstance(table, datasets.Dataset):
            table = table.to_iterable_dataset(min(shards, len(table)))
        table = with_our_names(table, columns or {}, str(data))
        table = without_degraded(table) if make_degraded else table
        table = table.select_columns([column for column in ("name", *ROLES) if column in table.column_names])
        streams[SPLIT_NAMES.get(str(split).lower(), str(split))] = encoded(table)
    return streams


def _load(folder: Path | None, data: str, streaming: bool = False, **version: Unpack[Version]) -> Any:
    """What `datasets` makes of a folder of `save_to_disk`, one that `load_dataset` reads, or the Hub id `data`."""
    import datasets

    revision, config, token = version.get("revision"), version.get("config"), version.get("token")
    if folder is not None:
        refuse_version(data, revision, config if _is_saved(folder) else None)
    try:
        if folder is None:
            with _offline_where_out_of_reach():
                return datasets.load_dataset(data, config, streaming=streaming, revision=revision, token=token)
        if _is_saved(folder):
            return datasets.load_from_disk(str(folder))
        if streaming:
            return datasets.load_dataset(str(folder), config, streaming=True)
        return datasets.load_dataset(str(folder), config, cache_dir=str(_cache_of(folder)))
    except datasets.exceptions.DatasetNotFoundError as error:
        if isinstance(error.__cause__, RevisionNotFoundError):
            raise UserError(f"{data} has no revision '{revision}' on the Hub: correct --dataset-revision.") from error
        raise UserError(
            f"{data} is neither a folder here nor a dataset on the Hub that you may read: correct the name, or log in "
            "with `hf auth login` if it is private."
        ) from error
    except (ConnectionError, FileNotFoundError) as error:
        if folder is not None:
            raise UserError(f"{data} could not be loaded as a dataset: {cause_of(error).rstrip('.')}.") from error
        raise UserError(
            f"{data} is not a folder here, and the Hub could not be reached to look for a dataset of that name: check "
            "the path, or the network."
        ) from error
    except Exception as error:  # readers of many formats, each with errors of its own
        if found := _CONFIGS.search(str(error)):
            names = found[1].replace("'", "")
            raise UserError(f"{data} has the configurations {names}: choose one with --dataset-config.") from error
        raise UserError(f"{data} could not be loaded as a dataset: {cause_of(error).rstrip('.')}.") from error


def refuse_version(data: str, revision: str | None, config: str | None) -> None:
    """Raises: UserError: a folder is asked for what only datasets on the Hub have, or those with configurations."""
    for flag, value in (("--dataset-revision", revision), ("--dataset-config", config)):
        if value:
            raise UserError(f"{data} is a folder here, which has no {flag} '{value}': leave that out.")


@contextmanager
def _offline_where_out_of_reach() -> Iterator[None]:
    """Let `datasets` look into its cache at once where the Hub cannot be reached; it would try for half a minute."""
    import datasets

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if hub_is_out_of_reach():
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _cache_of(folder: Path) -> Path:
    """Where `datasets` keeps its copy of a folder, another one whenever a file changes.

    Left to itself it takes a folder whose README.md lists the files of its splits, as `push_to_hub` and `make_triplets`
    write it, for the same as long as that list is, and gives the old images.
    """
    import datasets

    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        status = path.stat()
        digest.update(os.fsencode(f"{path.relative_to(folder)} {status.st_size} {status.st_mtime_ns}\n"))
    return Path(datasets.config.HF_DATASETS_CACHE) / f"folder-{digest.hexdigest()}"


def open_tables(
    folder: Path | None, data: str, columns: Mapping[str, str], **version: Unpack[Version]
) -> dict[str | None, datasets.Dataset]:
    """The splits of what `_load` gives, with our columns, of which `columns` may give the names.

    Args:
        folder: None where the data are on the Hub.
        data, columns: as of `load_triplets`.
        version: as of `load_triplets`.
    """
    import datasets

    loaded = _load(folder, data, **version)
    if isinstance(loaded, datasets.Dataset):
        loaded = datasets.DatasetDict({"train": loaded})
    own: dict[str | None, list[datasets.Dataset]] = {}
    for split, given in loaded.items():
        table = with_our_names(given, columns, data)
        own_split = SPLIT_NAMES.get(str(split).lower())
        if len(loaded) == 1:
            own[own_split] = [_normalise(table, "", data)]
        elif own_split is None:
            raise UserError(f"{data} has a split named {split!r}: only train, validation and test are known.")
        else:
            own.setdefault(own_split, []).append(_normalise(table, f"{split}/", data))
    return {split: datasets.concatenate_datasets(parts) for split, parts in own.items()}


def _normalise(table: datasets.Dataset, prefix: str, data: str) -> datasets.Dataset:
    """Only our columns, with our types; rows without a usable `name` are named by their index."""
    import datasets

    found = table.column_names
    names = [str(name) for name in table["name"]] if "name" in found else []
    if len(set(names)) < len(table):
        names = [f"{prefix}{row:06d}" for row in range(len(table))]
    defects = None
    if "defect" in found:
        feature = table.features["defect"]
        is_class = isinstance(feature, datasets.ClassLabel)
        defects = [None if d is None else feature.int2str(d) if is_class else str(d) for d in table["defect"]]
    weights = _weights(table, data) if "weight" in found else None
    table = table.select_columns([column for column in ROLES if column in found])
    for column in table.column_names:
        try:
            table = table.cast_column(column, datasets.Image())
        except Exception as error:  # pyarrow's and datasets' own kinds of a cast that fails
            raise UserError(f"{data}: column {column} holds {table.features[column]}, not images.") from error
    table = table.add_column("name", names)
    if defects is not None:
        table = table.add_column("defect", defects, feature=datasets.Value("string"))
    if weights is not None:
        table = table.add_column("weight", weights, feature=datasets.Value("float64"))
    return table.select_columns(["name", *(column for column in (*ROLES, "defect", "weight") if column in found)])


def _weights(table: datasets.Dataset, data: str) -> list[float]:
    """The column `weight`, checked."""
    try:
        weights = [float(weight) for weight in table["weight"]]
    except (TypeError, ValueError):
        weights = [math.nan]
    if not all(0 < weight < math.inf for weight in weights):
        raise UserError(f"{data}: column weight, how often a row is drawn, must hold a number above 0 in each row.")
    return weights
