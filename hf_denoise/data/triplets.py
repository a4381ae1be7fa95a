"""Any layout, local `datasets` folder or Hub id -> a checked `datasets.DatasetDict` of (degraded, mask, clean)."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_denoise.data.dataset_tables import Version, is_datasets_folder, open_tables, refuse_version
from hf_denoise.data.layout_files import Layout
from hf_denoise.data.layouts import read_layout
from hf_denoise.data.roles import check_columns
from hf_denoise.data.splitting import SPLITS, split_by_source
from hf_denoise.data.table_columns import without_degraded
from hf_denoise.data.triplet_checks import check_triplets
from hf_denoise.data.united_masks import united
from hf_denoise.data.unread import UNREAD, unread_sentence
from hf_denoise.data.walking import is_utf8, visible_files
from hf_denoise.errors import UserError
from hf_denoise.hub.ids import is_hub_id, missing_path

if TYPE_CHECKING:
    import datasets
    from typing_extensions import Unpack

SHOWN_PROBLEMS = 3

_logger = logging.getLogger(__name__)


def load_triplets(
    data: str | os.PathLike[str],
    *,
    seed: int = 0,
    skip_bad: bool = False,
    splits: tuple[float, float, float] = (0.7, 0.2, 0.1),
    revision: str | None = None,
    config: str | None = None,
    token: str | None = None,
    columns: Mapping[str, str] | None = None,
    make_degraded: bool = False,
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
        config: which one, where a dataset on the Hub has several configurations.
        token: access token for a private dataset on the Hub; None takes `HF_TOKEN` or the one that is logged in.
        columns: names of roles that are given by hand, `{"clean": "GT", "degraded": "LQ"}`: columns; or folders, by
            name or path below `data`; or files, a `*` being what partners share. `{"clean": "*"}`: all are clean.
        make_degraded: leave out the degraded images of the data, so that all are made.

    Returns:
        Splits among `train`, `validation`, `test`, each with the columns `name` (str, unique in its split, the path
        without extension), `clean` (image) and, where the data has them, `mask` (image, None for an empty mask),
        `degraded` (image, None where it is to be made), `defect` (str, the class of defect, or None) and `weight`
        (float, how often a row is drawn in training, relative to others). Images stay in their files; `datasets` shows
        them by Pillow, and `hf_denoise.data.decoded.Decoded` reads them as training and `hf-denoise denoise` do.
        The split is by source image: samples whose `clean` images have the same pixels fall on one side.

    Raises:
        UserError: no such data, an unknown layout or missing columns, names that look like roles and are not
            understood, too few images to split, or (without `skip_bad`) unmatched files, images that `hf-denoise
            denoise` does not read, several pages or frames in one file, masks that are not 255 in defects and 0
            outside, or masks and degraded images of another size than the clean image. Sizes are compared as
            displayed, with the EXIF orientation applied.
    """
    return find_triplets(
        data,
        seed=seed,
        skip_bad=skip_bad,
        splits=splits,
        columns=columns,
        make_degraded=make_degraded,
        revision=revision,
        config=config,
        token=token,
    ).tables


@dataclass(frozen=True)
class Found:
    """What was found in data.

    Attributes:
        tables: as `load_triplets` gives them.
        layout: what was recognised, in words.
        sources: how many source images each split has.
    """

    tables: datasets.DatasetDict
    layout: str
    sources: dict[str, int]


def find_triplets(
    data: str | os.PathLike[str],
    *,
    seed: int = 0,
    skip_bad: bool = False,
    splits: tuple[float, float, float] = (0.7, 0.2, 0.1),
    columns: Mapping[str, str] | None = None,
    make_degraded: bool = False,
    **version: Unpack[Version],
) -> Found:
    """`load_triplets`, with what else is known of the data; the arguments and errors are the same."""
    _check_options(seed, splits, columns or {})
    tables, problems, layout = _open(data, columns or {}, version)
    if make_degraded:
        tables = {split: without_degraded(table) for split, table in tables.items()}
    if set(tables) == {"train"}:
        tables = {None: tables["train"]}
    tables, sources, bad_images = check_triplets(tables, Path(data).expanduser().absolute())
    _name_problems(str(data), [*problems, *bad_images], skip_bad)
    emptied = [split or "it" for split, table in tables.items() if not len(table)]
    if emptied or not tables:
        raise UserError(f"{data}: no usable triplet is left in {' and '.join(emptied) or 'it'}.")
    if None in tables:
        table, own = tables[None], sources[None]
        indices = split_by_source(own, splits, seed)
        tables = {split: table.select(rows) for split, rows in indices.items()}
        sources = {split: [own[row] for row in rows] for split, rows in indices.items()}

    import datasets

    ordered = datasets.DatasetDict({split: tables[split] for split in SPLITS if split in tables})
    return Found(ordered, layout, {split: len(set(sources[split])) for split in ordered})


