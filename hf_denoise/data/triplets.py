"""Any layout, local `datasets` folder or Hub id -> a checked `datasets.DatasetDict` of (degraded, mask, clean)."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_denoise.data.layouts import SPLIT_NAMES, Layout, is_utf8, read_layout, visible_files
from hf_denoise.data.triplet_checks import IMAGE_COLUMNS, Problem, check_triplets
from hf_denoise.errors import UserError, cause_of
from hf_denoise.hub.ids import is_hub_id

if TYPE_CHECKING:
    import datasets

SPLITS = ("train", "validation", "test")
SHOWN_PROBLEMS = 3

_logger = logging.getLogger(__name__)


def load_triplets(
    data: str | os.PathLike[str],
    *,
    seed: int = 0,
    skip_bad: bool = False,
    splits: tuple[float, float, float] = (0.7, 0.2, 0.1),
    revision: str | None = None,
) -> datasets.DatasetDict:
    """Load triplets of images and decode every one of them once, so that training meets no bad file later.

    Args:
        data: a folder in one of the layouts that `hf_denoise.data.layouts` names, a folder that `datasets` reads, or
            the id of a dataset on the Hub, with image columns `clean`, `mask` (optional), `degraded` (optional; where
            a row has none, it is made) and a column `weight` (optional).
        seed: of the split; the same data and seed give the same split on every machine.
        skip_bad: leave out, with a logged warning, the triplets that cannot be used, instead of raising.
        splits: shares of train, validation and test; they sum to 1. Only for data without splits of their own (a lone
            `train` is none). Every share above 0 gets at least one source image. `(0, 0, 1)`: all is test.
        revision: branch, tag or commit of a dataset on the Hub.

    Returns:
        Splits among `train`, `validation`, `test`, each with the columns `name` (str, unique in its split, the path
        without extension), `clean` (image) and, where the data has them, `mask` (image, None for an empty mask),
        `degraded` (image, None where it is to be made), `defect` (str, the class of defect, or None) and `weight`
        (float, how often a row is drawn in training, relative to others). Images stay in their files.
        The split is by source image: samples whose `clean` images have the same pixels fall on one side.

    Raises:
        UserError: no such data, an unknown layout or missing columns, too few images to split, or (without `skip_bad`)
            unmatched files, unreadable images, or masks and degraded images of another size than the clean image.
            Sizes are compared as displayed, with the EXIF orientation applied, as `datasets` decodes them.
    """
    if seed < 0:
        raise UserError(f"The seed is {seed}: use 0 or more.")
    if min(splits) < 0 or abs(sum(splits) - 1) > 1e-6:
        raise UserError(f"The shares of train, validation and test are {splits}: they must be positive and sum to 1.")
    tables, problems = _open(data, revision)
    if set(tables) == {"train"}:
        tables = {None: tables["train"]}
    tables, sources, bad_images = check_triplets(tables, Path(data).expanduser().absolute())
    problems += bad_images
    if problems:
        shown = "; ".join(f"{where} {reason}" for where, reason in problems[:SHOWN_PROBLEMS])
        shown += "; and so on" if len(problems) > SHOWN_PROBLEMS else ""
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        if not skip_bad:
            raise UserError(f"{data} has {count}, to be put right or left out with --skip-bad: {shown}.")
        _logger.warning("%s: left out because of %s: %s.", data, count, shown)
    emptied = [split or "it" for split, table in tables.items() if not len(table)]
    if emptied or not tables:
        raise UserError(f"{data}: no usable triplet is left in {' and '.join(emptied) or 'it'}.")
    if None in tables:
        table = tables[None]
        indices = split_by_source(sources[None], splits, seed)
        tables = {split: table.select(rows) for split, rows in indices.items()}

    import datasets

    return datasets.DatasetDict({split: tables[split] for split in SPLITS if split in tables})


def split_by_source(
    sources: Sequence[str], shares: tuple[float, float, float] = (0.7, 0.2, 0.1), seed: int = 0
) -> dict[str, list[int]]:
    """Assign samples to splits so that samples of one source stay together.

    Args:
        sources: for each sample an identifier of its source image; only these and the seed decide, not their order.
        shares: of the distinct sources, for train, validation and test; a share of 0 leaves that split out.

    Returns:
        For each split its sample indices, ascending.

    Raises:
        UserError: fewer distinct sources than splits.
    """
    wanted = [(split, share) for split, share in zip(SPLITS, shares, strict=True) if share > 0]
    distinct = sorted(set(sources))
    if len(distinct) < len(wanted):
        raise UserError(
            f"A split into {', '.join(split for split, _ in wanted)} needs at least {len(wanted)} different clean "
            f"images and there {'is' if len(distinct) == 1 else 'are'} {len(distinct)}: add images, or give the data "
            "its own train and validation folders."
        )
    exact = np.array([share for _, share in wanted]) * len(distinct)
    counts = np.floor(exact + 1e-9).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: len(distinct) - counts.sum()]:
        counts[index] += 1
    while counts.min() == 0:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    order = np.random.default_rng(seed).permutation(len(distinct))
    side: dict[str, str] = {}
    for (split, _), chosen in zip(wanted, np.split(order, np.cumsum(counts)[:-1]), strict=True):
        side.update((distinct[index], split) for index in chosen)
    return {split: [row for row, source in enumerate(sources) if side[source] == split] for split, _ in wanted}


def _open(
    data: str | os.PathLike[str], revision: str | None
) -> tuple[dict[str | None, datasets.Dataset], list[Problem]]:
    """Tables with our columns for each own split (None: no own splits), and what could not be matched."""
    folder = Path(data).expanduser()
    try:
        exists, is_folder = folder.exists(), folder.is_dir()
    except OSError as error:
        raise UserError(f"{data} cannot be read: {error.strerror}.") from error
    if exists and not is_utf8(folder.absolute()):
        raise UserError(f"{data} lies in a path that is not UTF-8: rename the folder.")
    if is_folder:
        if _is_datasets_folder(folder):
            return _open_datasets(folder, str(data)), []
        layout = read_layout(folder)
        problems = [(os.path.relpath(path, folder), reason) for path, reason in layout.problems]
        return _tables_of(layout), problems
    if exists:
        raise UserError(f"{data} is a file: give the folder that holds the images, or the id of a dataset on the Hub.")
    if not is_hub_id(str(data)):
        raise UserError(
            f"{data} does not exist: give a folder of images or the id of a dataset on the Hub (user/name)."
        )
    return _open_datasets(None, str(data), revision), []


def _tables_of(layout: Layout) -> dict[str | None, datasets.Dataset]:
    import datasets

    everything = [triplet for triplets in layout.splits.values() for triplet in triplets]
    tables: dict[str | None, datasets.Dataset] = {}
    for split, triplets in layout.splits.items():
        columns = {"name": datasets.Value("string"), "clean": datasets.Image()}
        if any(triplet.mask for triplet in everything):
            columns["mask"] = datasets.Image()
        if any(triplet.degraded for triplet in triplets):
            columns["degraded"] = datasets.Image()
        if any(triplet.defect for triplet in everything):
            columns["defect"] = datasets.Value("string")
        rows = {column: [_cell(getattr(triplet, column)) for triplet in triplets] for column in columns}
        tables[split] = datasets.Dataset.from_dict(rows, features=datasets.Features(columns))
    return tables


def _cell(value: str | Path | None) -> str | None:
    return str(value.absolute()) if isinstance(value, Path) else value


def _is_saved(folder: Path) -> bool:
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def _is_datasets_folder(folder: Path) -> bool:
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
    data: str | os.PathLike[str], shards: int = 64, revision: str | None = None
) -> dict[str, datasets.IterableDataset]:
    """Splits of a `datasets` folder or a data set on the Hub that are read as they are iterated, images still encoded.

    Nothing is checked in advance: that would read everything.

    Args:
        data: a folder that `datasets` reads or wrote, or the id of a dataset on the Hub.
        shards: into how many a folder of `save_to_disk` is cut; others have as many as they have files.
        revision: the commit of a dataset on the Hub that is read; default: the newest.

    Returns:
        Splits among `train`, `validation`, `test`, with the columns `name`, `clean`, `mask`, `degraded` as far as the
        data have them; image columns hold `bytes` and `path`.

    Raises:
        UserError: no such data, a folder in another layout, or no `clean` column.
    """
    import datasets

    folder = Path(data).expanduser()
    if folder.exists() and not (folder.is_dir() and _is_datasets_folder(folder)):
        raise UserError(f"'{data}' is no `datasets` folder: --streaming reads one (Parquet files), or a Hub id.")
    loaded = _load(folder if folder.exists() else None, str(data), streaming=True, revision=revision)
    if isinstance(loaded, datasets.Dataset | datasets.IterableDataset):
        loaded = {"train": loaded}
    streams = {}
    for split, table in loaded.items():
        if isinstance(table, datasets.Dataset):
            table = table.to_iterable_dataset(min(shards, len(table)))
        columns = table.column_names or []
        if "clean" not in columns:
            raise UserError(f"{data} has the columns {', '.join(columns)}: expected the image column clean.")
        table = table.select_columns([column for column in ("name", *IMAGE_COLUMNS) if column in columns])
        for column in IMAGE_COLUMNS:
            if column in columns:
                table = table.cast_column(column, datasets.Image(decode=False))
        streams[SPLIT_NAMES.get(str(split).lower(), str(split))] = table
    return streams


def _load(folder: Path | None, data: str, streaming: bool = False, revision: str | None = None) -> Any:
    """What `datasets` makes of a folder of `save_to_disk`, one that `load_dataset` reads, or the Hub id `data`."""
    import datasets

    try:
        if folder is None:
            return datasets.load_dataset(data, streaming=streaming, revision=revision)
        if _is_saved(folder):
            return datasets.load_from_disk(str(folder))
        if streaming:
            return datasets.load_dataset(str(folder), streaming=True)
        return datasets.load_dataset(str(folder), cache_dir=str(_cache_of(folder)))
    except datasets.exceptions.DatasetNotFoundError as error:
        raise UserError(
            f"{data} is neither a folder here nor a dataset on the Hub that you may read: correct the name, or log in "
            "with `hf auth login` if it is private."
        ) from error
    except ConnectionError as error:
        raise UserError(
            f"{data} is not a folder here, and the Hub could not be reached to look for a dataset of that name: check "
            "the path, or the network."
        ) from error
    except Exception as error:  # readers of many formats, each with errors of its own
        raise UserError(f"{data} could not be loaded as a dataset: {cause_of(error).rstrip('.')}.") from error


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


def _open_datasets(folder: Path | None, data: str, revision: str | None = None) -> dict[str | None, datasets.Dataset]:
    """Layout 1: the splits of what `_load` gives, with our columns."""
    import datasets

    loaded = _load(folder, data, revision=revision)
    if isinstance(loaded, datasets.Dataset):
        loaded = datasets.DatasetDict({"train": loaded})
    own: dict[str | None, list[datasets.Dataset]] = {}
    for split, table in loaded.items():
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
    if "clean" not in found:
        raise UserError(
            f"{data} has the columns {', '.join(found)}: expected the image columns clean and, if there are, mask and "
            "degraded; rename them, or give a folder in another layout."
        )
    names = [str(name) for name in table["name"]] if "name" in found else []
    if len(set(names)) < len(table):
        names = [f"{prefix}{row:06d}" for row in range(len(table))]
    defects = None
    if "defect" in found:
        feature = table.features["defect"]
        is_class = isinstance(feature, datasets.ClassLabel)
        defects = [None if d is None else feature.int2str(d) if is_class else str(d) for d in table["defect"]]
    weights = _weights(table, data) if "weight" in found else None
    table = table.select_columns([column for column in IMAGE_COLUMNS if column in found])
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
    return table.select_columns(
        ["name", *(column for column in (*IMAGE_COLUMNS, "defect", "weight") if column in found)]
    )


def _weights(table: datasets.Dataset, data: str) -> list[float]:
    """The column `weight`, checked."""
    try:
        weights = [float(weight) for weight in table["weight"]]
    except (TypeError, ValueError):
        weights = [math.nan]
    if not all(0 < weight < math.inf for weight in weights):
        raise UserError(f"{data}: column weight, how often a row is drawn, must hold a number above 0 in each row.")
    return weights
