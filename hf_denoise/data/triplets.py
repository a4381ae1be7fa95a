"""Any layout, local `datasets` folder or Hub id -> a checked `datasets.DatasetDict` of (degraded, mask, clean)."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hf_denoise.data.dataset_tables import is_datasets_folder, open_tables
from hf_denoise.data.layouts import Layout, read_layout
from hf_denoise.data.splitting import SPLITS, split_by_source
from hf_denoise.data.triplet_checks import Problem, check_triplets
from hf_denoise.data.walking import is_utf8
from hf_denoise.errors import UserError
from hf_denoise.hub.ids import is_hub_id

if TYPE_CHECKING:
    import datasets

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
        if is_datasets_folder(folder):
            return open_tables(folder, str(data)), []
        layout = read_layout(folder)
        problems = [(os.path.relpath(path, folder), reason) for path, reason in layout.problems]
        return _tables_of(layout), problems
    if exists:
        raise UserError(f"{data} is a file: give the folder that holds the images, or the id of a dataset on the Hub.")
    if not is_hub_id(str(data)):
        raise UserError(
            f"{data} does not exist: give a folder of images or the id of a dataset on the Hub (user/name)."
        )
    return open_tables(None, str(data), revision), []


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
