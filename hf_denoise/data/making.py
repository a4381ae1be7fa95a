"""Triplets from clean photographs: draw defects, degrade, and write a dataset that `datasets` and the Hub read."""

from __future__ import annotations

import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from hf_denoise.data.contact_sheet import contact_sheets
from hf_denoise.data.dataset_card import dataset_card
from hf_denoise.data.decoded import Decoded
from hf_denoise.data.surfaces import Surfaces
from hf_denoise.data.triplet_recipe import TripletRecipe
from hf_denoise.data.triplets import load_triplets
from hf_denoise.data.walking import is_utf8
from hf_denoise.defects.generator import DEFECT_KINDS, SMALLEST_SIDE
from hf_denoise.errors import UserError
from hf_denoise.files import staging_folder, swap_in

if TYPE_CHECKING:
    import datasets

ROWS_IN_MEMORY = 16
SHARD_BYTES = 500_000_000  # as large as those of `Dataset.push_to_hub`

_logger = logging.getLogger(__name__)


def make_triplets(
    clean_data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    seed: int = 0,
    per_image: int = 1,
    kinds: Sequence[str] = tuple(DEFECT_KINDS),
    degradation: str = "gaussian:25",
    inside: str | os.PathLike[str] | None = None,
    contrast: tuple[float, float] | None = None,
    skip_bad: bool = False,
    columns: Mapping[str, str] | None = None,
) -> dict[str, dict[str, int]]:
    """Draw defects into clean photographs and write a folder of triplets, ready for training and for the Hub.

    The folder holds Parquet files, a dataset card and contact sheets. Its columns are `name`, `clean` (the photograph
    with the defect: what a denoiser should give back), `mask` (255 on the pixels that the defect changed), `degraded`
    (not with the degradation "none") and `defect`, the class. Images are 8-bit PNG, grey ones with one channel. Every
    random choice follows from the seed, the name of the photograph and the number of the variant.

    Args:
        clean_data: anything that `load_triplets` takes. Images with a defect of their own, a mask that is not empty,
            are left out. Own splits are kept; otherwise images are split 70/20/10 before anything is drawn, so that
            the variants of a photograph are on one side.
        output: folder to write, new or empty.
        seed: of the split, the defects and the noise, at least 0.
        per_image: how many variants of each photograph, each with defects of one kind.
        kinds: which of `hf_denoise.defects.generator.DEFECT_KINDS` to draw; the variants of a photograph take turns.
        degradation: as in `hf_denoise.noise.degradations`, clipped and rounded to 8 bits; where it changes the target,
            as a camera does, the changed one is stored. "none": no `degraded`, so that training draws noise each time.
        inside: a folder of masks that say where surfaces are, which defects do not leave; or "auto"; see
            `hf_denoise.data.surfaces.Surfaces`.
        contrast: from and to, in levels of 255: how much the defects change; see `draw_defects`.
        skip_bad: leave out images that cannot be used instead of raising.
        columns: as of `load_triplets`.

    Returns:
        For each split how many images of each kind were written.

    Raises:
        UserError: the data, an option or the output folder cannot be used. Nothing is written then.
    """
    from datasets.exceptions import DatasetGenerationError

    surfaces = Surfaces(None if inside is None else str(inside))
    recipe = TripletRecipe(seed, per_image, tuple(dict.fromkeys(kinds)), degradation, surfaces, contrast)
    output, source = Path(output).expanduser().absolute(), Path(clean_data).expanduser().absolute()
    _check_output(output, source)
    triplets = load_triplets(clean_data, seed=seed, skip_bad=skip_bad, columns=columns)
    photos = _usable(triplets, str(clean_data), skip_bad)
    surfaces.check(name for table in photos.values() for name in table["name"])
    staging = staging_folder(output)
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        counts = _write(staging, source.name if source.exists() else str(clean_data), photos, recipe)
        swap_in(output)
    except (DatasetGenerationError, OSError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):  # a mask of a surface
            raise cause from None
        reason = getattr(cause, "strerror", None) or str(cause)
        raise UserError(f"could not write '{output}' ({reason}); free space or choose another folder") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return counts


