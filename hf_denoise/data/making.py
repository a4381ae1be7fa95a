"""Triplets from clean photographs: draw defects, degrade, and write a dataset that `datasets` and the Hub read."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from huggingface_hub import DatasetCard, DatasetCardData
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.segmentation import find_boundaries
from tqdm import tqdm

from hf_denoise.data.decoded import pixels, to_float
from hf_denoise.data.defects import KINDS, SMALLEST_SIDE, draw_defects
from hf_denoise.data.layouts import is_utf8
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError
from hf_denoise.files import staging_folder, swap_in
from hf_denoise.hub.tables import escape, plain
from hf_denoise.imaging.picture import to_8_bits
from hf_denoise.noise.degradations import parse_degradation

if TYPE_CHECKING:
    import datasets

NO_DEGRADATION = "none"
ROWS_IN_MEMORY = 16
SHARD_BYTES = 500_000_000  # as large as those of `Dataset.push_to_hub`
SHEET = "contact-sheet.jpg"
SHEET_SAMPLES = 12
SHEET_COLUMNS = 2  # samples side by side
CROP = 224  # side of the crops in the contact sheet, pixels
OUTLINE = (255, 0, 80)

Levels = NDArray[np.uint8]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How triplets are made from photographs; see `make_triplets`."""

    seed: int
    per_image: int
    kinds: tuple[str, ...]
    degradation: str

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise UserError(f"--kinds is '{' '.join(unknown)}': choose from {', '.join(KINDS)}")
        if self.per_image < 1 or self.seed < 0:
            raise UserError(f"--per-image is {self.per_image} and --seed {self.seed}: use at least 1 and at least 0")
        if self.degrades:
            parse_degradation(self.degradation)

    @property
    def degrades(self) -> bool:
        return self.degradation != NO_DEGRADATION

    def variants(self, name: str, photo: Image.Image) -> Iterator[dict[str, Any]]:
        """The rows of one photograph. Only the seed, its name, its pixels and the variant's number decide."""
        image = int.from_bytes(hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
        clean = to_8_bits(to_float(pixels(photo)))
        grey = not np.ptp(clean, axis=2).any()
        order = np.random.default_rng([self.seed, image]).permutation(len(self.kinds))
        for variant in range(self.per_image):
            kind = self.kinds[order[variant % len(order)]]
            # The same defects, whatever the noise.
            drawing, noise = (np.random.default_rng([self.seed, image, variant, use]) for use in (0, 1))
            target, mask = draw_defects(unit_range(clean), kind, drawing)
            row = {"name": f"{name}_{variant}", "mask": Image.fromarray(mask.astype(np.uint8) * 255), "defect": kind}
            if self.degrades:
                pair = parse_degradation(self.degradation).pair(unit_range(to_8_bits(target)), noise)
                if grey:  # the noise of one channel, as in training
                    pair = (pair[0][..., 1:2].repeat(3, axis=2), pair[1][..., 1:2].repeat(3, axis=2))
                degraded, target = pair
                row["degraded"] = to_picture(to_8_bits(degraded), grey)
            yield {**row, "clean": to_picture(to_8_bits(target), grey)}


def make_triplets(
    clean_data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    seed: int = 0,
    per_image: int = 1,
    kinds: Sequence[str] = tuple(KINDS),
    degradation: str = "gaussian:25",
    skip_bad: bool = False,
) -> dict[str, dict[str, int]]:
    """Draw defects into clean photographs and write a folder of triplets, ready for training and for the Hub.

    The folder holds Parquet files, a dataset card and a contact sheet. Its columns are `name`, `clean` (the photograph
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
        kinds: which of `hf_denoise.data.defects.KINDS` to draw; the variants of a photograph take turns.
        degradation: as in `hf_denoise.noise.degradations`, clipped and rounded to 8 bits; where it changes the target,
            as a camera does, the changed one is stored. "none": no `degraded`, so that training draws noise each time.
        skip_bad: leave out images that cannot be used instead of raising.

    Returns:
        For each split how many images of each kind were written.

    Raises:
        UserError: the data, an option or the output folder cannot be used. Nothing is written then.
    """
    from datasets.exceptions import DatasetGenerationError

    recipe = Recipe(seed, per_image, tuple(dict.fromkeys(kinds)), degradation)
    output, source = Path(output).expanduser().absolute(), Path(clean_data).expanduser().absolute()
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"'{output}' exists and is not an empty folder; choose another one, or remove it first")
    if not is_utf8(output):
        raise UserError(f"'{output}' is not UTF-8, as the tables in it must be; choose another folder")
    if output.is_relative_to(source):
        raise UserError(f"'{output}' lies in the data it is made from; choose a folder outside of '{source}'")
    photos = _usable(load_triplets(clean_data, seed=seed, skip_bad=skip_bad), str(clean_data), skip_bad)
    staging = staging_folder(output)
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        counts = _write(staging, source.name if source.exists() else str(clean_data), photos, recipe)
        swap_in(output)
    except (DatasetGenerationError, OSError) as error:
        cause = error.__cause__ or error
        reason = getattr(cause, "strerror", None) or str(cause)
        raise UserError(f"could not write '{output}' ({reason}); free space or choose another folder") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return counts