def _check_options(seed: int, splits: tuple[float, float, float], columns: Mapping[str, str]) -> None:
    if seed < 0:
        raise UserError(f"The seed is {seed}: use 0 or more.")
    if min(splits) < 0 or abs(sum(splits) - 1) > 1e-6:
        raise UserError(f"The shares of train, validation and test are {splits}: they must be positive and sum to 1.")
    check_columns(columns)


def _name_problems(data: str, problems: list[str], skip_bad: bool) -> None:
    """Raise a `UserError` with the first of the problems, or warn with them where what they spoil is left out."""
    if not problems:
        return
    first = problems[:SHOWN_PROBLEMS]
    shown = "; ".join(f"({n}) {text}" for n, text in enumerate(first, 1)) if len(problems) > 1 else first[0]
    shown += "; and so on" if len(problems) > SHOWN_PROBLEMS else ""
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    if not skip_bad:
        raise UserError(f"{data} has {count}, to be put right or left out with --skip-bad: {shown}.")
    _logger.warning("%s: left out because of %s: %s.", data, count, shown)


def _open(
    data: str | os.PathLike[str], columns: Mapping[str, str], version: Version
) -> tuple[dict[str | None, datasets.Dataset], list[str], str]:
    """Tables with our columns for each own split (None: no own splits), what could not be matched, and the layout."""
    folder = Path(data).expanduser()
    try:
        exists, is_folder = folder.exists(), folder.is_dir()
    except OSError as error:
        raise UserError(f"{data} cannot be read: {error.strerror}.") from error
    if exists and not is_utf8(folder.absolute()):
        raise UserError(f"{data} lies in a path that is not UTF-8: rename the folder.")
    if is_folder:
        if is_datasets_folder(folder):
            return open_tables(folder, str(data), columns, **version), [], "a folder of the `datasets` library"
        refuse_version(str(data), version.get("revision"), version.get("config"))
        layout = read_layout(folder, columns)
        if unread := unread_sentence(visible_files(folder, UNREAD)):
            _logger.warning("%s: %s.", data, unread)
        if unused := layout.unused():
            count = "1 image is" if len(unused) == 1 else f"{len(unused)} images are"
            _logger.warning("%s: %s no part of a triplet, such as %s.", data, count, layout.name(unused[0]))
        return *_tables_of(layout), ", ".join(layout.kinds)
    if exists:
        raise UserError(f"{data} is a file: give the folder that holds the images, or the id of a dataset on the Hub.")
    if wrong := missing_path(str(data)):
        raise UserError(f"{wrong}; give a folder of images or the id of a dataset on the Hub (user/name).")
    if not is_hub_id(str(data)):
        raise UserError(
            f"{data} does not exist: give a folder of images or the id of a dataset on the Hub (user/name)."
        )
    return open_tables(None, str(data), columns, **version), [], "a dataset on the Hub"


def _tables_of(layout: Layout) -> tuple[dict[str | None, datasets.Dataset], list[str]]:
    """The tables of a layout, and what is wrong with it and with masks that had to be united."""
    import datasets

    problems = [f"{os.path.relpath(path, layout.root)} {reason}" for path, reason in layout.problems]
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
        rows: dict[str, list[Any]] = {column: [] for column in columns}
        for triplet in triplets:
            try:
                cells = {column: _cell(getattr(triplet, column), layout.root) for column in columns}
            except UserError as error:
                problems.append(str(error))
                continue
            for column, cell in cells.items():
                rows[column].append(cell)
        tables[split] = datasets.Dataset.from_dict(rows, features=datasets.Features(columns))
    return tables, problems


def _cell(value: str | Path | tuple[Path, ...] | None, root: Path) -> str | dict[str, Any] | None:
    if isinstance(value, tuple):
        return united(value, root)
    return str(value.absolute()) if isinstance(value, Path) else value