def _check_output(output: Path, source: Path) -> None:
    """Refuse a folder for the triplets that is not empty, or lies in the data they are made from."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"'{output}' exists and is not an empty folder; choose another one, or remove it first")
    if not is_utf8(output):
        raise UserError(f"'{output}' is not UTF-8, as the tables in it must be; choose another folder")
    if output.is_relative_to(source):
        raise UserError(f"'{output}' lies in the data it is made from; choose a folder outside of '{source}'")


def _usable(tables: datasets.DatasetDict, data: str, skip_bad: bool) -> dict[str, datasets.Dataset]:
    """The images that a defect can be drawn in: large enough, and without a defect of their own."""
    photos: dict[str, datasets.Dataset] = {}
    small, defective = [], 0
    for split, table in tables.items():
        chosen = []
        for index, photo in enumerate(Decoded(table)):
            if photo.mask is not None and photo.mask.any():
                defective += 1
            elif min(photo.clean.shape[:2]) < SMALLEST_SIDE:
                small.append(photo.name)
            else:
                chosen.append(index)
        if chosen:
            photos[split] = table.select(chosen).select_columns(["name", "clean"])
    if small:
        what = f"{len(small)} of the images, such as {small[0]}, are less than {SMALLEST_SIDE} pixels wide or high"
        if not skip_bad:
            raise UserError(f"{data}: {what}; remove them, or leave them out with --skip-bad")
        _logger.warning("%s: left out because %s.", data, what)
    if defective:
        _logger.warning("%s: left out those that have a defect of their own, %d of the images.", data, defective)
    if not photos:
        raise UserError(f"{data} has no usable image without a defect of its own; give photographs without defects")
    return photos


def _write(
    folder: Path, source: str, photos: dict[str, datasets.Dataset], recipe: TripletRecipe
) -> dict[str, dict[str, int]]:
    """Fill an empty folder. The images go through a file of `datasets`, so that few of them are in memory at a time."""
    import datasets

    columns: dict[str, Any] = {"name": datasets.Value("string"), "clean": datasets.Image(), "mask": datasets.Image()}
    if recipe.degrades:
        columns["degraded"] = datasets.Image()
    columns["defect"] = datasets.ClassLabel(names=list(recipe.kinds))
    with tempfile.TemporaryDirectory(dir=folder, prefix=".cache-") as cache, _no_other_bars():
        tables = {
            split: datasets.Dataset.from_generator(
                _rows,
                features=datasets.Features(columns),
                cache_dir=f"{cache}/{split}",
                gen_kwargs={"photos": table, "recipe": recipe, "split": split},
                writer_batch_size=ROWS_IN_MEMORY,
            )
            for split, table in photos.items()
        }
        counts = {}
        for split, table in tables.items():
            shards = math.ceil(table.data.nbytes / SHARD_BYTES)
            for index in range(shards):
                part = table.shard(shards, index, contiguous=True)
                (folder / "data").mkdir(exist_ok=True)
                part.to_parquet(folder / "data" / f"{split}-{index:05d}-of-{shards:05d}.parquet")
            classes = table.features["defect"].int2str(table["defect"][:])
            counts[split] = {kind: classes.count(kind) for kind in recipe.kinds}
        for name, sheet in contact_sheets(tables).items():
            sheet.save(folder / name, quality=92, subsampling=0)
        dataset_card(source, counts, recipe).save(folder / "README.md")
        tables.clear()  # before the files they are mapped from
    return counts


def _rows(photos: datasets.Dataset, recipe: TripletRecipe, split: str) -> Iterator[dict[str, Any]]:
    for photo in tqdm(Decoded(photos), desc=f"drawing defects, {split}", unit="photo"):
        yield from recipe.variants(photo.name, photo.clean)


@contextmanager
def _no_other_bars() -> Iterator[None]:
    """One bar is shown, ours."""
    import datasets

    shown = not datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