def unit_range(picture: Levels) -> NDArray[np.float32]:
    return picture.astype(np.float32) / np.float32(255)


def to_picture(picture: Levels, grey: bool) -> Image.Image:
    return Image.fromarray(picture[..., 0] if grey else picture)


def _usable(tables: datasets.DatasetDict, data: str, skip_bad: bool) -> dict[str, datasets.Dataset]:
    """The images that a defect can be drawn in: large enough, and without a defect of their own."""
    import datasets

    photos, small, defective = {}, [], 0
    for split, table in tables.items():
        chosen = []
        for index, row in enumerate(table.cast_column("clean", datasets.Image(decode=False))):
            if row.get("mask") is not None and np.asarray(row["mask"].convert("L")).max() > 127:
                defective += 1
                continue
            content = row["clean"]["bytes"]
            with Image.open(io.BytesIO(content) if content is not None else row["clean"]["path"]) as header:
                if min(header.size) < SMALLEST_SIDE:
                    small.append(row["name"])
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


def _write(folder: Path, source: str, photos: dict[str, datasets.Dataset], recipe: Recipe) -> dict[str, dict[str, int]]:
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
        contact_sheet(tables).save(folder / SHEET, quality=92, subsampling=0)
        dataset_card(source, counts, recipe).save(folder / "README.md")
        tables.clear()  # before the files they are mapped from
    return counts


def _rows(photos: datasets.Dataset, recipe: Recipe, split: str) -> Iterator[dict[str, Any]]:
    for photo in tqdm(photos, desc=f"drawing defects, {split}", unit="photo"):
        yield from recipe.variants(photo["name"], photo["clean"])


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


def contact_sheet(tables: dict[str, datasets.Dataset]) -> Image.Image:
    """Crops around the defects of some samples of every class: the photograph, the mask's outline, and the noise."""
    by_class: dict[int, list[tuple[str, int]]] = {}
    for split, table in tables.items():
        for index, defect in enumerate(table["defect"][:]):
            by_class.setdefault(defect, []).append((split, index))
    # Classes take turns, each with samples from all over its list.
    each = math.ceil(SHEET_SAMPLES / len(by_class))
    spread = [[rows[len(rows) * turn // each] for turn in range(min(each, len(rows)))] for rows in by_class.values()]
    turns = [rows[turn] for turn in range(each) for rows in spread if turn < len(rows)][:SHEET_SAMPLES]
    panels = []
    for split, index in turns:
        row = tables[split][index]
        label = f"{tables[split].features['defect'].int2str(row['defect'])}   {plain(row['name'])[-40:]}"
        panels.append((label, _crops(row)))
    width = max(len(crops) for _, crops in panels) * (CROP + 4) + 8
    height = CROP + 26
    sheet_rows = math.ceil(len(panels) / SHEET_COLUMNS)
    sheet = Image.new("RGB", (min(len(panels), SHEET_COLUMNS) * width, sheet_rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (label, crops) in enumerate(panels):
        top, left = (number // SHEET_COLUMNS) * height, (number % SHEET_COLUMNS) * width
        draw.text((left + 2, top + 3), label, fill="black", font_size=13)
        for column, crop in enumerate(crops):
            sheet.paste(crop, (left + column * (CROP + 4), top + 22))
    return sheet


def _crops(row: dict[str, Any]) -> list[Image.Image]:
    """The same square of a row's images, pixel for pixel, around a pixel in the middle of the defect."""
    mask = np.asarray(row["mask"]) > 127
    places = np.argwhere(mask)
    centre = places[np.square(places - np.median(places, axis=0)).sum(axis=1).argmin()]
    top, left = np.clip(centre - CROP // 2, 0, np.maximum(np.array(mask.shape) - CROP, 0))
    box = (left, top, min(left + CROP, mask.shape[1]), min(top + CROP, mask.shape[0]))
    clean = row["clean"].convert("RGB").crop(box)
    outlined = np.array(clean)
    outlined[find_boundaries(np.asarray(row["mask"].crop(box)) > 127, mode="outer")] = OUTLINE
    degraded = [row["degraded"].convert("RGB").crop(box)] if "degraded" in row else []
    return [clean, Image.fromarray(outlined), *degraded]


CARD = """---
{{ card_data }}
---

# {{ title }}

Photographs with synthetic defects, for training and measuring image denoisers that must not remove defects. Made by
`hf-denoise make-triplets` from `{{ source }}`.

![Samples of every class: the photograph with the defect, the outline of the mask{{ sheet_degraded }}]({{ sheet }})

## Columns

| Column | What it is |
| --- | --- |
| `name` | name of the photograph and number of the variant |
| `clean` | the photograph with the defect: what a denoiser should give back |
| `mask` | 255 on every pixel that the defect changed by two levels or more, 0 elsewhere |
{%- if degrades %}
| `degraded` | `clean` with noise: `{{ degradation }}`, clipped and rounded to 8 bits |
{%- endif %}
| `defect` | class of the defect |

## What was drawn

Into each photograph one to three defects of one class, at random places, from faint to strong. Outside the mask the
photograph is unchanged.
{%- if degrades %} A degradation that simulates a camera also changes `clean`: it is the picture of that camera
without noise.
{%- else %} There is no degraded image: training draws new noise for every patch.
{%- endif %}

| Split |{% for kind in kinds %} {{ kind }} |{% endfor %} all |
| --- |{% for kind in kinds %} ---: |{% endfor %} ---: |
{% for split, count in counts.items() -%}
| {{ split }} |{% for kind in kinds %} {{ count[kind] }} |{% endfor %} {{ count.values() | sum }} |
{% endfor %}
Variants per photograph: {{ per_image }}. Seed: {{ seed }}. The variants of one photograph are in one split. The same
photographs, seed and options give the same pixels again.

## How to use it

```
from hf_denoise import load_triplets

data = load_triplets("path/to/this/folder")
```

`datasets.load_dataset("path/to/this/folder")` reads it too, and both take the id of this dataset on the Hub.

## Limitations

The defects are drawn, not photographed: they vary less than real ones, and do not follow the objects in the picture.
Measure on real defects before you rely on a model that was trained on these.

## Licence

The licences of the photographs it was made from apply, to every picture in it. State them here before you share it.
"""


def dataset_card(source: str, counts: dict[str, dict[str, int]], recipe: Recipe) -> DatasetCard:
    """The README.md that the Hub shows: what is in the dataset, and how it was made."""
    data = DatasetCardData(
        license="other",
        task_categories=["image-to-image"],
        pretty_name=f"{plain(source)} with synthetic defects",
        tags=["image-denoising", "defects", "synthetic", "hf_denoise"],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*"} for split in counts],
            }
        ],
    )
    return DatasetCard.from_template(
        data,
        template_str=CARD,
        title=f"{escape(source)} with synthetic defects",
        source=plain(source).replace("`", "'"),
        counts=counts,
        kinds=recipe.kinds,
        per_image=recipe.per_image,
        seed=recipe.seed,
        degrades=recipe.degrades,
        degradation=plain(recipe.degradation),
        sheet=SHEET,
        sheet_degraded=", and the degraded image" if recipe.degrades else "",
    )
